/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/deliver.h"
#include "lib/store/mbox-format.h"
#include "lib/store/mboxlock.h"

static char dir[128];
static struct arena arena;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/store-deliver-XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
	char cmd[200];

	(void)state;
	arena_free(&arena);
	snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
	return system(cmd);
}

static const char *at(const char *name)
{
	return arena_printf(&arena, "%s/%s", dir, name);
}

static struct span slurp(const char *path)
{
	char *p = arena_alloc(&arena, 1 << 16);
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, p, 1 << 16);

	if (fd >= 0)
		close(fd);
	return n < 0 ? SPAN_NONE : span_of(p, (size_t)n);
}

static void spew(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

struct feed {
	struct span rest;
	size_t step;
	bool fail;
};

static bool feed_next(void *arg, struct span *chunk)
{
	struct feed *f = arg;

	if (f->fail && f->rest.len == 0)
		return false;
	*chunk = span_head(f->rest, f->step);
	f->rest = span_skip(f->rest, f->step);
	return true;
}

static bool kept;

static struct verdict add(struct deliver_batch *b, const char *sender, const char *content, const char *key)
{
	struct feed f = { span_cstr(content), 7, false };
	struct deliver_letter l = { span_cstr(sender), SPAN("Delivered-To: x\n"), span_cstr(key), true, kept, feed_next, &f };

	return deliver_add(b, &arena, &l);
}

static struct verdict deliver_one(const struct deliver_target *t, const char *content, const char *key)
{
	struct verdict v, committed;
	struct deliver_batch *b = deliver_begin(&arena, t, &v);

	if (b == NULL)
		return v;
	v = add(b, "a@example.com", content, key);
	committed = deliver_commit(b, &arena);
	return v.class == VERDICT_OK ? committed : v;
}

static int count(struct span s, const char *needle)
{
	int n = 0;

	for (ptrdiff_t i; (i = span_find(s, span_cstr(needle))) >= 0; n++)
		s = span_skip(s, (size_t)i + 1);
	return n;
}

/* What goes through the encoder comes back from the decoder, whatever the size of the chunks. */
static void round_trip(struct span in, size_t step)
{
	bool open_end = in.len > 0 && in.ptr[in.len - 1] != '\n';
	struct mbox_encoder e;
	struct buf out, back;
	uint64_t size, want = in.len;

	buf_init(&out, 4096);
	buf_init(&back, 4096);
	mbox_encoder_init(&e, true);
	for (struct span r = in; r.len > 0; r = span_skip(r, step))
		assert_true(mbox_encode(&e, span_head(r, step), &out));
	assert_true(mbox_encode_end(&e, &out));
	assert_true(mbox_decode(buf_span(&out), &back));
	mbox_measure(buf_span(&out), &size);
	for (size_t j = 0; j < in.len; j++)
		want += in.ptr[j] == '\n';
	assert_int_equal(size, want + (open_end ? 2 : 0));
	assert_int_equal(back.len, in.len + open_end);
	assert_memory_equal(buf_cstr(&back), in.ptr, in.len);
	buf_free(&out);
	buf_free(&back);
}

static void test_round_trip(void **state)
{
	static const char *const mails[] = {
		"", "\n", "x", "Subject: a\n", "Subject: a\n\n", "Subject: a\n\nbody\n", "Subject: a\n\nbody\n\n",
		"From a\n\nFrom b\n>From c\n>>From d\n", "S: 1\n\nFrom \n\n\nFrom\n>Fromx\n> From \n>\n>>\n",
		"\n\nFrom x Tue Nov 24 04:00:00 2026\n", "Sta: x\nStatus\nSt", ">From x\n\nF\nFr\nFro\n",
		"A: b\n c\n\nStatus: RO\nX-UID: 3\n", "a\rb\r\rc\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof mails / sizeof *mails; i++)
		for (size_t step = 1; step < 9; step++)
			round_trip(span_cstr(mails[i]), step);
}

static void test_forged_fields(void **state)
{
	static const char mail[] = "X-UID: 7\nSTATUS: RO\n more\n\tmore\nStatus-Of: x\nX-IMAPbase: 1 2\nX-Posthouse: z\n"
				   "Subject: s\n\nStatus: RO\n";
	struct buf out;
	struct mbox_encoder e;

	(void)state;
	buf_init(&out, 4096);
	for (size_t step = 1; step < 20; step++) {
		buf_reset(&out);
		mbox_encoder_init(&e, true);
		for (struct span r = span_cstr(mail); r.len > 0; r = span_skip(r, step))
			assert_true(mbox_encode(&e, span_head(r, step), &out));
		assert_true(mbox_encode_end(&e, &out));
		assert_string_equal(buf_cstr(&out), "Status-Of: x\nSubject: s\n\nStatus: RO\n\n");
	}
	buf_free(&out);
}

static void test_from_lines(void **state)
{
	static const struct {
		const char *line;
		bool ok;
	} cases[] = {
		{ "From a@b Tue Nov 24 04:00:00 2026", true },
		{ "From a@b  Tue Nov  4 04:00:00 2026", true },
		{ "From a b c Tue Nov 24 04:00:00 2026", true },
		{ "From a@b Tue Nov 24 04:00 2026", true },
		{ "From a@b Tue Nov 24 04:00:00 EST 2026", true },
		{ "From a@b Tue Nov 24 04:00:00 2026 +0100", true },
		{ "From a@b Tue Nov 24 04:00:00 +0100 2026", true },
		{ "From a@b Tue, 24 Nov 04:00:00 2026", true },
		{ "From a@b Tue Nov 24 04:00:00 2026 remote from x", true },
		{ "From Tue Nov 24 04:00:00 2026", true },
		{ "From a@b Tue Nov 24 04:00:00 2026\r", true },
		{ "From here on it is body text", false },
		{ "From a@b", false },
		{ "From ", false },
		{ "From a@b Tue Nov 34 04:00:00 2026", false },
		{ "From a@b Tue Nov 24 24:00:00 2026", false },
		{ "from a@b Tue Nov 24 04:00:00 2026", false },
		{ ">From a@b Tue Nov 24 04:00:00 2026", false },
	};
	struct buf b;
	int64_t date;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (mbox_from_parse(span_cstr(cases[i].line), &date) != cases[i].ok)
			fail_msg("%s", cases[i].line);
	assert_true(mbox_from_parse(SPAN("From a@b Tue Nov 24 04:00:00 2026 +0100"), &date));
	assert_int_equal(date, 1795489200);
	buf_init(&b, 2000);
	mbox_from_make(&b, SPAN("a b\nFrom x@y"), 1795489200);
	assert_int_equal(count(buf_span(&b), "\n"), 1);
	assert_true(span_starts(buf_span(&b), "From a_b_From_x@y  "));
	assert_true(mbox_from_parse(buf_span(&b), &date));
	assert_int_equal(date, 1795489200);
	buf_reset(&b);
	mbox_from_make(&b, SPAN_NONE, 0);
	assert_true(span_starts(buf_span(&b), "From MAILER-DAEMON  "));
	buf_free(&b);
}

static void test_block(void **state)
{
	struct mbox_block m = { .key = 0x123456789abcdef, .length = 77, .crc = 0xdeadbeef, .uid = 12, .flags = 1 | 2 | 16,
				.old = true, .keywords = SPAN("$Forwarded x"), .keyword_room = 40, .has_base = true,
				.uidvalidity = 5, .lastuid = 12, .base_keywords = SPAN("a b"), .base_room = 80 };
	struct mbox_block r;
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_true(mbox_block_make(&b, &m));
	assert_int_equal(b.len, mbox_block_size(&m));
	assert_int_equal(mbox_block_parse(buf_span(&b), &r), b.len);
	assert_true(r.key == m.key && r.length == 77 && r.crc == m.crc && r.uid == 12 && r.flags == m.flags && r.old);
	assert_true(span_eq(r.keywords, m.keywords) && r.keyword_room == 40);
	assert_true(r.has_base && r.uidvalidity == 5 && r.lastuid == 12 && span_is(r.base_keywords, "a b"));
	assert_int_equal(r.base_room, 80);
	for (size_t i = 0; i < b.len; i++) /* cut anywhere: never read past the end */
		assert_true(mbox_block_parse(span_head(buf_span(&b), i), &r) <= i);
	buf_free(&b);
}

static void test_mbox(void **state)
{
	struct deliver_target t = { .path = at("alice"), .check_owner = true, .uid = geteuid() };
	struct verdict v;
	struct deliver_batch *b = deliver_begin(&arena, &t, &v);
	struct span s;

	(void)state;
	assert_non_null(b);
	assert_int_equal(add(b, "a@b", "Subject: 1\n\nFrom x\n", "k1").class, VERDICT_OK);
	assert_int_equal(add(b, "", "Subject: 2\n\nno end", "k2").class, VERDICT_OK);
	assert_int_equal(deliver_commit(b, &arena).class, VERDICT_OK);
	s = slurp(t.path);
	assert_int_equal(count(s, "\nFrom "), 1);
	assert_int_equal(count(s, "\n>From x\n\nFrom MAILER-DAEMON  "), 1);
	assert_true(span_ends(s, "\nno end\n\n"));
	assert_int_equal(count(s, "X-IMAPbase:"), 1);
	/* the same letters again: recognised */
	assert_int_equal(deliver_one(&t, "Subject: 1\n\nFrom x\n", "k1").class, VERDICT_OK);
	assert_int_equal(deliver_one(&t, "Subject: 2\n\nno end", "k2").class, VERDICT_OK);
	assert_int_equal(slurp(t.path).len, s.len);
	/* a torn end left by somebody else */
	spew(t.path, "From a Tue Nov 24 04:00:00 2026\nSubject: x\n\ntorn li");
	assert_int_equal(deliver_one(&t, "Subject: 3\n\n3\n", "k3").class, VERDICT_OK);
	assert_int_equal(count(slurp(t.path), "torn li\n\nFrom a@example.com  "), 1);
	assert_int_not_equal(access(at("alice.lock"), F_OK), 0);
}

static void test_unfinished(void **state)
{
	struct deliver_target t = { .path = at("unfinished") };
	struct span whole;
	ptrdiff_t second;
	char *cut;

	(void)state;
	assert_int_equal(deliver_one(&t, "Subject: 1\n\n1\n", "u1").class, VERDICT_OK);
	assert_int_equal(deliver_one(&t, "Subject: 2\n\n22222222222\n", "u2").class, VERDICT_OK);
	whole = slurp(t.path);
	second = span_find(whole, SPAN("\nFrom ")) + 1;
	/* power failed: the second one is cut short; delivered again it replaces what is there */
	for (size_t n = (size_t)second; n <= whole.len; n++) {
		assert_int_equal(truncate(t.path, (off_t)n), 0);
		assert_int_equal(deliver_one(&t, "Subject: 2\n\n22222222222\n", "u2").class, VERDICT_OK);
		if (slurp(t.path).len != whole.len && n > (size_t)second + 200)
			fail_msg("cut at %zu of %zu: %zu", n, whole.len, slurp(t.path).len);
		spew(t.path, arena_cstr(&arena, whole));
	}
	/* killed while writing: the length is still zero */
	cut = arena_cstr(&arena, span_head(whole, whole.len - 5));
	memcpy(strstr(cut + second, "X-Posthouse: ") + mbox_block_length_at(), "000000000000", 12);
	spew(t.path, cut);
	assert_int_equal(deliver_one(&t, "Subject: 3\n\n3\n", "u3").class, VERDICT_OK);
	assert_int_equal(count(slurp(t.path), "\nFrom "), 1);
	assert_int_equal(count(slurp(t.path), "Subject: 2"), 0);
}

/* --- mailboxes that others touch between two deliveries --- */

/* The nth letter of a mailbox, from 0. */
static struct span letter_of(struct span box, int n)
{
	for (struct span rest = box; rest.len > 0;) {
		ptrdiff_t end = span_find(span_skip(rest, 1), SPAN("\nFrom "));
		struct span letter = end < 0 ? rest : span_head(rest, (size_t)end + 2);

		if (n-- == 0)
			return letter;
		rest = span_skip(rest, letter.len);
	}
	return SPAN_NONE;
}

static void write_letters(const char *path, int n, const struct span *letters)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	for (int i = 0; i < n; i++)
		buf_add_span(&b, letters[i]);
	spew(path, buf_cstr(&b));
	buf_free(&b);
}

static int letters_in(const char *path, const char *needle)
{
	return count(slurp(path), needle);
}

static void deliver_three(const struct deliver_target *t)
{
	assert_int_equal(deliver_one(t, "Subject: first\n\n1\n", "three.1").class, VERDICT_OK);
	assert_int_equal(deliver_one(t, "Subject: secnd\n\n2\n", "three.2").class, VERDICT_OK);
	assert_int_equal(deliver_one(t, "Subject: third\n\n3\n", "three.3").class, VERDICT_OK);
}

static void repeat_three(const struct deliver_target *t, int first, int second, int third)
{
	assert_int_equal(deliver_one(t, "Subject: secnd\n\n2\n", "three.2").class, VERDICT_OK);
	assert_int_equal(letters_in(t->path, "Subject: first\n"), first);
	assert_int_equal(letters_in(t->path, "Subject: secnd\n"), second);
	assert_int_equal(letters_in(t->path, "Subject: third\n"), third);
}

static void test_rewritten_by_others(void **state)
{
	static const char foreign[] = "From o@x Tue Nov 24 04:00:00 2026\nSubject: other\n\nfrom another program\n\n";
	struct deliver_target t = { .path = at("touched") };
	struct span all, l[3];

	(void)state;
	deliver_three(&t);
	all = slurp(t.path);
	for (int i = 0; i < 3; i++)
		l[i] = letter_of(all, i);
	/* the first was expunged: all lies elsewhere */
	write_letters(t.path, 2, (struct span[]){ l[1], l[2] });
	repeat_three(&t, 0, 1, 1);
	/* in another order, as long as before: nothing tells but the letters themselves */
	write_letters(t.path, 2, (struct span[]){ l[2], l[1] });
	repeat_three(&t, 0, 1, 1);
	/* longer in front */
	write_letters(t.path, 4, (struct span[]){ span_cstr(foreign), l[0], l[1], l[2] });
	repeat_three(&t, 1, 1, 1);
	/* appended to */
	write_letters(t.path, 4, (struct span[]){ l[0], l[1], l[2], span_cstr(foreign) });
	repeat_three(&t, 1, 1, 1);
	/* cut to nothing and filled with others' mail */
	write_letters(t.path, 1, (struct span[]){ span_cstr(foreign) });
	repeat_three(&t, 0, 1, 0);
	/* replaced by another file */
	assert_int_equal(unlink(t.path), 0);
	write_letters(t.path, 2, (struct span[]){ l[1], l[0] });
	repeat_three(&t, 1, 1, 0);
}

static void test_torn_beside_others(void **state)
{
	static const char foreign[] = "From o@x Tue Nov 24 04:00:00 2026\nSubject: other\n\nfrom another program\n\n";
	struct deliver_target t = { .path = at("torn") };
	struct span l[3];

	(void)state;
	deliver_three(&t);
	for (int i = 0; i < 3; i++)
		l[i] = letter_of(slurp(t.path), i);
	for (size_t n = 1; n < l[1].len; n++) {
		struct span torn = span_head(l[1], n);

		/* at the end, behind what another program appended: replaced, and nothing else */
		write_letters(t.path, 3, (struct span[]){ l[0], span_cstr(foreign), torn });
		assert_int_equal(deliver_one(&t, "Subject: secnd\n\n2\n", "three.2").class, VERDICT_OK);
		assert_int_equal(letters_in(t.path, "Subject: first\n\n1\n\n"), 1);
		assert_int_equal(letters_in(t.path, "Subject: secnd\n\n2\n\n"), 1);
		assert_int_equal(letters_in(t.path, "Subject: other\n\nfrom another program\n\n"), 1);
		/* before it: the whole one comes behind, and what another program wrote stays */
		write_letters(t.path, 4, (struct span[]){ l[0], torn, SPAN("\n\n"), span_cstr(foreign) });
		assert_int_equal(deliver_one(&t, "Subject: secnd\n\n2\n", "three.2").class, VERDICT_OK);
		assert_int_equal(letters_in(t.path, "Subject: first\n\n1\n\n"), 1);
		assert_true(span_ends(slurp(t.path), "Subject: secnd\n\n2\n\n") || n + 2 >= l[1].len);
		assert_int_equal(letters_in(t.path, "Subject: other\n\nfrom another program\n\n"), 1);
	}
}

/* What an agent had delivered that ended before it was durable: taken out by its owner, it does not come back. */
static void test_kept(void **state)
{
	struct deliver_target t = { .path = at("kept") };
	struct span l[3];

	(void)state;
	deliver_three(&t);
	for (int i = 0; i < 3; i++)
		l[i] = letter_of(slurp(t.path), i);
	kept = true;
	repeat_three(&t, 1, 1, 1);
	write_letters(t.path, 2, (struct span[]){ l[0], l[2] });
	repeat_three(&t, 1, 0, 1);
	assert_int_equal(unlink(t.path), 0);
	repeat_three(&t, 0, 0, 0);
	kept = false;
	repeat_three(&t, 0, 1, 0);
}

static void test_attacks(void **state)
{
	struct deliver_target t = { .check_owner = true, .uid = geteuid() };
	static const char *const paths[] = { "link", "hard", "fifo", "folder", "dangling" };

	(void)state;
	spew(at("victim"), "precious\n");
	assert_int_equal(symlink(at("victim"), at("link")), 0);
	assert_int_equal(symlink(at("nowhere"), at("dangling")), 0);
	assert_int_equal(link(at("victim"), at("hard")), 0);
	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	assert_int_equal(mkdir(at("folder"), 0700), 0);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		t.path = at(paths[i]);
		assert_int_equal(deliver_one(&t, "x\n", "k").class, VERDICT_TEMP);
	}
	assert_int_not_equal(access(at("nowhere"), F_OK), 0);
	assert_true(span_is(slurp(at("victim")), "precious\n"));
	spew(at("foreign"), "");
	t.path = at("foreign");
	t.uid = geteuid() + 1;
	assert_int_equal(deliver_one(&t, "x\n", "k").class, VERDICT_TEMP);
	assert_int_equal(slurp(at("foreign")).len, 0);
}

