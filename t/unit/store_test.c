/* SPDX-License-Identifier: BSD-2-Clause */
/* The store as imapd and pop3d see it; every test runs over mbox and over Maildir. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/store/deliver.h"
#include "lib/store/store.h"

static const char *kind; /* "mbox" or "maildir" */
static char home[128];
static struct arena arena;
static struct user user;
static struct store *store;

static const char *at(const char *name)
{
	return arena_printf(&arena, "%s/%s", home, name);
}

static bool is_mbox(void)
{
	return strcmp(kind, "mbox") == 0;
}

static void open_store(void)
{
	const char *why;

	assert_int_equal(store_open(&arena, &user, is_mbox() ? "mbox:~/mail:INBOX=~/spool" : "maildir:~/Maildir", &store, &why), STORE_OK);
}

static int setup_kind(void **state, const char *k)
{
	(void)state;
	kind = k;
	snprintf(home, sizeof home, "/tmp/store-XXXXXX");
	if (mkdtemp(home) == NULL)
		return 1;
	user = (struct user){ .name = SPAN("alice"), .home = home };
	open_store();
	return 0;
}

static int setup_mbox(void **state)
{
	return setup_kind(state, "mbox");
}

static int setup_maildir(void **state)
{
	return setup_kind(state, "maildir");
}

static int teardown(void **state)
{
	char cmd[200];

	(void)state;
	store_close(store);
	arena_free(&arena);
	snprintf(cmd, sizeof cmd, "rm -rf '%s'", home);
	return system(cmd);
}

static bool feed_once(void *arg, struct span *chunk)
{
	struct span *s = arg;

	*chunk = *s;
	*s = SPAN_NONE;
	return true;
}

static void deliver(const char *text, const char *key)
{
	struct deliver_target t = { .path = is_mbox() ? at("spool") : at("Maildir/") };
	struct verdict v;
	struct deliver_batch *b = deliver_begin(&arena, &t, &v);
	struct span s = span_cstr(text);

	assert_non_null(b);
	assert_int_equal(deliver_add(b, &arena, &(struct deliver_letter){ SPAN("x@y"), SPAN_NONE, span_cstr(key), true, false,
									feed_once, &s }).class, VERDICT_OK);
	assert_int_equal(deliver_commit(b, &arena).class, VERDICT_OK);
}

static struct mailbox *select_it(const char *name)
{
	struct mailbox *mb = NULL;

	assert_int_equal(store_select(store, span_cstr(name), false, &mb), STORE_OK);
	return mb;
}

static const char *text_of(struct mailbox *mb, uint32_t seq)
{
	struct store_view v;
	const char *text;

	assert_int_equal(mailbox_view(mb, seq, &v), STORE_OK);
	text = arena_cstr(&arena, v.raw);
	store_view_done(&v);
	return text;
}

static enum store_status append_uids(const char *folder, const char *const *texts, uint32_t flags, uint32_t *validity, uint32_t **uids, size_t *n)
{
	struct store_append *ap;
	struct span kw[1] = { SPAN("$Label1") };
	enum store_status s = store_append_begin(store, span_cstr(folder), &ap);

	if (s != STORE_OK)
		return s;
	for (; *texts; texts++) {
		assert_int_equal(store_append_message(ap, flags, kw, flags ? 1 : 0, 1700000000, 60), STORE_OK);
		for (size_t i = 0, len = strlen(*texts); i < len; i += 3)
			assert_int_equal(store_append_write(ap, span_head(span_skip(span_cstr(*texts), i), 3)), STORE_OK);
	}
	return store_append_commit(ap, &arena, validity, uids, n);
}

static enum store_status append(const char *folder, const char *text, uint32_t flags)
{
	const char *const texts[] = { text, NULL };
	uint32_t validity, *uids;
	size_t n;

	return append_uids(folder, texts, flags, &validity, &uids, &n);
}

struct told {
	char log[400];
};

static void on_gone(uint32_t seq, uint32_t uid, void *arg)
{
	struct told *t = arg;

	snprintf(t->log + strlen(t->log), sizeof t->log - strlen(t->log), "-%u/%u ", seq, uid);
}

