/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * posthouse user: the users of a passwd-file. Passwords come on standard input, never on the command line, where
 * everybody could see them. The file is replaced whole: whoever reads it sees the old or the new one, also after a
 * power failure.
 */
#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/conf/conf.h"
#include "lib/conf/lines.h"
#include "lib/map/passwdfile.h"
#include "lib/proto/auth_name.h"
#include "lib/proto/sasl_scram.h"
#include "tools/posthouse/posthouse.h"

enum { PASSWORD_MAX = 1024, LINE_MAX_BYTES = 4096, SALT_BYTES = 16, EXTRA_FIELD = 7 };

static struct {
	struct arena arena;
	char path[4096];
	int dir;         /* locked while the file is changed */
	struct stat st;  /* of the file as it was; st_nlink 0: there was none */
	struct buf text; /* of the old file */
	const char *scheme, *uid, *gid, *home, *shell, *mail;
} u = { .scheme = "CRYPT", .uid = "", .gid = "", .home = "", .shell = "", .mail = "" };

/* --- the file ------------------------------------------------------------------------------------------------------ */

static bool find_path(const char *list)
{
	struct span rest = span_cstr(list), word;

	while (span_word(&rest, ", \t", &word))
		if (span_starts(word, "passwd-file:")) {
			snprintf(u.path, sizeof u.path, SPAN_FMT, SPAN_ARG(span_skip(word, strlen("passwd-file:"))));
			return true;
		}
	return false;
}

static void open_file(bool change)
{
	char *resolved, parent[4096];

	if (!find_path(conf->passdb) && !find_path(conf->userdb))
		log_fatal("neither passdb nor userdb is a passwd-file: users are made as the system makes them (useradd, passwd)");
	resolved = realpath(u.path, NULL); /* a link stays one */
	if (resolved)
		snprintf(u.path, sizeof u.path, "%s", resolved);
	free(resolved);
	snprintf(parent, sizeof parent, "%s", u.path);
	u.dir = open(dirname(parent), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (u.dir < 0 || (change && flock(u.dir, LOCK_EX) < 0))
		log_fatal("%s: %m", parent);
	buf_init(&u.text, LINES_FILE_MAX);
	if (lines_read_file(u.path, &u.text) < 0 && errno != ENOENT)
		log_fatal("%s: %m", u.path);
	if (stat(u.path, &u.st) < 0)
		u.st = (struct stat){ .st_mode = 0600, .st_uid = geteuid(), .st_gid = getegid() };
}

static void replace_file(struct buf *text)
{
	char temp[4096 + 32];
	int fd;

	snprintf(temp, sizeof temp, "%s.new.%ld", u.path, (long)getpid());
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		log_fatal("%s: %m", temp);
	if (fchown(fd, u.st.st_uid, u.st.st_gid) < 0 || fchmod(fd, u.st.st_mode & 07777) < 0 ||
	    write(fd, text->ptr, text->len) != (ssize_t)text->len || fsync(fd) < 0 || close(fd) < 0 || rename(temp, u.path) < 0 ||
	    fsync(u.dir) < 0) {
		int err = errno;

		unlink(temp);
		log_fatal("%s: %s; nothing was changed", u.path, strerror(err));
	}
}

static struct span next_line(struct span *rest)
{
	struct span line = *rest;
	ptrdiff_t end = span_chr(line, '\n');

	line = span_head(line, end < 0 ? line.len : (size_t)end + 1);
	*rest = span_skip(*rest, line.len);
	return line;
}

static bool is_user(struct span line, const char *name, struct passwd_line *p)
{
	line = span_trim(line);
	return line.len && line.ptr[0] != '#' && passwd_line_parse(line, p) && (name == NULL || span_is(p->name, name));
}

/* Copy the file; instead of the line of name: with, which may be empty (then the line goes). False: there is no such line. */
static bool rewrite(struct buf *out, const char *name, struct span with)
{
	struct span rest = buf_span(&u.text);
	struct passwd_line p;
	bool found = false;

	while (rest.len) {
		struct span line = next_line(&rest);
		bool it = is_user(line, name, &p);

		buf_add_span(out, it ? with : line);
		found |= it;
	}
	if (out->len && out->ptr[out->len - 1] != '\n')
		buf_addc(out, '\n');
	return found;
}

/* --- passwords ----------------------------------------------------------------------------------------------------- */

static bool ask(const char *prompt, char to[PASSWORD_MAX])
{
	struct termios old, quiet;
	bool tty = tcgetattr(STDIN_FILENO, &old) == 0, got;

	if (tty) {
		fputs(prompt, stderr);
		quiet = old;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	got = fgets(to, PASSWORD_MAX, stdin) != NULL;
	if (tty) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
		fputc('\n', stderr);
	}
	return got;
}

static struct span read_password(char to[PASSWORD_MAX])
{
	char again[PASSWORD_MAX];
	struct span s;

	if (!ask("Password: ", to) || (isatty(STDIN_FILENO) && (!ask("Once more: ", again) || strcmp(to, again) != 0)))
		log_fatal("no password, or not twice the same; nothing was changed");
	s = span_cstr(to);
	if (s.len == PASSWORD_MAX - 1)
		log_fatal("the password is too long");
	while (s.len && (s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == '\r'))
		s.len--;
	to[s.len] = '\0';
	for (size_t i = 0; i < s.len; i++)
		if (ascii_iscntrl(s.ptr[i]))
			log_fatal("a control character in the password");
	if (s.len == 0)
		log_fatal("an empty password would match nothing");
	return s;
}

static void put_crypt(struct buf *out, const char *password)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *work = mem_zalloc(sizeof *work);
	const char *hash;

	if (!crypt_gensalt_rn(NULL, 0, NULL, 0, setting, sizeof setting)) /* the system's preferred method */
		log_fatal("crypt_gensalt: %m");
	hash = crypt_rn(password, setting, work, sizeof *work);
	if (hash == NULL)
		log_fatal("crypt: %m");
	buf_addf(out, "{CRYPT}%s", hash);
	mem_wipe(work, sizeof *work);
	free(work);
}