static void test_limits(void **state)
{
	struct deliver_target t = { .path = at("small"), .size_limit = 1000 };
	struct verdict v;
	char big[1200];
	struct deliver_batch *b;
	struct feed f = { SPAN("Subject: x\n\nhalf"), 4, true };
	size_t len;

	(void)state;
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	assert_int_equal(deliver_one(&t, "a\n", "1").class, VERDICT_OK);
	len = slurp(t.path).len;
	v = deliver_one(&t, big, "2");
	assert_int_equal(v.class, VERDICT_PERM);
	assert_string_equal(v.dsn, "5.2.2");
	big[600] = '\0';
	v = deliver_one(&t, big, "3");
	assert_string_equal(v.dsn, "4.2.2");
	assert_int_equal(slurp(t.path).len, len);
	b = deliver_begin(&arena, &t, &v);
	assert_non_null(b);
	assert_int_equal(deliver_add(b, &arena, &(struct deliver_letter){ SPAN("a"), SPAN_NONE, SPAN("4"), true, false, feed_next, &f }).class, VERDICT_TEMP);
	assert_int_equal(deliver_commit(b, &arena).class, VERDICT_OK);
	assert_int_equal(slurp(t.path).len, len);
	t = (struct deliver_target){ .path = "/dev/null", .allow_special = true };
	assert_int_equal(deliver_one(&t, "a\n", "1").class, VERDICT_OK);
	t.allow_special = false;
	assert_int_equal(deliver_one(&t, "a\n", "1").class, VERDICT_TEMP);
	t.path = "/dev/full";
	t.allow_special = true;
	assert_string_equal(deliver_one(&t, "a\n", "1").dsn, "4.2.2");
}