static void on_changed(uint32_t seq, void *arg)
{
	struct told *t = arg;

	snprintf(t->log + strlen(t->log), sizeof t->log - strlen(t->log), "*%u ", seq);
}

static const char *sync_it(struct mailbox *mb, bool may_expunge)
{
	struct told *t = arena_alloc(&arena, sizeof *t);
	struct mailbox_events ev = { on_gone, on_changed, t };

	assert_int_equal(mailbox_sync(mb, may_expunge, &ev), STORE_OK);
	return t->log;
}

static bool is_deleted(uint32_t seq, const struct store_msg *m, void *arg)
{
	(void)seq;
	(void)arg;
	return m->flags & STORE_DELETED;
}

static void test_life_of_mail(void **state)
{
	struct mailbox *mb, *other;
	struct told told = { "" };
	struct mailbox_events ev = { on_gone, on_changed, &told };
	uint32_t validity;

	(void)state;
	mb = select_it("inbox");
	assert_int_equal(mailbox_count(mb), 0);
	validity = mailbox_uidvalidity(mb);
	assert_int_not_equal(validity, 0);
	assert_int_equal(mailbox_uidnext(mb), 1);
	deliver("Subject: 1\n\nFrom me\n", "1");
	deliver("Subject: 2\n\n>From me\n", "2");
	assert_string_equal(sync_it(mb, true), "");
	assert_int_equal(mailbox_count(mb), 2);
	assert_int_equal(mailbox_msg(mb, 1)->uid, 1);
	assert_int_equal(mailbox_msg(mb, 1)->flags, STORE_RECENT);
	assert_int_equal(mailbox_msg(mb, 1)->size, 23);
	assert_string_equal(text_of(mb, 1), "Subject: 1\n\nFrom me\n");
	assert_string_equal(text_of(mb, 2), "Subject: 2\n\n>From me\n");
	/* another session sees flags at once; they outlive both */
	other = select_it("INBOX");
	assert_int_equal(mailbox_count(other), 2);
	assert_int_equal(mailbox_msg(other, 1)->flags, 0);
	assert_int_equal(mailbox_flag(mb, 1, STORE_FLAGS_ADD, STORE_SEEN | STORE_FLAGGED, 0), STORE_OK);
	assert_int_equal(mailbox_flag(mb, 2, STORE_FLAGS_SET, STORE_ANSWERED | STORE_DRAFT, 0), STORE_OK);
	assert_string_equal(sync_it(mb, true), "");
	assert_string_equal(sync_it(other, true), "*1 *2 ");
	assert_int_equal(mailbox_msg(other, 1)->flags, STORE_SEEN | STORE_FLAGGED);
	assert_int_equal(mailbox_msg(mb, 1)->flags, STORE_SEEN | STORE_FLAGGED | STORE_RECENT);
	deliver("Subject: 3\n\n3\n", "3");
	assert_string_equal(sync_it(mb, true), "");
	assert_string_equal(sync_it(other, false), "");
	/* expunge in one session, told to the other when it may be */
	assert_int_equal(mailbox_flag(mb, 1, STORE_FLAGS_ADD, STORE_DELETED, 0), STORE_OK);
	assert_int_equal(mailbox_flag(mb, 3, STORE_FLAGS_ADD, STORE_DELETED, 0), STORE_OK);
	assert_int_equal(mailbox_expunge(mb, is_deleted, NULL, &ev), STORE_OK);
	assert_string_equal(told.log, "-3/3 -1/1 ");
	assert_int_equal(mailbox_count(mb), 1);
	assert_string_equal(text_of(mb, 1), "Subject: 2\n\n>From me\n");
	assert_string_equal(sync_it(other, false), "");
	assert_int_equal(mailbox_count(other), 3);
	assert_int_equal(mailbox_view(other, 1, &(struct store_view){ 0 }), STORE_EXPUNGED);
	assert_string_equal(sync_it(other, true), "-3/3 -1/1 ");
	mailbox_close(mb);
	mailbox_close(other);
	/* a number is never used twice */
	deliver("Subject: 4\n\n4\n", "4");
	mb = select_it("INBOX");
	assert_int_equal(mailbox_uidvalidity(mb), validity);
	assert_int_equal(mailbox_count(mb), 2);
	assert_int_equal(mailbox_msg(mb, 1)->uid, 2);
	assert_int_equal(mailbox_msg(mb, 1)->flags, STORE_ANSWERED | STORE_DRAFT);
	assert_int_equal(mailbox_msg(mb, 2)->uid, 4);
	assert_int_equal(mailbox_msg(mb, 2)->flags, STORE_RECENT);
	assert_int_equal(mailbox_seq_of_uid(mb, 3), 2);
	assert_int_equal(mailbox_seq_of_uid(mb, 5), 3);
	mailbox_close(mb);
}

