/* SPDX-License-Identifier: BSD-2-Clause */
/* posthouse check: every section says what is wrong, one line per problem, or that all is well. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/conf/mastercf.h"
#include "lib/map/map.h"
#include "lib/route/route.h"
#include "lib/service/endpoint.h"
#include "lib/service/layout.h"
#include "lib/service/logto.h"
#include "tools/posthouse/posthouse.h"

enum { MESSAGES_MAX = 1 << 20, DISK_MIN_PERCENT = 5 };

static struct {
	struct arena arena;
	struct buf messages; /* of the section under way */
	struct buf unreadable;
	struct mastercf services;
	bool bad;
} check;

static void problem(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void problem(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_addv(&check.messages, fmt, ap);
	va_end(ap);
	buf_addc(&check.messages, '\n');
}

static void end_section(const char *name)
{
	struct span rest = buf_span(&check.messages), line;

	if (rest.len == 0)
		printf("%s: everything fine\n", name);
	while (span_word(&rest, "\n", &line)) {
		printf("%s: " SPAN_FMT "\n", name, SPAN_ARG(line));
		check.bad = true;
	}
	buf_reset(&check.messages);
}

/* --- sections ----------------------------------------------------------------------------------------------------- */

static bool check_main(void)
{
	struct conf *c;
	bool ok = conf_load(config_dir, NULL, 0, &c, &check.messages) != CONF_ERROR;
	int facility;

	if (ok) {
		conf = c;
		if (strchr(conf->myhostname, '.') == NULL)
			problem("warning: myhostname = %s: not a fully qualified name", conf->myhostname);
		if (!logto_facility(conf->syslog_facility, &facility))
			problem("error: syslog_facility = %s: no facility is called so", conf->syslog_facility);
	}
	if (ok && conf->maillog_file[0] == '\0' && access("/dev/log", F_OK) < 0)
		problem("warning: no syslog daemon listens on /dev/log, so nothing is logged; start one or set "
			"maillog_file");
	end_section("main.cf");
	return ok;
}

static void check_overrides(const struct mastercf_service *s)
{
	struct conf *c;

	if (s->noverrides == 0)
		return;
	if (conf_load(config_dir, s->overrides, s->noverrides, &c, &check.messages) != CONF_ERROR)
		conf_free(c);
}

static void check_program(const struct mastercf_service *s)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", conf->daemon_directory, s->program);
	if (!mastercf_is_settled(s) && access(path, X_OK) < 0)
		problem("error: master.cf:%d: service %s: %s: %s", s->line, s->name, path, strerror(errno));
}

/* The column is there for the sake of Postfix's master.cf; who a program runs as is the program's own affair. */
static void check_unpriv(const struct mastercf_service *s)
{
	static const struct {
		const char *program;
		bool unpriv;
	} known[] = {
		{ "smtpd", true },  { "qmgr", true },  { "smtp", true },   { "bounce", true }, { "login", true },
		{ "sasl", true },   { "local", false }, { "auth", false }, { "imapd", false }, { "pop3d", false },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(s->program, known[i].program) == 0 && s->unpriv != known[i].unpriv)
			problem("warning: master.cf:%d: service %s: write %s in the fourth column: %s %s", s->line,
				s->name, known[i].unpriv ? "-" : "n", s->program,
				known[i].unpriv ? "does not run as root" : "needs root");
}

static bool check_master(void)
{
	bool ok = mastercf_load(config_dir, &check.arena, &check.services, &check.messages) != CONF_ERROR;

	for (size_t i = 0; ok && i < check.services.count; i++) {
		check_program(&check.services.services[i]);
		check_unpriv(&check.services.services[i]);
		check_overrides(&check.services.services[i]);
	}
	end_section("master.cf");
	return ok;
}

static void need_user(const char *parameter, const char *name)
{
	if (getpwnam(name) == NULL)
		problem("error: %s = %s: there is no such user; useradd --system --no-create-home %s", parameter, name,
			name);
}

static void check_users(void)
{
	if (!conf_unprivileged(conf)) {
		const struct passwd *owner;

		need_user("mail_owner", conf->mail_owner);
		need_user("default_login_user", conf->default_login_user);
		need_user("default_privs", conf->default_privs);
		if (getgrnam(conf->setgid_group) == NULL)
			problem("error: setgid_group = %s: there is no such group; groupadd --system %s",
				conf->setgid_group, conf->setgid_group);
		owner = getpwnam(conf->mail_owner);
		if (owner && owner->pw_uid == 0)
			problem("error: mail_owner = %s: must not be root", conf->mail_owner);
		if (strcmp(conf->mail_owner, conf->default_login_user) == 0)
			problem(
			    "error: mail_owner and default_login_user are the same user: login could reach the queue");
	}
	end_section("users");
}

static void check_disk(const char *parameter, const char *path)
{
	struct statvfs fs;

	if (statvfs(path, &fs) < 0 || fs.f_blocks == 0)
		return;
	if (fs.f_bavail * 100 / fs.f_blocks < DISK_MIN_PERCENT)
		problem("warning: %s: less than %d %% of the file system of %s is free", parameter, DISK_MIN_PERCENT,
			path);
	if (fs.f_files && fs.f_favail * 100 / fs.f_files < DISK_MIN_PERCENT)
		problem("warning: %s: less than %d %% of the inodes of the file system of %s are free", parameter,
			DISK_MIN_PERCENT, path);
	if (conf->message_size_limit > 0 &&
	    (uint64_t)fs.f_bavail * fs.f_frsize < (uint64_t)conf->message_size_limit * 3 / 2)
		problem("error: %s: %s has no room for a message of message_size_limit: mail will be refused",
			parameter, path);
}