static int entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	if (d == NULL)
		return -1;
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void test_maildir(void **state)
{
	struct deliver_target t = { .path = at("deep/er/Maildir/"), .create_dirs = true };
	char cmd[500];

	(void)state;
	assert_int_equal(deliver_one(&t, "Subject: 1\r\n\r\nFrom x\r\n", "../Q1").class, VERDICT_OK);
	assert_int_equal(deliver_one(&t, "Subject: 1\n\nFrom x\n", "../Q1").class, VERDICT_OK);
	assert_int_equal(deliver_one(&t, "Subject: 2\n\n", "Q2").class, VERDICT_OK);
	assert_int_equal(entries(at("deep/er/Maildir/new")), 2);
	assert_int_equal(entries(at("deep/er/Maildir/tmp")), 0);
	/* read since: still recognised */
	snprintf(cmd, sizeof cmd, "cd '%s' && for f in new/*; do mv $f cur/${f#new/}:2,RS; done", t.path);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(deliver_one(&t, "Subject: 1\n\nFrom x\n", "../Q1").class, VERDICT_OK);
	assert_int_equal(entries(at("deep/er/Maildir/new")), 0);
	snprintf(cmd, sizeof cmd, "cd '%s' && grep -qx 'From x' cur/*S=35,W=39:2,RS && ! grep -q '\r' cur/*", t.path);
	assert_int_equal(system(cmd), 0);
	spew(at("plain"), "");
	t = (struct deliver_target){ .path = at("plain/") };
	assert_int_equal(deliver_one(&t, "a\n", "1").class, VERDICT_TEMP);
}