/* Forget everything kept in memory: the same in a process of its own. */
static void in_child(void (*body)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void first_process(void)
{
	struct mailbox *mb = select_it("INBOX");
	int bit = mailbox_keyword_bit(mb, SPAN("$Forwarded"), true);

	if (mailbox_count(mb) != 3 || bit < 0 || mailbox_flag(mb, 2, STORE_FLAGS_ADD, STORE_SEEN, UINT64_C(1) << bit) != STORE_OK)
		_exit(1);
	mailbox_close(mb);
}

static void second_process(void)
{
	struct mailbox *mb = select_it("INBOX");
	const struct store_msg *m = mailbox_msg(mb, 2);

	if (mailbox_count(mb) != 3 || m->uid != 2 || m->flags != STORE_SEEN || m->keywords == 0)
		_exit(1);
	for (int i = 0; i < 64; i++)
		if (m->keywords & UINT64_C(1) << i)
			if (strcmp(mailbox_keyword(mb, (unsigned)i), "$Forwarded") != 0)
				_exit(2);
	if (mailbox_msg(mb, 1)->flags != 0 || mailbox_uidnext(mb) != 4)
		_exit(3);
	/* not closed: as if killed */
}

static void test_across_processes(void **state)
{
	(void)state;
	deliver("Subject: 1\n\n1\n", "1");
	deliver("Subject: 2\n\n2\n", "2");
	deliver("Subject: 3\n\n3\n", "3");
	in_child(first_process);
	in_child(second_process);
	in_child(second_process);
}

static void test_append(void **state)
{
	static const char *const texts[] = { "Subject: a\r\n\r\nFrom a\r\n", "Subject: b\n\nno end", "", NULL };
	uint32_t validity, *uids;
	size_t n;
	struct mailbox *mb;

	(void)state;
	assert_int_equal(append("nowhere", "x\n", 0), STORE_NOTFOUND);
	assert_int_equal(store_create(store, SPAN("Sent")), STORE_OK);
	assert_int_equal(store_create(store, SPAN("Sent")), STORE_EXISTS);
	assert_int_equal(append_uids("Sent", texts, STORE_SEEN | STORE_DRAFT, &validity, &uids, &n), STORE_OK);
	assert_int_equal(n, 3);
	mb = select_it("Sent");
	assert_int_equal(mailbox_count(mb), 3);
	assert_int_equal(mailbox_uidvalidity(mb), validity);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(mailbox_msg(mb, i + 1)->uid, uids[i]);
		assert_int_equal(mailbox_msg(mb, i + 1)->flags & ~(uint32_t)STORE_RECENT, STORE_SEEN | STORE_DRAFT);
		assert_int_equal(mailbox_msg(mb, i + 1)->internal_date, 1700000000);
		assert_int_not_equal(mailbox_msg(mb, i + 1)->keywords, 0);
	}
	assert_string_equal(text_of(mb, 1), "Subject: a\n\nFrom a\n");
	assert_string_equal(text_of(mb, 2), "Subject: b\n\nno end\n");
	assert_string_equal(text_of(mb, 3), "");
	assert_int_equal(append("Sent", "Subject: c\n\n", 0), STORE_OK);
	assert_string_equal(sync_it(mb, false), "");
	assert_int_equal(mailbox_count(mb), 4);
	assert_int_equal(mailbox_msg(mb, 4)->uid, uids[2] + 1);
	assert_true(mailbox_msg(mb, 4)->flags & STORE_RECENT);
	mailbox_close(mb);
	assert_int_equal(append("INBOX", "Subject: first\n\n", 0), STORE_OK);
	mb = select_it("INBOX");
	assert_int_equal(mailbox_count(mb), 1);
	mailbox_close(mb);
}

