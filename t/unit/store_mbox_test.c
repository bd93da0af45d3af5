/* SPDX-License-Identifier: BSD-2-Clause */
/* Mboxes as other programs write them, and what is kept beside them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/store/mbox-int.h"
#include "lib/store/store.h"

static char home[128];
static struct arena arena;
static struct store *store;

static const char *at(const char *name)
{
	return arena_printf(&arena, "%s/%s", home, name);
}

static int setup(void **state)
{
	struct user user = { .name = SPAN("alice"), .home = home };
	const char *why;

	(void)state;
	snprintf(home, sizeof home, "/tmp/store-mbox-XXXXXX");
	if (mkdtemp(home) == NULL)
		return 1;
	return store_open(&arena, &user, "mbox:~/mail:INBOX=~/spool", &store, &why);
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

#define DATE "Tue Nov 24 04:00:00 2026"

static void spew(const char *text)
{
	int fd = open(at("spool"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void more(const char *text)
{
	int fd = open(at("spool"), O_WRONLY | O_APPEND);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static const char *slurp(void)
{
	struct buf b;
	const char *text;

	buf_init(&b, 1 << 20);
	assert_int_equal(fs_read_file(AT_FDCWD, at("spool"), &b), 0);
	text = arena_cstr(&arena, buf_span(&b));
	buf_free(&b);
	return text;
}

static struct mailbox *select_inbox(bool read_only)
{
	struct mailbox *mb = NULL;

	assert_int_equal(store_select(store, SPAN("INBOX"), read_only, &mb), STORE_OK);
	return mb;
}

/* "uid:flags:text|..." of all messages */
static const char *show(struct mailbox *mb)
{
	char *out = arena_alloc(&arena, 8000);

	for (uint32_t i = 1; i <= mailbox_count(mb); i++) {
		const struct store_msg *m = mailbox_msg(mb, i);
		struct store_view v;

		assert_int_equal(mailbox_view(mb, i, &v), STORE_OK);
		sprintf(out + strlen(out), "%u:%u:" SPAN_FMT "|", m->uid, m->flags, SPAN_ARG(v.raw));
		store_view_done(&v);
	}
	return out;
}