/* In another process, so that kernel locks count. */
static void child_locks(const char *path, const char *methods, int wait_ms, bool expect)
{
	struct mboxlock m;
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit((mboxlock_open(&m, path, O_RDWR, 0, MBOXLOCK_WRITE, methods, clock_deadline(wait_ms)) == 0) == expect ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_locks(void **state)
{
	struct mboxlock l, m;
	const char *path = at("locked");
	int64_t begun = clock_mono_ms();

	(void)state;
	spew(path, "");
	assert_int_equal(mboxlock_open(&l, path, O_RDWR, 0, MBOXLOCK_WRITE, "fcntl, dotlock", clock_deadline(1000)), 0);
	assert_int_equal(access(at("locked.lock"), F_OK), 0);
	child_locks(path, "", 100, false);
	child_locks(path, "fcntl", 50, false);
	/* the same process, another "session": refused, and the lock stays */
	assert_int_equal(mboxlock_open(&m, path, O_RDONLY, 0, MBOXLOCK_READ, "fcntl", clock_deadline(20)), -1);
	child_locks(path, "fcntl", 50, false);
	mboxlock_close(&l);
	assert_int_not_equal(access(at("locked.lock"), F_OK), 0);
	/* a dotlock of a process that is gone */
	child_locks(path, "", 1000, true);
	assert_int_equal(access(at("locked.lock"), F_OK), 0);
	assert_int_equal(mboxlock_open(&l, path, O_RDWR, 0, MBOXLOCK_WRITE, "", clock_deadline(1000)), 0);
	mboxlock_close(&l);
	/* one that somebody else holds, and an old one */
	spew(at("locked.lock"), "1");
	assert_int_equal(mboxlock_open(&l, path, O_RDWR, 0, MBOXLOCK_WRITE, "", clock_deadline(50)), -1);
	assert_int_equal(errno, EAGAIN);
	mboxlock_set_stale_ms(-1);
	assert_int_equal(mboxlock_open(&l, path, O_RDWR, 0, MBOXLOCK_WRITE, "", clock_deadline(50)), 0);
	mboxlock_set_stale_ms(500000);
	mboxlock_close(&l);
	assert_true(clock_mono_ms() - begun < 5000);
}

/* Several processes, one mailbox: nothing lost, nothing mixed. */
static void test_contention(void **state)
{
	struct deliver_target t = { .path = at("busy") };
	enum { PROCS = 4, EACH = 25 };
	struct span s;
	int status;

	(void)state;
	for (int p = 0; p < PROCS; p++)
		if (fork() == 0) {
			int bad = 0;

			for (int i = 0; i < EACH; i++) {
				char text[128], key[32];

				snprintf(key, sizeof key, "%d-%d", p, i);
				snprintf(text, sizeof text, "Subject: %s.\n\nFrom %s\n", key, key);
				bad |= deliver_one(&t, text, key).class != VERDICT_OK;
			}
			_exit(bad);
		}
	for (int p = 0; p < PROCS; p++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	s = slurp(t.path);
	assert_int_equal(count(s, "\nFrom "), PROCS * EACH - 1);
	for (int p = 0; p < PROCS; p++)
		for (int i = 0; i < EACH; i++) {
			char text[128];

			snprintf(text, sizeof text, "Subject: %d-%d.\n\n>From %d-%d\n\n", p, i, p, i);
			assert_int_equal(count(s, text), 1);
		}
}

static void test_create_spool(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(deliver_create_spool(at("spooled"), geteuid(), getegid()), 0);
	assert_int_equal(stat(at("spooled"), &st), 0);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(deliver_create_spool(at("spooled"), geteuid(), getegid()), 0);
	assert_int_equal(deliver_create_spool(at("no/such"), geteuid(), getegid()), -1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_forged_fields), cmocka_unit_test(test_from_lines),
		cmocka_unit_test(test_block), cmocka_unit_test(test_mbox), cmocka_unit_test(test_unfinished),
		cmocka_unit_test(test_rewritten_by_others), cmocka_unit_test(test_torn_beside_others), cmocka_unit_test(test_kept),
		cmocka_unit_test(test_attacks), cmocka_unit_test(test_limits), cmocka_unit_test(test_maildir),
		cmocka_unit_test(test_locks), cmocka_unit_test(test_contention), cmocka_unit_test(test_create_spool),
	};

	log_open("store_deliver_test", LOG_TO_FD, open("/dev/null", O_WRONLY), 0);
	return cmocka_run_group_tests(tests, setup, teardown);
}