static const char *list_it(void)
{
	struct store_folder *f;
	size_t n;
	char *out = arena_alloc(&arena, 4000);

	assert_int_equal(store_list(store, &arena, &f, &n), STORE_OK);
	for (size_t i = 0; i < n; i++)
		sprintf(out + strlen(out), SPAN_FMT "%s%s%s%s ", SPAN_ARG(f[i].name), f[i].selectable ? "" : "!", f[i].has_children ? "+" : "",
			f[i].subscribed ? "*" : "", f[i].exists ? "" : "?");
	return out;
}

static void test_folders(void **state)
{
	static const char *const bad[] = { "", "/", "a//b", "../x", "a/../b", "a/..", ".", "~root", "~", "/etc/passwd", "a\x01", "a\x7f", "\xff",
					   "a\nb" };
	uint32_t validity;
	struct mailbox *mb;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (store_create(store, span_cstr(bad[i])) != STORE_BADNAME)
			fail_msg("%s", bad[i]);
	assert_int_equal(store_create(store, span_of("a\0b", 3)), STORE_BADNAME);
	assert_int_equal(store_create(store, SPAN("inbox")), STORE_EXISTS);
	assert_int_equal(store_create(store, SPAN("syn/sub/deep")), STORE_OK);
	assert_int_equal(store_create(store, SPAN("Entw\xc3\xbcrfe & \xe2\x82\xac\xf0\x9f\x90\x8e")), STORE_OK);
	assert_int_equal(store_create(store, SPAN("a.b")), STORE_OK);
	assert_string_equal(list_it(), "INBOX Entw\xc3\xbcrfe & \xe2\x82\xac\xf0\x9f\x90\x8e a.b syn!+ syn/sub!+ syn/sub/deep ");
	assert_int_equal(store_subscribe(store, SPAN("syn/sub/deep"), true), STORE_OK);
	assert_int_equal(store_subscribe(store, SPAN("gone/away"), true), STORE_OK);
	assert_int_equal(store_subscribe(store, SPAN("inbox"), true), STORE_OK);
	assert_int_equal(store_subscribe(store, SPAN("a.b"), true), STORE_OK);
	assert_int_equal(store_subscribe(store, SPAN("a.b"), false), STORE_OK);
	assert_int_equal(store_subscribe(store, SPAN("../a"), true), STORE_BADNAME);
	assert_string_equal(list_it(), "INBOX* Entw\xc3\xbcrfe & \xe2\x82\xac\xf0\x9f\x90\x8e a.b gone/away!*? syn!+ syn/sub!+ syn/sub/deep* ");
	/* delete */
	assert_int_equal(store_delete(store, SPAN("INBOX")), STORE_REFUSED);
	assert_int_equal(store_delete(store, SPAN("syn")), STORE_REFUSED);
	assert_int_equal(store_delete(store, SPAN("none")), STORE_NOTFOUND);
	assert_int_equal(append("a.b", "x\n", 0), STORE_OK);
	mb = select_it("a.b");
	validity = mailbox_uidvalidity(mb);
	mailbox_close(mb);
	assert_int_equal(store_delete(store, SPAN("a.b")), STORE_OK);
	assert_int_equal(store_delete(store, SPAN("a.b")), STORE_NOTFOUND);
	assert_int_equal(store_create(store, SPAN("a.b")), STORE_OK);
	mb = select_it("a.b");
	assert_int_equal(mailbox_count(mb), 0);
	assert_true(mailbox_uidvalidity(mb) > validity);
	mailbox_close(mb);
	assert_int_equal(store_delete(store, SPAN("a.b")), STORE_OK);
	/* rename */
	assert_int_equal(append("syn/sub/deep", "Subject: d\n\n", STORE_SEEN), STORE_OK);
	assert_int_equal(store_rename(store, SPAN("syn/sub"), SPAN("syn/sub/inner")), STORE_REFUSED);
	assert_int_equal(store_rename(store, SPAN("none"), SPAN("other")), STORE_NOTFOUND);
	assert_int_equal(store_rename(store, SPAN("syn/sub"), SPAN("new/place")), STORE_OK);
	assert_int_equal(store_rename(store, SPAN("new/place/deep"), SPAN("new/place/deeper")), STORE_OK);
	mb = select_it("new/place/deeper");
	assert_int_equal(mailbox_count(mb), 1);
	assert_int_equal(mailbox_msg(mb, 1)->uid, 1);
	assert_int_equal(mailbox_msg(mb, 1)->flags & STORE_SEEN, STORE_SEEN);
	mailbox_close(mb);
	assert_int_equal(store_select(store, SPAN("new/place/deep"), false, &mb), STORE_NOTFOUND);
	assert_int_equal(store_create(store, SPAN("Sent")), STORE_OK);
	assert_int_equal(store_rename(store, SPAN("Sent"), SPAN("new/place/deeper")), STORE_EXISTS);
}