/* In a process of its own, so that nothing is remembered. */
static const char *show_fresh(void)
{
	int p[2], status;
	pid_t child;
	char *out = arena_alloc(&arena, 8001);
	ssize_t n, len = 0;

	assert_int_equal(pipe(p), 0);
	child = fork();
	if (child == 0) {
		struct user user = { .name = SPAN("alice"), .home = home };
		const char *why, *text;

		/* another spelling of the path is another folder to this process */
		if (store_open(&arena, &user, "mbox:~/mail:INBOX=~/./spool", &store, &why) != STORE_OK)
			_exit(1);
		text = show(select_inbox(true));

		_exit(write(p[1], text, strlen(text)) < 0);
	}
	close(p[1]);
	while ((n = read(p[0], out + len, (size_t)(8000 - len))) > 0)
		len += n;
	close(p[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return out;
}

static void test_foreign(void **state)
{
	struct mailbox *mb;
	const char *first;

	(void)state;
	spew("From a " DATE "\nSubject: 1\nStatus: RO\nX-Status: AF\n\n>From x\n>>From y\nFrom no date\n\nFrom neither\n\n"
	     "From b " DATE "\nSubject: 2\n\n2\nFrom b " DATE "\n\n"
	     "From c " DATE "\nSubject: 3\n\nno end");
	mb = select_inbox(false);
	first = show(mb);
	assert_string_equal(first, "1:7:Subject: 1\n\nFrom x\n>From y\nFrom no date\n\nFrom neither\n|"
				   "2:32:Subject: 2\n\n2\nFrom b " DATE "\n|3:32:Subject: 3\n\nno end|");
	/* the numbers hold for another process although the file does not have them yet */
	assert_null(strstr(slurp(), "X-UID"));
	assert_string_equal(show_fresh(), "1:7:Subject: 1\n\nFrom x\n>From y\nFrom no date\n\nFrom neither\n|"
					  "2:32:Subject: 2\n\n2\nFrom b " DATE "\n|3:32:Subject: 3\n\nno end|");
	more("\n\nFrom d " DATE "\nSubject: 4\n\n4\n");
	assert_int_equal(mailbox_sync(mb, true, NULL), STORE_OK);
	assert_int_equal(mailbox_count(mb), 4);
	assert_int_equal(mailbox_flag(mb, 4, STORE_FLAGS_ADD, STORE_DELETED, 0), STORE_OK);
	mailbox_close(mb);
	/* now it has */
	assert_non_null(strstr(slurp(), "X-IMAPbase: "));
	assert_null(strstr(slurp(), "\nX-Status: AF\n"));
	/* and without the state file they are the same */
	assert_int_equal(unlink(at("mail/.imap/INBOX/posthouse-state")), 0);
	assert_string_equal(show_fresh(), "1:7:Subject: 1\n\nFrom x\n>From y\nFrom no date\n\nFrom neither\n|"
					  "2:0:Subject: 2\n\n2\nFrom b " DATE "\n|3:0:Subject: 3\n\nno end\n|4:8:Subject: 4\n\n4\n|");
}

static void test_other_servers(void **state)
{
	struct mailbox *mb;

	(void)state;
	/* c-client's first message */
	spew("From MAILER-DAEMON " DATE "\nFrom: Mail System Internal Data <x@y>\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"
	     "X-IMAP: 1234567890 0000000009 $Old\nStatus: RO\n\nThis text is part of the internal format of your mail folder.\n\n"
	     "From a " DATE "\nSubject: 1\nStatus: RO\nX-Status: \nX-Keywords: $Old\nX-UID: 4\n\n1\n\n"
	     "From a " DATE "\nSubject: 2\nX-UID: 9\n\n2\n\n"
	     "From a " DATE "\nSubject: 3\nX-UID: 900\n\n3\n\n");
	mb = select_inbox(false);
	assert_string_equal(show(mb), "4:1:Subject: 1\n\n1\n|9:32:Subject: 2\n\n2\n|10:32:Subject: 3\n\n3\n|");
	assert_int_equal(mailbox_uidvalidity(mb), 1234567890);
	assert_string_equal(mailbox_keyword(mb, 0), "$Old");
	assert_int_equal(mailbox_msg(mb, 1)->keywords, 1);
	assert_int_equal(mailbox_flag(mb, 1, STORE_FLAGS_ADD, STORE_FLAGGED, 0), STORE_OK);
	mailbox_close(mb);
	assert_non_null(strstr(slurp(), "DON'T DELETE"));
	assert_string_equal(show_fresh(), "4:5:Subject: 1\n\n1\n|9:0:Subject: 2\n\n2\n|10:0:Subject: 3\n\n3\n|");
}

static void test_base(void **state)
{
	struct mailbox *mb;

	(void)state;
	/* Dovecot's headers, and numbers that cannot be: out of order, past the end, not numbers */
	spew("From a " DATE "\nX-UID: 3\nStatus: O\nX-IMAPbase: 77 0000000005\nSubject: 1\n\n1\n\n"
	     "From a " DATE "\nX-UID: 5\nSubject: 2\n\n2\n\n"
	     "From a " DATE "\nX-UID: 4\nX-IMAPbase: 99 4000000000\nSubject: 3\n\n3\n\n"
	     "From a " DATE "\nX-UID: 4294967295\nSubject: 4\n\n4\n\n"
	     "From a " DATE "\nX-UID: -1\nSubject: 5\n\n5\n\n");
	mb = select_inbox(false);
	assert_string_equal(show(mb), "3:0:Subject: 1\n\n1\n|5:32:Subject: 2\n\n2\n|6:32:Subject: 3\n\n3\n|7:32:Subject: 4\n\n4\n|8:32:Subject: 5\n\n5\n|");
	assert_int_equal(mailbox_uidvalidity(mb), 77);
	mailbox_close(mb);
	assert_string_equal(show_fresh(), "3:0:Subject: 1\n\n1\n|5:0:Subject: 2\n\n2\n|6:0:Subject: 3\n\n3\n|7:0:Subject: 4\n\n4\n|8:0:Subject: 5\n\n5\n|");
	/* another program removes the first message, and with it the base: the numbers stay */
	mb = select_inbox(false);
	{
		char *text = arena_strdup(&arena, slurp()), *second = strstr(text, "\n\nFrom ") + 2;

		spew(second);
	}
	assert_int_equal(mailbox_sync(mb, true, NULL), STORE_OK);
	assert_int_equal(mailbox_uidvalidity(mb), 77);
	assert_int_equal(mailbox_msg(mb, 1)->uid, 5);
	mailbox_close(mb);
	/* and all of them */
	spew("");
	mb = select_inbox(false);
	assert_int_equal(mailbox_uidvalidity(mb), 77);
	assert_int_equal(mailbox_uidnext(mb), 9);
	mailbox_close(mb);
	assert_int_equal(unlink(at("spool")), 0);
	mb = select_inbox(false);
	assert_int_equal(mailbox_count(mb), 0);
	assert_int_equal(mailbox_uidvalidity(mb), 77);
	assert_int_equal(mailbox_uidnext(mb), 9);
	mailbox_close(mb);
}

static void test_line_ends(void **state)
{
	struct mailbox *mb;
	struct store_view v;

	(void)state;
	spew("From a " DATE "\r\nSubject: 1\r\n\r\n>From x\r\n\r\nFrom b " DATE "\r\nSubject: 2\r\n\r\n2\n3\r\n\r\n");
	mb = select_inbox(false);
	assert_int_equal(mailbox_view(mb, 1, &v), STORE_OK);
	assert_true(v.crlf);
	assert_true(span_is(v.raw, "Subject: 1\r\n\r\nFrom x\r\n"));
	assert_int_equal(mailbox_msg(mb, 1)->size, 22);
	store_view_done(&v);
	assert_int_equal(mailbox_view(mb, 2, &v), STORE_OK);
	assert_false(v.crlf);
	assert_int_equal(mailbox_msg(mb, 2)->size, v.raw.len + 1);
	store_view_done(&v);
	mailbox_close(mb);
}

/* One piece of the file holds both; another program writes the second one anew, and a third that is longer than any piece. */
static void test_pieces(void **state)
{
	enum { LONG = 3 * 1024 * 1024 };
	char *text = arena_alloc(&arena, LONG + 1);
	struct mailbox *mb;
	struct store_view v;

	(void)state;
	spew("From a " DATE "\nSubject: 1\n\n1\n\nFrom b " DATE "\nSubject: 2\n\n2\n\n");
	mb = select_inbox(false);
	assert_int_equal(mailbox_view(mb, 1, &v), STORE_OK);
	store_view_done(&v);
	spew("From a " DATE "\nSubject: 1\n\n1\n\nFrom b " DATE "\nSubject: 2\n\n3\n\n");
	memset(text, 'x', LONG);
	text[LONG] = '\0';
	more("From c " DATE "\nSubject: 3\n\n");
	more(text);
	more("\n\n");
	assert_int_equal(mailbox_sync(mb, true, NULL), STORE_OK);
	assert_int_equal(mailbox_count(mb), 3);
	assert_int_equal(mailbox_view(mb, 2, &v), STORE_OK);
	assert_true(span_is(v.raw, "Subject: 2\n\n3\n"));
	store_view_done(&v);
	assert_int_equal(mailbox_view(mb, 3, &v), STORE_OK);
	assert_int_equal(v.raw.len, strlen("Subject: 3\n\n") + LONG + 1);
	store_view_done(&v);
	mailbox_rest(mb);
	assert_int_equal(mailbox_view(mb, 1, &v), STORE_OK);
	assert_true(span_is(v.raw, "Subject: 1\n\n1\n"));
	store_view_done(&v);
	mailbox_close(mb);
}

static void test_odd_files(void **state)
{
	struct mailbox *mb = NULL;

	(void)state;
	spew("\n\nFrom a " DATE "\nSubject: 1\n\n1\n");
	mb = select_inbox(false);
	assert_string_equal(show(mb), "1:32:Subject: 1\n\n1\n|");
	mailbox_close(mb);
	spew("this is no mailbox\n");
	assert_int_equal(store_select(store, SPAN("INBOX"), false, &mb), STORE_ERROR);
	assert_string_equal(slurp(), "this is no mailbox\n");
	spew("\n\n\n");
	mb = select_inbox(false);
	assert_int_equal(mailbox_count(mb), 0);
	mailbox_close(mb);
	spew("From a " DATE "\n");
	mb = select_inbox(false);
	assert_string_equal(show(mb), "2:32:|");
	mailbox_close(mb);
	assert_int_equal(unlink(at("spool")), 0);
	assert_int_equal(mkdir(at("spool"), 0700), 0);
	assert_int_equal(store_select(store, SPAN("INBOX"), false, &mb), STORE_ERROR);
}

/* Another program edits the file while it is open here. */
static void test_edited_behind_our_back(void **state)
{
	struct mailbox *mb;

	(void)state;
	spew("From a " DATE "\nSubject: 1\n\n1\n\nFrom b " DATE "\nSubject: 2\n\n2\n\nFrom c " DATE "\nSubject: 3\n\n3\n\n");
	mb = select_inbox(false);
	mailbox_close(mb);
	mb = select_inbox(false);
	assert_string_equal(show(mb), "1:0:Subject: 1\n\n1\n|2:0:Subject: 2\n\n2\n|3:0:Subject: 3\n\n3\n|");
	{ /* the middle one goes, the last one is marked read, one comes */
		char *text = arena_strdup(&arena, slurp()), *two = strstr(text, "\nFrom b ") + 1, *three = strstr(text, "\nFrom c ") + 1;

		memcpy(strstr(three, "Status: O "), "Status: RO", 10);
		memmove(two, three, strlen(three) + 1);
		spew(text);
		more("From d " DATE "\nSubject: 4\n\n4\n\n");
	}
	assert_int_equal(mailbox_flag(mb, 1, STORE_FLAGS_ADD, STORE_FLAGGED, 0), STORE_OK);
	assert_int_equal(mailbox_sync(mb, true, NULL), STORE_OK);
	assert_string_equal(show(mb), "1:4:Subject: 1\n\n1\n|3:1:Subject: 3\n\n3\n|4:32:Subject: 4\n\n4\n|");
	mailbox_close(mb);
	assert_string_equal(show_fresh(), "1:4:Subject: 1\n\n1\n|3:1:Subject: 3\n\n3\n|4:0:Subject: 4\n\n4\n|");
}

static void test_read_only_file(void **state)
{
	struct mailbox *mb;
	int status;
	pid_t child;

	(void)state;
	spew("From a " DATE "\nSubject: 1\n\n1\n\n");
	assert_int_equal(chmod(at("spool"), 0444), 0);
	assert_int_equal(chmod(home, 0755), 0);
	child = fork();
	if (child == 0) {
		if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(9);
		mb = select_inbox(false);
		if (!mailbox_read_only(mb) || mailbox_count(mb) != 1 || mailbox_msg(mb, 1)->uid != 1)
			_exit(1);
		mailbox_close(mb);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_string_equal(slurp(), "From a " DATE "\nSubject: 1\n\n1\n\n");
}

static void test_state_file(void **state)
{
	struct mbox_state s = { .uidvalidity = 5, .uidnext = 6, .nruns = 1, .runs = { { 1, 2, 3, 4, 5 } } }, r;
	struct buf b;
	const char *ctl = at("ctl");

	(void)state;
	assert_int_equal(mbox_state_save(ctl, &s), 0);
	s.uidnext = 7;
	assert_int_equal(mbox_state_save(ctl, &s), 0);
	mbox_state_load(ctl, &r);
	assert_memory_equal(&r, &s, sizeof s);
	buf_init(&b, 4096);
	mbox_state_make(&b, &s);
	for (size_t i = 0; i < b.len; i++) { /* cut and flipped anywhere: no state, never a wrong one */
		assert_false(mbox_state_parse(span_head(buf_span(&b), i), &r));
		for (int bit = 0; bit < 8; bit++) {
			b.ptr[i] ^= (char)(1 << bit);
			assert_false(mbox_state_parse(buf_span(&b), &r));
			b.ptr[i] ^= (char)(1 << bit);
		}
	}
	buf_free(&b);
	/* a torn write of the newer slot leaves the older one */
	{
		int fd = open(at("ctl/posthouse-state"), O_WRONLY);

		assert_int_equal(pwrite(fd, "x", 1, s.sequence % 2 * 2048 + 9), 1);
		close(fd);
	}
	mbox_state_load(ctl, &r);
	assert_int_equal(r.uidnext, 6);
}

/* A journal at each of its stages, with and without letters that came in behind. */
static void test_journal(void **state)
{
	static const char old[] = "0123456789abcdefghij\n\n";
	static const struct {
		const char *name, *fresh;
	} cases[] = { { "shorter", "XY\n\n" }, { "longer", "XYZXYZXYZXYZXYZXYZXYZXYZ\n\n" }, { "same", "ABCDEFGHIJKLMNOP\n\n" } };
	const char *ctl = at("ctl");

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct mbox_journal *j;
		int fd;

		spew(old);
		fd = open(at("spool"), O_RDWR);
		j = mbox_journal_begin(ctl, 4);
		assert_non_null(j);
		assert_int_equal(mbox_journal_write(j, span_cstr(cases[i].fresh)), 0);
		assert_int_equal(mbox_journal_commit(j, fd), 0);
		assert_string_equal(slurp(), arena_printf(&arena, "0123%s", cases[i].fresh));
		assert_int_equal(mbox_journal_replay(ctl, fd, "spool"), 0);
		close(fd);
	}
}

/* A journal whose change was not made: the file could not be written. */
static void leave_journal(const char *ctl, const char *old, const char *fresh)
{
	struct mbox_journal *j;
	int fd;

	spew(old);
	fd = open(at("spool"), O_RDONLY);
	j = mbox_journal_begin(ctl, 4);
	assert_non_null(j);
	assert_int_equal(mbox_journal_write(j, span_cstr(fresh)), 0);
	assert_int_equal(mbox_journal_commit(j, fd), -1);
	close(fd);
}

/* Somebody damaged the journal: nothing is done with it, and the mailbox stays as it is. */
static void test_damaged_journal(void **state)
{
	static const char old[] = "0123456789abcdefghij\n\n", fresh[] = "XY\n\n";
	const char *ctl = at("ctl"), *path = at("ctl/posthouse-journal");
	enum { HEADER_USED = 56, HEADER = 128 };

	(void)state;
	for (off_t i = 0; i < HEADER + (off_t)sizeof fresh - 1; i++) {
		bool padding = i >= HEADER_USED + 4 && i < HEADER;
		int fd, rc;
		char c;

		leave_journal(ctl, old, fresh);
		fd = open(path, O_RDWR);
		assert_int_equal(pread(fd, &c, 1, i), 1);
		c ^= 0x10;
		assert_int_equal(pwrite(fd, &c, 1, i), 1);
		close(fd);
		fd = open(at("spool"), O_RDWR);
		rc = mbox_journal_replay(ctl, fd, "spool");
		assert_int_equal(rc, 1);
		if (strcmp(slurp(), padding ? "0123XY\n\n" : old) != 0)
			fail_msg("byte %ld: %s", (long)i, slurp());
		assert_int_equal(mbox_journal_replay(ctl, fd, "spool"), 0);
		close(fd);
	}
	/* of another file */
	leave_journal(ctl, old, fresh);
	assert_int_equal(unlink(at("spool")), 0);
	spew("another file\n");
	{
		int fd = open(at("spool"), O_RDWR);

		assert_int_equal(mbox_journal_replay(ctl, fd, "spool"), 1);
		close(fd);
	}
	assert_string_equal(slurp(), "another file\n");
	assert_int_equal(access(at("ctl/posthouse-journal.unused"), F_OK), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_servers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_base, setup, teardown),
		cmocka_unit_test_setup_teardown(test_line_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_edited_behind_our_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_journal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_journal, setup, teardown),
	};

	if (getenv("STORE_LOG") == NULL)
		log_open("store_mbox_test", LOG_TO_FD, open("/dev/null", O_WRONLY), 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
