/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * posthouse mailbox VERB USER ...: what an administrator does with a user's mail. The program becomes the user, for good, before
 * it looks at anything of his. Output is one line each, fields separated by tabs.
 */
#include "tools/posthouse/mailbox.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/proto/date.h"
#include "lib/proto/header.h"
#include "tools/posthouse/posthouse.h"

static struct arena arena;

static void __attribute__((noreturn)) fail(int status, const char *user, const char *why)
{
	log_error("%s: %s", user, why);
	exit(status);
}

/* With the group that may write locks beside spool files, as imapd has it. */
static void become(const struct user *u, const char *name)
{
	gid_t groups[2] = { u->gid, u->gid };
	struct group *g = conf->mail_privileged_group[0] ? getgrnam(conf->mail_privileged_group) : NULL;

	umask(0077);
	if (geteuid() != 0 || conf_unprivileged(conf))
		return;
	if (u->uid == 0)
		fail(EX_NOPERM, name, "root has no mail here");
	if (g != NULL)
		groups[1] = g->gr_gid;
	if (setgroups(2, groups) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 || setresuid(u->uid, u->uid, u->uid) < 0 ||
	    setuid(0) == 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
		fail(EX_OSERR, name, "cannot become this user");
}

struct store *mailbox_open_store(const char *name)
{
	const char *why = "";
	struct store *s;
	struct user u;

	store_set_locking(conf->mailbox_delivery_lock, conf->mbox_lock_timeout_ms, conf->stale_lock_time_ms);
	switch (userdb_get(&arena, span_cstr(name), &u)) {
	case MAP_OK:
		break;
	case MAP_NOTFOUND:
		fail(EX_NOUSER, name, "no such user");
	default:
		fail(EX_TEMPFAIL, name, "the user database cannot be asked");
	}
	become(&u, name);
	if (chdir(u.home) < 0 && errno != ENOENT)
		fail(EX_NOPERM, name, "the home directory cannot be entered");
	if (store_open(&arena, &u, u.mail_location ? u.mail_location : conf->mail_location, &s, &why) != STORE_OK)
		fail(EX_CONFIG, name, why);
	return s;
}

int mailbox_status(enum store_status st, const char *name)
{
	static const int status[] = { [STORE_NOTFOUND] = EX_NOINPUT,   [STORE_EXISTS] = EX_CANTCREAT, [STORE_BADNAME] = EX_DATAERR,
				      [STORE_REFUSED] = EX_CANTCREAT,  [STORE_EXPUNGED] = EX_NOINPUT, [STORE_NOSPACE] = EX_IOERR,
				      [STORE_LOCKED] = EX_TEMPFAIL,    [STORE_TOOBIG] = EX_IOERR,     [STORE_ERROR] = EX_IOERR };

	if (st == STORE_OK)
		return 0;
	log_error("%s: %s", name, store_status_str(st));
	return status[st];
}

/* --- folders ------------------------------------------------------------------------------------------------------ */

static int list(struct store *s, int argc, char **argv)
{
	struct store_folder *v;
	size_t n;
	enum store_status st = store_list(s, &arena, &v, &n);

	(void)argc;
	(void)argv;
	for (size_t i = 0; st == STORE_OK && i < n; i++)
		if (v[i].exists && v[i].selectable)
			printf(SPAN_FMT "\n", SPAN_ARG(v[i].name));
	return mailbox_status(st, "list");
}

static enum store_status show_one(struct store *s, const char *name)
{
	struct store_counts c;
	struct span id;
	enum store_status st = store_status_of(s, span_cstr(name), &c);

	if (st == STORE_OK)
		st = store_id_of(s, span_cstr(name), &arena, &id);
	if (st == STORE_OK)
		printf("%s\tmessages=%u\trecent=%u\tunseen=%u\tuidnext=%u\tuidvalidity=%u\thighestmodseq=%llu\tsize=%llu\t"
		       "mailboxid=" SPAN_FMT "\n",
		       name, c.messages, c.recent, c.unseen, c.uidnext, c.uidvalidity, (unsigned long long)c.modseq,
		       (unsigned long long)c.size, SPAN_ARG(id));
	return st;
}

static enum store_status create_one(struct store *s, const char *name)
{
	return store_create(s, span_cstr(name));
}

static enum store_status delete_one(struct store *s, const char *name)
{
	return store_delete(s, span_cstr(name));
}

/* Each of them, whatever becomes of the others; the last failure is the answer. */
static int each(struct store *s, int argc, char **argv, enum store_status (*one)(struct store *s, const char *name))
{
	int worst = 0;

	for (int i = 0; i < argc; i++) {
		int status = mailbox_status(one(s, argv[i]), argv[i]);

		worst = status ? status : worst;
	}
	return worst;
}

static int status(struct store *s, int argc, char **argv)
{
	return each(s, argc, argv, show_one);
}

static int create(struct store *s, int argc, char **argv)
{
	return each(s, argc, argv, create_one);
}

static int delete(struct store *s, int argc, char **argv)
{
	return each(s, argc, argv, delete_one);
}

static int rename_folder(struct store *s, int argc, char **argv)
{
	(void)argc;
	return mailbox_status(store_rename(s, span_cstr(argv[0]), span_cstr(argv[1])), argv[0]);
}

/* --- messages ------------------------------------------------------------------------------------------------------ */

static int with_messages(struct store *s, int argc, char **argv, int (*run)(struct mailbox *mb, struct mailbox_query *q))
{
	struct mailbox_query *q = mailbox_query_parse(&arena, argc - 1, argv + 1);
	struct mailbox *mb;
	enum store_status st;
	int rc;

	if (q == NULL)
		return EX_USAGE;
	st = store_select(s, span_cstr(argv[0]), true, &mb);
	if (st != STORE_OK)
		return mailbox_status(st, argv[0]);
	rc = run(mb, q);
	mailbox_close(mb);
	return rc;
}

static int show_uids(struct mailbox *mb, struct mailbox_query *q)
{
	for (uint32_t seq = 1; seq <= mailbox_count(mb); seq++)
		if (mailbox_query_matches(q, mb, seq))
			printf("%u\n", mailbox_msg(mb, seq)->uid);
	return 0;
}

static void show_flags(struct mailbox *mb, const struct store_msg *m)
{
	static const char *const names[] = { "\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft" };
	const char *gap = "";

	for (unsigned i = 0; i < 5; i++)
		if (m->flags & 1u << i)
			printf("%s%s", gap, names[i]), gap = " ";
	for (unsigned i = 0; i < STORE_KEYWORDS_MAX; i++)
		if (m->keywords & UINT64_C(1) << i)
			printf("%s%s", gap, mailbox_keyword(mb, i)), gap = " ";
}

static int show_messages(struct mailbox *mb, struct mailbox_query *q)
{
	for (uint32_t seq = 1; seq <= mailbox_count(mb); seq++) {
		const struct store_msg *m = mailbox_msg(mb, seq);
		struct date date = { .at = (time_t)m->internal_date, .zone_minutes = m->zone_minutes };
		char text[DATE_TEXT_MAX];
		uint64_t size = 0;

		if (!mailbox_query_matches(q, mb, seq) || mailbox_size(mb, seq, &size) != STORE_OK)
			continue;
		printf("uid=%u\tsize=%llu\tdate=%s\tflags=", m->uid, (unsigned long long)size, date_imap(date, text));
		show_flags(mb, m);
		putchar('\n');
	}
	return 0;
}

static int show_text(struct mailbox *mb, struct mailbox_query *q, bool header)
{
	enum store_status st = STORE_OK;

	for (uint32_t seq = 1; seq <= mailbox_count(mb) && st == STORE_OK; seq++) {
		struct store_view view;

		if (!mailbox_query_matches(q, mb, seq) || (st = mailbox_view(mb, seq, &view)) != STORE_OK)
			continue;
		fwrite(view.raw.ptr, 1, header ? header_size(view.raw) : view.raw.len, stdout);
		store_view_done(&view);
	}
	return mailbox_status(st, "fetch");
}

static int show_headers(struct mailbox *mb, struct mailbox_query *q)
{
	return show_text(mb, q, true);
}

static int show_whole(struct mailbox *mb, struct mailbox_query *q)
{
	return show_text(mb, q, false);
}

static int search(struct store *s, int argc, char **argv)
{
	return with_messages(s, argc, argv, show_uids);
}

static int fetch(struct store *s, int argc, char **argv)
{
	if (strcmp(argv[0], "info") == 0)
		return with_messages(s, argc - 1, argv + 1, show_messages);
	if (strcmp(argv[0], "header") == 0)
		return with_messages(s, argc - 1, argv + 1, show_headers);
	if (strcmp(argv[0], "text") == 0)
		return with_messages(s, argc - 1, argv + 1, show_whole);
	fprintf(stderr, "posthouse: fetch shows info, header or text, not %s\n", argv[0]);
	return EX_USAGE;
}

static int export(struct store *s, int argc, char **argv)
{
	return with_messages(s, argc, argv, mailbox_export);
}

static int import(struct store *s, int argc, char **argv)
{
	(void)argc;
	return mailbox_import(s, argv[0]);
}

/* --- the table ------------------------------------------------------------------------------------------------------ */

enum { MANY = 1000000 };

struct verb {
	const char *name;
	int (*run)(struct store *s, int argc, char **argv);
	int min, max; /* arguments behind the user */
	const char *args;
};

static const struct verb mailbox_verbs[] = {
	{ "list", list, 0, 0, "" },
	{ "status", status, 1, MANY, "mailbox ..." },
	{ "create", create, 1, MANY, "mailbox ..." },
	{ "rename", rename_folder, 2, 2, "old new" },
	{ "delete", delete, 1, MANY, "mailbox ..." },
	{ "search", search, 2, MANY, "mailbox word ..." },
	{ "fetch", fetch, 3, MANY, "info|header|text mailbox word ..." },
	{ "export", export, 1, MANY, "mailbox [word ...]" },
	{ "import", import, 1, 1, "mailbox" },
};

static enum store_status rebuild_one(struct store *s, const char *name)
{
	return store_index_rebuild(s, span_cstr(name));
}

static int differing;

static enum store_status verify_one(struct store *s, const char *name)
{
	struct store_index_report r;
	enum store_status st = store_index_verify(s, span_cstr(name), &r);

	const char *state = r.found ? "good" : "none";

	if (st != STORE_OK)
		return st;
	if (r.damaged || r.wrong > 0)
		differing++, state = "damaged";
	printf("%s\t%s\tmessages=%u\twrong=%u\n", name, state, r.messages, r.wrong);
	return st;
}

/* Those named, or all. */
static int each_or_all(struct store *s, int argc, char **argv, enum store_status (*one)(struct store *s, const char *name))
{
	struct store_folder *v;
	enum store_status st;
	char **names;
	size_t n;
	int k = 0;

	if (argc > 0)
		return each(s, argc, argv, one);
	st = store_list(s, &arena, &v, &n);
	if (st != STORE_OK)
		return mailbox_status(st, "list");
	names = arena_array(&arena, n + 1, sizeof *names);
	for (size_t i = 0; i < n; i++)
		if (v[i].exists && v[i].selectable)
			names[k++] = arena_cstr(&arena, v[i].name);
	return each(s, k, names, one);
}

static int rebuild(struct store *s, int argc, char **argv)
{
	return each_or_all(s, argc, argv, rebuild_one);
}

static int verify(struct store *s, int argc, char **argv)
{
	int status = each_or_all(s, argc, argv, verify_one);

	return status ? status : differing > 0 ? EX_DATAERR : 0;
}

static const struct verb index_verbs[] = {
	{ "rebuild", rebuild, 0, MANY, "[mailbox ...]" },
	{ "verify", verify, 0, MANY, "[mailbox ...]" },
};

static int run(int argc, char **argv, const struct verb *verbs, size_t n)
{
	for (size_t i = 0; argc >= 3 && i < n; i++) {
		int status, given = argc - 3;
		struct store *s;

		if (strcmp(argv[1], verbs[i].name) != 0 || given < verbs[i].min || given > verbs[i].max)
			continue;
		s = mailbox_open_store(argv[2]);
		status = verbs[i].run(s, given, argv + 3);
		store_close(s);
		if (fflush(stdout) != 0 || ferror(stdout)) {
			log_error("standard output: %m");
			return EX_IOERR;
		}
		return status;
	}
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "%s posthouse %s %s user %s\n", i == 0 ? "usage:" : "      ", argv[0], verbs[i].name,
			verbs[i].args);
	return EX_USAGE;
}

int mailbox_command(int argc, char **argv)
{
	return run(argc, argv, mailbox_verbs, sizeof mailbox_verbs / sizeof *mailbox_verbs);
}

int index_command(int argc, char **argv)
{
	return run(argc, argv, index_verbs, sizeof index_verbs / sizeof *index_verbs);
}