/* Folders with both mail and children: of an mbox they are in NAME.sbd, which never is a folder itself. */
static void test_children(void **state)
{
	struct mailbox *mb;

	(void)state;
	assert_int_equal(store_create(store, SPAN("syn")), STORE_OK);
	assert_int_equal(append("syn", "Subject: s\n\n", 0), STORE_OK);
	assert_int_equal(store_create(store, SPAN("syn/sub")), STORE_OK);
	assert_int_equal(append("syn/sub", "Subject: c\n\n", STORE_SEEN), STORE_OK);
	assert_int_equal(store_create(store, SPAN("syn/sub/deep")), STORE_OK);
	assert_int_equal(store_create(store, SPAN("syn/sub")), STORE_EXISTS);
	assert_string_equal(list_it(), "INBOX syn+ syn/sub+ syn/sub/deep ");
	/* mail for a level that had none */
	assert_int_equal(store_create(store, SPAN("level/below")), STORE_OK);
	assert_int_equal(append("level/below", "Subject: b\n\n", 0), STORE_OK);
	assert_int_equal(store_create(store, SPAN("level")), STORE_OK);
	assert_int_equal(append("level", "Subject: l\n\n", 0), STORE_OK);
	mb = select_it("level/below");
	assert_int_equal(mailbox_count(mb), 1);
	mailbox_close(mb);
	/* the name of a folder with children */
	assert_int_equal(store_rename(store, SPAN("syn"), SPAN("new")), STORE_OK);
	assert_string_equal(list_it(), "INBOX level+ level/below new+ new/sub+ new/sub/deep ");
	mb = select_it("new/sub");
	assert_int_equal(mailbox_count(mb), 1);
	assert_int_equal(mailbox_msg(mb, 1)->flags & STORE_SEEN, STORE_SEEN);
	mailbox_close(mb);
	/* its children survive it; the level goes by itself */
	assert_int_equal(store_delete(store, SPAN("new")), STORE_OK);
	assert_string_equal(list_it(), "INBOX level+ level/below new!+ new/sub+ new/sub/deep ");
	assert_int_equal(store_select(store, SPAN("new"), false, &mb), STORE_NOTFOUND);
	assert_int_equal(store_rename(store, SPAN("new"), SPAN("newer")), STORE_OK);
	assert_int_equal(store_delete(store, SPAN("newer/sub/deep")), STORE_OK);
	assert_string_equal(list_it(), "INBOX level+ level/below newer!+ newer/sub ");
	assert_int_equal(store_delete(store, SPAN("newer/sub")), STORE_OK);
	assert_int_equal(store_delete(store, SPAN("level/below")), STORE_OK);
	assert_string_equal(list_it(), "INBOX level ");
}

