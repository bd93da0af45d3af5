/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certificates for the programs that may not read their files, and keys of session tickets (tlsset.h). Files are watched by their
 * time and inode, their directories by inotify so that a change is seen at once. What is in them is read by a child: a
 * malformed certificate must not be able to end master.
 */
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/lines.h"
#include "lib/io/tls.h"
#include "lib/service/layout.h"
#include "lib/service/tlsset.h"
#include "master/master.h"

enum { SETTLE_MS = 100, LOOK_MS = 10000, SETS_MAX = 200, PATH_BYTES = 96 };

struct wanted {
	enum tls_kind kind;
	struct tls_set set;
};

static struct {
	struct arena arena;
	struct wanted *sets; /* SETS_MAX */
	size_t nsets;
	uint64_t signature;         /* of all watched files */
	struct loop_timer timer;
	struct loop_source notify;
	bool started;
} tls = { .arena = ARENA_INIT, .notify.fd = -1 };

/* --- in the child ------------------------------------------------------------------------------------------------- */

static gid_t reader(enum tls_kind kind)
{
	gid_t gid = (gid_t)-1;
	uid_t uid;

	if (conf_unprivileged(conf))
		return (gid_t)-1;
	if (!(kind == TLS_LOGIN ? layout_login_ids(conf, &uid, &gid) : layout_mail_ids(conf, &uid, &gid)))
		log_error("no group may read certificates: no such user");
	return gid;
}

static bool same_as(const char *path, struct span text)
{
	struct buf old;
	bool same;

	buf_init(&old, TLS_BUNDLE_MAX);
	same = lines_read_file(path, &old) == 0 && span_eq(buf_span(&old), text);
	buf_wipe(&old);
	return same;
}

static void write_bundle(const char *path, struct span text, gid_t gid)
{
	char temporary[PATH_BYTES + 8];
	int fd;

	if (same_as(path, text))
		return;
	snprintf(temporary, sizeof temporary, "%s.new", path);
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
	if (fd < 0 || write(fd, text.ptr, text.len) != (ssize_t)text.len ||
	    (gid != (gid_t)-1 && (fchown(fd, (uid_t)-1, gid) < 0 || fchmod(fd, 0440) < 0)) || rename(temporary, path) < 0)
		log_error("%s: %m", temporary);
	if (fd >= 0)
		close(fd);
}

static void path_of(const struct wanted *w, char to[PATH_BYTES])
{
	snprintf(to, PATH_BYTES, "%s/%s.pem", tls_kind_dir(w->kind), w->set.id);
}

static void make_bundle(const struct wanted *w)
{
	char path[PATH_BYTES], why[256];
	struct buf b;

	path_of(w, path);
	buf_init(&b, TLS_BUNDLE_MAX);
	if (tls_set_bundle(&w->set, &b, why))
		write_bundle(path, buf_span(&b), reader(w->kind));
	else
		log_warn("TLS certificate: %s; %s", why,
			 access(path, F_OK) == 0 ? "the one in use stays" : "no TLS before this is mended");
	buf_wipe(&b);
}

static bool still_wanted(enum tls_kind kind, const char *name)
{
	for (size_t i = 0; i < tls.nsets; i++)
		if (tls.sets[i].kind == kind && strncmp(name, tls.sets[i].set.id, 32) == 0 && strcmp(name + 32, ".pem") == 0)
			return true;
	return false;
}

/* Keys that nobody needs any more must not lie about. */
static void clean(enum tls_kind kind)
{
	DIR *dir = opendir(tls_kind_dir(kind));
	struct dirent *d;

	while (dir && (d = readdir(dir)) != NULL)
		if (strlen(d->d_name) > 4 && d->d_name[0] != '.' && strcmp(d->d_name, "tickets") != 0 &&
		    !still_wanted(kind, d->d_name))
			(void)unlinkat(dirfd(dir), d->d_name, 0);
	if (dir)
		closedir(dir);
}

static void rotate(enum tls_kind kind)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof path, "%s/tickets", tls_kind_dir(kind));
	if (tls_tickets_rotate(path, conf->smtpd_tls_session_cache_timeout_ms / 1000, reader(kind)) < 0)
		log_error("%s: %m", path);
}

static void work(void)
{
	for (size_t i = 0; i < tls.nsets; i++)
		make_bundle(&tls.sets[i]);
	rotate(TLS_SMTPD);
	rotate(TLS_LOGIN);
	clean(TLS_SMTPD);
	clean(TLS_LOGIN);
}