static void put_scram(struct buf *out, enum scram_hash hash, struct span password)
{
	char salt[SALT_BYTES];
	struct scram_secret s;

	must(getrandom(salt, sizeof salt, 0) == (ssize_t)sizeof salt);
	scram_secret_make(&s, hash, password, span_of(salt, sizeof salt), SCRAM_ITERATIONS);
	buf_addf(out, "{SCRAM-SHA-%s}", hash == SCRAM_SHA_1 ? "1" : "256");
	scram_secret_print(out, &s);
	mem_wipe(&s, sizeof s);
}

static struct span new_field(void)
{
	char text[PASSWORD_MAX];
	struct span password = read_password(text), field;
	struct span scheme = span_cstr(u.scheme);
	struct buf b;

	buf_init(&b, LINE_MAX_BYTES);
	if (span_iis(scheme, "CRYPT"))
		put_crypt(&b, text);
	else if (span_iis(scheme, "SCRAM-SHA-256") || span_iis(scheme, "SCRAM-SHA-1"))
		put_scram(&b, span_iis(scheme, "SCRAM-SHA-1") ? SCRAM_SHA_1 : SCRAM_SHA_256, password);
	else if (!span_iis(scheme, "PLAIN"))
		log_fatal("-s %s: CRYPT, SCRAM-SHA-256, SCRAM-SHA-1 or PLAIN is expected", u.scheme);
	else if (span_chr(password, ':') >= 0)
		log_fatal("a password with a colon cannot be kept as PLAIN");
	else
		buf_addf(&b, "{PLAIN}%s", text);
	mem_wipe(text, sizeof text);
	must(!b.overflow);
	field = arena_span(&u.arena, buf_span(&b));
	buf_wipe(&b);
	return field;
}

/* --- the verbs ----------------------------------------------------------------------------------------------------- */

static void need_name(const char *name)
{
	struct span formatted;

	if (!auth_name_valid(span_cstr(name)) || !passwd_name_valid(span_cstr(name)))
		log_fatal("%s is not a user name: letters, digits and . - _ @ + are", name);
	formatted = auth_name_format(&u.arena, conf->auth_username_format, span_cstr(name));
	if (!span_is(formatted, name))
		log_fatal("nobody can log in as %s: auth_username_format makes " SPAN_FMT " of it", name, SPAN_ARG(formatted));
}

static const char *number_or(const char *given, unsigned mine)
{
	return given[0] == '\0' && conf_unprivileged(conf) ? arena_printf(&u.arena, "%u", mine) : given;
}

static int add(const char *name)
{
	struct span field;
	struct buf out;

	need_name(name);
	if (!conf_unprivileged(conf) && (u.uid[0] == '\0' || u.gid[0] == '\0'))
		log_fatal("-u UID and -g GID say who owns the mailbox");
	open_file(true);
	buf_init(&out, LINES_FILE_MAX + LINE_MAX_BYTES);
	if (rewrite(&out, name, SPAN_NONE))
		log_fatal("%s: there is a user %s already", u.path, name);
	field = new_field();
	buf_addf(&out, "%s:" SPAN_FMT ":%s:%s::%s:%s:%s%s\n", name, SPAN_ARG(field), number_or(u.uid, getuid()),
		 number_or(u.gid, getgid()), u.home, u.shell, u.mail[0] ? "userdb_mail=" : "", u.mail);
	replace_file(&out);
	buf_wipe(&out);
	return 0;
}