static void check_directories(void)
{
	layout_walk(conf, LAYOUT_CHECK, &check.messages);
	check_disk("queue_directory", conf->queue_directory);
	check_disk("mail_spool_directory", conf->mail_spool_directory);
	if (access(conf->mail_spool_directory, F_OK) < 0)
		problem("error: mail_spool_directory = %s: %s", conf->mail_spool_directory, strerror(errno));
	end_section("directories");
}

/* --- ports -------------------------------------------------------------------------------------------------------- */

static void try_endpoint(const struct mastercf_service *s, const struct endpoint *e)
{
	char text[ENDPOINT_TEXT_MAX];
	int fd;

	if (e->type != MASTERCF_INET)
		return;
	fd = netaddr_listen(&e->addr, 1);
	if (fd >= 0)
		close(fd);
	else if (!e->optional || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL))
		problem("error: master.cf:%d: service %s: %s: %s%s", s->line, s->name, endpoint_text(e, text),
			strerror(errno), errno == EADDRINUSE ? "; which other mail server runs here?" : "");
}

static void check_ports(void)
{
	pid_t pid = running_master();

	for (size_t i = 0; i < check.services.count; i++) {
		const struct mastercf_service *s = &check.services.services[i];
		struct endpoints list;

		if (!endpoint_wanted(conf, s) || !endpoints_of(conf, s, &check.arena, &list, &check.messages))
			continue;
		for (size_t k = 0; pid == 0 && k < list.count; k++)
			try_endpoint(s, &list.list[k]);
	}
	if (pid)
		printf("ports: the mail system is running, process %d\n", (int)pid);
	end_section("ports");
}

/* --- tables ------------------------------------------------------------------------------------------------------- */

/*
 * The libraries that use tables say in the log what is wrong with them. Whatever they say while fn runs becomes
 * problems of the section, without the date and the name in front.
 */
static void with_log_as_problems(void (*fn)(void))
{
	char bytes[65536];
	struct span rest, line;
	int fd = memfd_create("check", MFD_CLOEXEC);
	ssize_t n;

	log_open("posthouse/check", LOG_TO_FD, fd, 0);
	fn();
	log_open("posthouse/posthouse", LOG_TO_STDERR, -1, 0);
	n = fd < 0 ? 0 : pread(fd, bytes, sizeof bytes, 0);
	rest = span_of(bytes, n > 0 ? (size_t)n : 0);
	while (span_word(&rest, "\n", &line)) {
		ptrdiff_t text = span_find(line, SPAN("]: "));

		line = span_skip(line, text < 0 ? 0 : (size_t)text + 3);
		if (span_starts(line, "warning: ") || span_starts(line, "error: "))
			problem(SPAN_FMT, SPAN_ARG(line));
	}
	close(fd);
}

/* Asking for anything at all opens the table. */
static void try_table(struct span word)
{
	ptrdiff_t colon = span_chr(word, ':');
	struct span value;

	if (colon > 1 && word.ptr[0] != '/' && word.ptr[0] != '[' && !ascii_isdigit(word.ptr[0]))
		if (map_get(map_open(arena_cstr(&check.arena, word)), &check.arena, SPAN("postmaster"), &value) ==
		    MAP_TEMP)
			buf_addf(&check.unreadable, "error: cannot ask the table " SPAN_FMT "\n", SPAN_ARG(word));
}

static bool names_tables(const char *parameter)
{
	struct span name = span_cstr(parameter);

	return span_ends(name, "_maps") || span_ends(name, "_database") || span_ends(name, "_domains") ||
	       strcmp(parameter, "mydestination") == 0 || strcmp(parameter, "mynetworks") == 0;
}

static void check_passwd_file(const char *parameter, const char *value)
{
	struct span rest = span_cstr(value), word;

	while (span_word(&rest, ", \t", &word))
		if (span_starts(word, "passwd-file:") &&
		    access(arena_cstr(&check.arena, span_skip(word, 12)), R_OK) < 0)
			problem("error: %s: " SPAN_FMT ": %s", parameter, SPAN_ARG(word), strerror(errno));
}

static void try_tables(void)
{
	for (size_t i = 0; i < conf_nparams; i++) {
		const char *value = conf_params[i].kind == 's' && names_tables(conf_params[i].name)
					? conf_value(conf, &check.arena, conf_params[i].name)
					: NULL;
		struct span rest = span_cstr(value), word;

		while (map_list_word(&rest, &word))
			try_table(span_starts(word, "!") ? span_skip(word, 1) : word);
	}
}

static void check_tables(void)
{
	buf_init(&check.unreadable, MESSAGES_MAX);
	with_log_as_problems(try_tables);
	if (check.messages.len == 0) /* else the log has said it better */
		buf_add_span(&check.messages, buf_span(&check.unreadable));
	buf_free(&check.unreadable);
	check_passwd_file("userdb", conf->userdb);
	check_passwd_file("passdb", conf->passdb);
	end_section("tables");
}

/* Domains in two classes, names of interfaces without an address, ... */
static void check_routes(void)
{
	with_log_as_problems(route_init);
	end_section("routes");
}

int check_everything(void)
{
	bool readable;

	buf_init(&check.messages, MESSAGES_MAX);
	readable = check_main();
	if (readable) { /* the rest goes by what main.cf says */
		bool services = check_master();

		check_users();
		check_directories();
		if (services)
			check_ports();
		check_tls(conf, &check.services, &check.messages);
		end_section("tls");
		check_tables();
		check_routes();
	}
	buf_free(&check.messages);
	arena_free(&check.arena);
	return check.bad ? 1 : 0;
}