static void refresh(bool wait)
{
	pid_t pid;
	int status;

	pid = fork();
	if (pid == 0) {
		work();
		_exit(0);
	}
	if (pid < 0)
		log_error("cannot look at the certificates: %m");
	while (pid > 0 && wait && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

/* --- watching ----------------------------------------------------------------------------------------------------- */

static void mix(uint64_t *h, uint64_t value)
{
	*h = (*h ^ value) * UINT64_C(0x9E3779B97F4A7C15);
	*h ^= *h >> 29;
}

static uint64_t signature(void)
{
	uint64_t h = 1;

	for (size_t i = 0; i < tls.nsets; i++)
		for (size_t k = 0; k < tls.sets[i].set.nwatched; k++) {
			struct stat st = { .st_ino = 0 };

			(void)!stat(tls.sets[i].set.watched[k], &st);
			mix(&h, st.st_ino);
			mix(&h, (uint64_t)st.st_mtim.tv_sec);
			mix(&h, (uint64_t)st.st_mtim.tv_nsec);
			mix(&h, (uint64_t)st.st_size);
		}
	return h;
}

static void read_sets(void);

static void look(struct loop_timer *t)
{
	uint64_t now = signature();

	if (now != tls.signature) {
		tls.signature = now;
		read_sets(); /* a table of names may have other files now */
		refresh(false);
	} else {
		rotate(TLS_SMTPD);
		rotate(TLS_LOGIN);
	}
	loop_timer_set(master.loop, t, clock_mono_ms() + LOOK_MS);
}

/* Something happened in one of the directories. Whoever replaces a key and a certificate gets a moment for both. */
static void noticed(struct loop_source *src, uint32_t events)
{
	char bytes[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	(void)events;
	while (read(src->fd, bytes, sizeof bytes) > 0)
		;
	loop_timer_set(master.loop, &tls.timer, clock_mono_ms() + SETTLE_MS);
}

static void watch_directory(const char *path)
{
	char dir[4096];
	char *slash;

	snprintf(dir, sizeof dir, "%s", path);
	slash = strrchr(dir, '/');
	if (slash == NULL)
		return;
	slash[slash == dir] = '\0';
	(void)inotify_add_watch(tls.notify.fd, dir, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ATTRIB);
}

static void watch_all(void)
{
	loop_del(master.loop, &tls.notify);
	if (tls.notify.fd >= 0)
		close(tls.notify.fd);
	tls.notify.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	tls.notify.ready = noticed;
	if (tls.notify.fd < 0) /* the timer still looks */
		return;
	for (size_t i = 0; i < tls.nsets; i++)
		for (size_t k = 0; k < tls.sets[i].set.nwatched; k++)
			watch_directory(tls.sets[i].set.watched[k]);
	loop_add(master.loop, &tls.notify, EPOLLIN);
}

/* --- which there are ---------------------------------------------------------------------------------------------- */

static void add_set(const struct conf *c, enum tls_kind kind, struct buf *messages)
{
	struct tls_set set;

	if (tls.nsets == SETS_MAX || !tls_set_of(c, kind, true, &tls.arena, &set, messages))
		return;
	for (size_t i = 0; i < tls.nsets; i++)
		if (tls.sets[i].kind == kind && strcmp(tls.sets[i].set.id, set.id) == 0)
			return;
	tls.sets[tls.nsets].kind = kind;
	tls.sets[tls.nsets++].set = set;
}

static bool about_tls(const struct mastercf_service *s)
{
	for (size_t i = 0; i < s->noverrides; i++)
		if (strncmp(s->overrides[i], "smtpd_tls_", 10) == 0 || strncmp(s->overrides[i], "ssl", 3) == 0 ||
		    strncmp(s->overrides[i], "tls_", 4) == 0)
			return true;
	return false;
}

/* Services with certificates of their own; their configuration is needed only while this runs. */
static void add_of_service(const struct mastercf_service *s, struct buf *messages)
{
	enum tls_kind kind = strcmp(s->program, "login") == 0 ? TLS_LOGIN : TLS_SMTPD;
	struct conf *c;
	struct buf dropped;

	if (!about_tls(s) || (kind == TLS_SMTPD && strcmp(s->program, "smtpd") != 0))
		return;
	buf_init(&dropped, 65536);
	if (conf_load(master.config_dir, s->overrides, s->noverrides, &c, &dropped) != CONF_ERROR) {
		add_set(c, kind, messages);
		conf_free(c);
	}
	buf_free(&dropped);
}

static void read_sets(void)
{
	struct buf messages;

	arena_reset(&tls.arena);
	tls.sets = arena_array(&tls.arena, SETS_MAX, sizeof *tls.sets);
	tls.nsets = 0;
	buf_init(&messages, 65536);
	add_set(conf, TLS_SMTPD, &messages);
	add_set(conf, TLS_LOGIN, &messages);
	list_for_each(node, &master.services) {
		struct service_state *s = list_entry(node, struct service_state, node);

		if (!s->retired && s->entry)
			add_of_service(s->entry, &messages);
	}
	log_problems(&messages);
	buf_free(&messages);
	watch_all();
}

/* --- services that make no sense without ------------------------------------------------------------------------- */

static bool demands_tls(const struct conf *c, const struct mastercf_service *s, enum tls_kind *kind_r)
{
	*kind_r = TLS_SMTPD;
	if (strcmp(s->program, "smtpd") == 0)
		return s->noverrides && (c->smtpd_tls_wrappermode || strcmp(c->smtpd_tls_security_level, "encrypt") == 0);
	*kind_r = TLS_LOGIN;
	for (size_t i = 0; strcmp(s->program, "login") == 0 && i < s->nargs; i++)
		if (strcmp(s->args[i], "-t") == 0)
			return true;
	return false;
}

bool tls_is_missing(const struct mastercf_service *s)
{
	struct conf *own = NULL;
	struct buf dropped;
	enum tls_kind kind;
	bool missing = false;

	buf_init(&dropped, 65536);
	if (s->type == MASTERCF_INET &&
	    (!about_tls(s) ||
	     conf_load(master.config_dir, s->overrides, s->noverrides, &own, &dropped) != CONF_ERROR)) {
		const struct conf *c = own ? own : conf;

		missing = demands_tls(c, s, &kind) &&
			  (!tls_configured(c, kind) || (kind == TLS_LOGIN && strcmp(c->ssl, "no") == 0));
	}
	conf_free(own);
	buf_free(&dropped);
	return missing;
}

static char missing[1024];

void tls_set_missing(const char *names)
{
	snprintf(missing, sizeof missing, "%s", names);
}

void tls_log_missing(void)
{
	if (missing[0])
		log_info("no TLS certificate is configured, these services are not run:%s", missing);
}

void tls_prepare(void)
{
	read_sets();
	tls.signature = signature();
	refresh(true);
	tls.timer.fire = look;
	loop_timer_set(master.loop, &tls.timer, clock_mono_ms() + LOOK_MS);
}