/* Open the file for a change of this user's line. */
static struct span find_line(const char *name)
{
	struct passwd_line p;
	struct span rest, line;

	open_file(true);
	rest = buf_span(&u.text);
	do {
		line = next_line(&rest);
		if (line.len == 0)
			log_fatal("%s: there is no user %s", u.path, name);
	} while (!is_user(line, name, &p));
	return line;
}

static int change_password(const char *name)
{
	struct span line = find_line(name), first, field = new_field();
	struct buf out, changed;

	buf_init(&out, LINES_FILE_MAX + LINE_MAX_BYTES);
	buf_init(&changed, LINES_FILE_MAX);
	first = span_cut(&line, ':');
	(void)span_cut(&line, ':');
	buf_addf(&changed, SPAN_FMT ":" SPAN_FMT ":", SPAN_ARG(first), SPAN_ARG(field));
	buf_add_span(&changed, line);
	if (changed.ptr[changed.len - 1] != '\n')
		buf_addc(&changed, '\n');
	rewrite(&out, name, buf_span(&changed));
	replace_file(&out);
	buf_wipe(&out);
	buf_wipe(&changed);
	return 0;
}

static int del(const char *name)
{
	struct buf out;

	open_file(true);
	buf_init(&out, LINES_FILE_MAX + LINE_MAX_BYTES);
	if (!rewrite(&out, name, SPAN_NONE))
		log_fatal("%s: there is no user %s", u.path, name);
	replace_file(&out);
	buf_wipe(&out);
	return 0;
}

/* The fields of a line, and the words behind them but for `nologin'. */
static void put_without_word(struct buf *out, struct span line)
{
	struct span rest = line, word;
	int fields = 0;

	while (fields < EXTRA_FIELD && rest.len) {
		buf_add_span(out, span_cut(&rest, ':'));
		buf_addc(out, ':');
		fields++;
	}
	for (; fields < EXTRA_FIELD; fields++)
		buf_addc(out, ':');
	for (bool first = true; span_word(&rest, " \t", &word);) {
		if (span_is(word, "nologin") || span_starts(word, "nologin="))
			continue;
		buf_addf(out, "%s" SPAN_FMT, first ? "" : " ", SPAN_ARG(word));
		first = false;
	}
}

static int bar(const char *name, bool barred)
{
	struct span line = find_line(name);
	struct buf out, changed;

	buf_init(&out, LINES_FILE_MAX + LINE_MAX_BYTES);
	buf_init(&changed, LINES_FILE_MAX);
	put_without_word(&changed, span_trim(line));
	if (barred)
		buf_adds(&changed, changed.ptr[changed.len - 1] == ':' ? "nologin" : " nologin");
	buf_addc(&changed, '\n');
	rewrite(&out, name, buf_span(&changed));
	replace_file(&out);
	buf_wipe(&out);
	buf_wipe(&changed);
	return 0;
}

static int list(void)
{
	struct passwd_line p;
	struct span rest;

	open_file(false);
	rest = buf_span(&u.text);
	while (rest.len)
		if (is_user(next_line(&rest), NULL, &p))
			printf(SPAN_FMT "\n", SPAN_ARG(p.name));
	return 0;
}

static int usage(void)
{
	fputs("usage: posthouse user add [-s scheme] [-u uid] [-g gid] [-d home] [-m mail_location] name\n"
	      "       posthouse user passwd [-s scheme] name\n"
	      "       posthouse user del|disable|enable name\n"
	      "       posthouse user list\n"
	      "The password is read from standard input.\n",
	      stderr);
	return EX_USAGE;
}

static bool field_is_good(const char *s)
{
	for (; *s; s++)
		if (*s == ':' || ascii_iscntrl(*s))
			return false;
	return true;
}

int user_command(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	int letter;

	optind = 2;
	while (argc > 1 && (letter = getopt(argc, argv, "+s:u:g:d:m:")) != -1) {
		if (letter == '?' || (letter != 'm' && !field_is_good(optarg)))
			return usage();
		*(letter == 's'   ? &u.scheme
		  : letter == 'u' ? &u.uid
		  : letter == 'g' ? &u.gid
		  : letter == 'd' ? &u.home
				  : &u.mail) = optarg;
	}
	if (strcmp(verb, "list") == 0 && optind == argc)
		return list();
	if (optind != argc - 1)
		return usage();
	if (strcmp(verb, "add") == 0)
		return add(argv[optind]);
	if (strcmp(verb, "passwd") == 0)
		return change_password(argv[optind]);
	if (strcmp(verb, "disable") == 0 || strcmp(verb, "enable") == 0)
		return bar(argv[optind], verb[0] == 'd');
	return strcmp(verb, "del") == 0 ? del(argv[optind]) : usage();
}