static void test_rename_inbox(void **state)
{
	struct mailbox *mb;

	(void)state;
	deliver("Subject: 1\n\n1\n", "1");
	deliver("Subject: 2\n\n2\n", "2");
	mb = select_it("INBOX");
	assert_int_equal(mailbox_flag(mb, 2, STORE_FLAGS_ADD, STORE_FLAGGED, 0), STORE_OK);
	mailbox_close(mb);
	assert_int_equal(store_rename(store, SPAN("Inbox"), SPAN("old/mail")), STORE_OK);
	mb = select_it("old/mail");
	assert_int_equal(mailbox_count(mb), 2);
	assert_string_equal(text_of(mb, 2), "Subject: 2\n\n2\n");
	assert_int_equal(mailbox_msg(mb, 2)->flags & STORE_FLAGGED, STORE_FLAGGED);
	mailbox_close(mb);
	mb = select_it("INBOX");
	assert_int_equal(mailbox_count(mb), 0);
	assert_int_equal(mailbox_uidnext(mb), 3);
	mailbox_close(mb);
}

static void test_status_and_read_only(void **state)
{
	struct store_counts c;
	struct mailbox *mb;

	(void)state;
	deliver("Subject: 1\n\n1\n", "1");
	deliver("Subject: 2\n\n2\n", "2");
	assert_int_equal(store_status_of(store, SPAN("INBOX"), &c), STORE_OK);
	assert_true(c.messages == 2 && c.recent == 2 && c.unseen == 2 && c.uidnext == 3 && c.size == 34);
	assert_int_equal(store_select(store, SPAN("INBOX"), true, &mb), STORE_OK);
	assert_true(mailbox_read_only(mb));
	assert_int_equal(mailbox_msg(mb, 1)->flags, STORE_RECENT);
	assert_int_equal(mailbox_flag(mb, 1, STORE_FLAGS_ADD, STORE_SEEN, 0), STORE_REFUSED);
	mailbox_close(mb);
	assert_int_equal(store_status_of(store, SPAN("INBOX"), &c), STORE_OK);
	assert_int_equal(c.recent, 2);
	mb = select_it("INBOX");
	assert_int_equal(mailbox_flag(mb, 1, STORE_FLAGS_ADD, STORE_SEEN, 0), STORE_OK);
	mailbox_close(mb);
	assert_int_equal(store_status_of(store, SPAN("INBOX"), &c), STORE_OK);
	assert_true(c.recent == 0 && c.unseen == 1);
	assert_int_equal(store_status_of(store, SPAN("nope"), &c), STORE_NOTFOUND);
}

static void test_watch(void **state)
{
	struct mailbox *mb = select_it("INBOX");
	int fd = mailbox_watch_fd(mb);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	(void)state;
	assert_true(fd >= 0);
	for (int i = 0; i < 3; i++) {
		char key[16];

		snprintf(key, sizeof key, "%d", i);
		mailbox_watch_drain(mb);
		assert_int_equal(mailbox_sync(mb, true, NULL), STORE_OK);
		mailbox_watch_drain(mb);
		assert_int_equal(poll(&p, 1, 0), 0);
		deliver("x\n", key);
		assert_int_equal(poll(&p, 1, 5000), 1);
		assert_int_equal(mailbox_sync(mb, true, NULL), STORE_OK);
		assert_int_equal(mailbox_count(mb), i + 1);
	}
	mailbox_close(mb);
}

/* Deliveries, expunges and a reader in processes of their own. */
static void test_contention(void **state)
{
	enum { LETTERS = 60, DELIVERERS = 2 };
	bool *had;
	int got = 0, status, running = DELIVERERS;
	struct mailbox *mb = select_it("INBOX");
	pid_t child[DELIVERERS];

	(void)state;
	had = arena_array(&arena, LETTERS * DELIVERERS, sizeof *had);
	for (int d = 0; d < DELIVERERS; d++) {
		child[d] = fork();
		if (child[d] == 0) {
			for (int i = 0; i < LETTERS; i++) {
				char key[16], text[64];

				snprintf(key, sizeof key, "%d", d * LETTERS + i);
				snprintf(text, sizeof text, "Subject: %s\n\nFrom %s\n", key, key);
				deliver(text, key);
			}
			_exit(0);
		}
	}
	while (got < LETTERS * DELIVERERS) {
		if (running > 0 && waitpid(child[running - 1], &status, WNOHANG) > 0) {
			assert_int_equal(status, 0);
			running--;
		}
		sync_it(mb, true);
		for (uint32_t seq = 1; seq <= mailbox_count(mb); seq++) {
			const char *text = text_of(mb, seq);
			int n = atoi(text + 9);

			assert_true(n >= 0 && n < LETTERS * DELIVERERS && !had[n]);
			assert_string_equal(text, arena_printf(&arena, "Subject: %d\n\nFrom %d\n", n, n));
			if (n % 3 == 0 || running == 0) {
				had[n] = true;
				got++;
				assert_int_equal(mailbox_flag(mb, seq, STORE_FLAGS_ADD, STORE_DELETED, 0), STORE_OK);
			}
		}
		assert_int_equal(mailbox_expunge(mb, is_deleted, NULL, NULL), STORE_OK);
	}
	assert_int_equal(mailbox_count(mb), 0);
	mailbox_close(mb);
}

static void test_many_keywords(void **state)
{
	struct mailbox *mb;
	uint64_t all = 0;
	int bit = 0;

	(void)state;
	deliver("Subject: 1\n\n1\n", "1");
	deliver("Subject: 2\n\n2\n", "2");
	mb = select_it("INBOX");
	for (int i = 0; i < 100; i++) {
		char name[40];

		snprintf(name, sizeof name, "keyword-number-%d", i);
		bit = mailbox_keyword_bit(mb, span_cstr(name), true);
		if (bit < 0)
			break;
		all |= UINT64_C(1) << bit;
	}
	assert_int_equal(bit, -1);
	assert_true(mailbox_keywords_full(mb));
	assert_int_equal(mailbox_keyword_bit(mb, SPAN("no(good"), true), -1);
	assert_int_equal(mailbox_flag(mb, 1, STORE_FLAGS_ADD, STORE_SEEN, all), STORE_OK);
	assert_int_equal(mailbox_flush(mb), STORE_OK);
	assert_string_equal(text_of(mb, 1), "Subject: 1\n\n1\n");
	assert_string_equal(text_of(mb, 2), "Subject: 2\n\n2\n");
	mailbox_close(mb);
	mb = select_it("INBOX");
	assert_true(mailbox_msg(mb, 1)->keywords == all);
	assert_true(mailbox_msg(mb, 2)->keywords == 0);
	mailbox_close(mb);
}

/* A letter that another program made longer, or shorter, than it was known to be is read as it is. */
static void test_changed_length(void **state)
{
	static const char *const texts[] = { "Subject: 1\n\na longer one\n", "Subject: 1\n\n1\n", "" };
	struct mailbox *mb;

	(void)state;
	deliver("Subject: 1\n\none\n", "A1");
	mb = select_it("INBOX");
	assert_string_equal(text_of(mb, 1), "Subject: 1\n\none\n");
	for (size_t i = 0; i < 3; i++) {
		char cmd[1000];

		snprintf(cmd, sizeof cmd, "f=$(find %s/new %s/cur -type f) && printf '%s' >\"$f\"", at("Maildir"), at("Maildir"), texts[i]);
		assert_int_equal(system(cmd), 0);
		assert_string_equal(text_of(mb, 1), texts[i]);
	}
	mailbox_close(mb);
}

#define BOTH(name) \
	{ #name " (mbox)", name, setup_mbox, teardown, NULL }, { #name " (maildir)", name, setup_maildir, teardown, NULL }

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BOTH(test_life_of_mail), BOTH(test_across_processes), BOTH(test_append), BOTH(test_folders), BOTH(test_children), BOTH(test_rename_inbox),
		BOTH(test_status_and_read_only), BOTH(test_watch), BOTH(test_contention), BOTH(test_many_keywords),
		cmocka_unit_test_setup_teardown(test_changed_length, setup_maildir, teardown),
	};

	if (getenv("STORE_LOG") == NULL)
		log_open("store_test", LOG_TO_FD, open("/dev/null", O_WRONLY), 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
