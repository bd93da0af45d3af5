/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One operation on a mailbox, for tests that kill it on the way:
 *
 *	store-do LOCATION fill N			deliver letters 1 to N (INBOX)
 *	store-do LOCATION deliver KEY [KEY ...]		deliver letters of these keys in one batch
 *	store-do LOCATION expunge N [N ...]		remove the letters with these numbers
 *	store-do LOCATION grow N [N ...]		give them keywords for which there is no room
 *	store-do LOCATION append KEY [KEY ...]		append letters, in one transaction
 *	store-do LOCATION check				print "UIDVALIDITY uid:key:flags ..."; exit 1 when a letter is damaged
 *	store-do LOCATION deliver-raw KEY		append one as a program does that knows nothing of us, without locks
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/store/deliver.h"
#include "lib/store/fs.h"
#include "lib/store/store.h"

static struct arena arena;
static struct store *store;
static const char *inbox;

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "store-do: %s: %s\n", what, why);
	exit(2);
}

static void expect(const char *what, enum store_status s)
{
	if (s != STORE_OK)
		fail(what, store_status_str(s));
}

/* A letter says in its subject who it is, and its body can be checked: some lines, as many as its number says. */
static struct span letter(const char *key)
{
	struct buf b;
	struct span s;
	int lines = atoi(key) % 7 * 40 + 3;

	buf_init(&b, 1 << 20);
	buf_addf(&b, "Subject: %s\nX-Lines: %d\n\n", key, lines);
	for (int i = 0; i < lines; i++)
		buf_addf(&b, "%sline %d of letter %s, long enough to fill some pages of memory\n", i % 5 ? "" : "From ", i, key);
	s = arena_span(&arena, buf_span(&b));
	buf_free(&b);
	return s;
}

static bool feed(void *arg, struct span *chunk)
{
	struct span *s = arg;

	*chunk = span_head(*s, 1000);
	*s = span_skip(*s, 1000);
	return true;
}

static void deliver(char **keys, int n)
{
	struct deliver_target t = { .path = inbox };
	struct verdict v;
	struct deliver_batch *b = deliver_begin(&arena, &t, &v);

	if (b == NULL)
		fail("deliver", v.text.ptr);
	for (int i = 0; i < n; i++) {
		struct span s = letter(keys[i]);

		struct deliver_letter l = { SPAN("sender@example.com"), SPAN("Delivered-To: x\n"), span_cstr(keys[i]), true, false, feed, &s };

		v = deliver_add(b, &arena, &l);
		if (v.class != VERDICT_OK)
			fail("deliver", v.text.ptr);
	}
	v = deliver_commit(b, &arena);
	if (v.class != VERDICT_OK)
		fail("deliver", v.text.ptr);
}

static void deliver_raw(const char *key)
{
	int fd = open(inbox, O_WRONLY | O_APPEND);

	if (fd < 0 || fs_write_all(fd, SPAN("\nFrom raw@example.com Tue Nov 24 04:00:00 2026\n")) < 0)
		fail(inbox, strerror(errno));
	for (struct span s = letter(key); s.len > 0;) {
		struct span line = span_cut(&s, '\n');

		if ((span_starts(line, "From ") && fs_write_all(fd, SPAN(">")) < 0) || fs_write_all(fd, line) < 0 || fs_write_all(fd, SPAN("\n")) < 0)
			fail(inbox, strerror(errno));
	}
	close(fd);
}

static const char *subject(struct mailbox *mb, uint32_t seq, struct store_view *v)
{
	struct span s, line;
	ptrdiff_t at;

	expect("view", mailbox_view(mb, seq, v));
	at = span_find(v->raw, SPAN("Subject: "));
	if (at < 0)
		fail("view", "no subject");
	s = span_skip(v->raw, (size_t)at + 9);
	line = span_cut(&s, '\n');
	return arena_cstr(&arena, line);
}

static struct mailbox *select_inbox(void)
{
	struct mailbox *mb;

	expect("select", store_select(store, SPAN("INBOX"), false, &mb));
	return mb;
}

static bool is_deleted(uint32_t seq, const struct store_msg *m, void *arg)
{
	(void)seq;
	(void)arg;
	return m->flags & STORE_DELETED;
}

static void change(char **numbers, int n, bool grow)
{
	struct mailbox *mb = select_inbox();
	uint64_t bits = 0;

	for (int i = 0; grow && i < 10; i++)
		bits |= UINT64_C(1) << mailbox_keyword_bit(mb, span_cstr(arena_printf(&arena, "keyword-number-%d", i)), true);
	for (uint32_t seq = 1; seq <= mailbox_count(mb); seq++) {
		struct store_view v;
		const char *key = subject(mb, seq, &v);

		store_view_done(&v);
		for (int i = 0; i < n; i++)
			if (strcmp(key, numbers[i]) == 0)
				expect("flag", mailbox_flag(mb, seq, STORE_FLAGS_ADD, grow ? STORE_FLAGGED : STORE_DELETED, bits));
	}
	if (!grow)
		expect("expunge", mailbox_expunge(mb, is_deleted, NULL, NULL));
	expect("flush", mailbox_flush(mb));
	mailbox_close(mb);
}

static void append(char **keys, int n)
{
	struct store_append *ap;
	uint32_t validity, *uids;
	size_t nuids;

	expect("append", store_append_begin(store, SPAN("INBOX"), &ap));
	for (int i = 0; i < n; i++) {
		expect("append", store_append_message(ap, STORE_SEEN, NULL, 0, 0, 0));
		expect("append", store_append_write(ap, letter(keys[i])));
	}
	expect("append", store_append_commit(ap, &arena, &validity, &uids, &nuids));
}

static int check(void)
{
	struct mailbox *mb = select_inbox();
	int bad = 0;

	printf("%u", mailbox_uidvalidity(mb));
	for (uint32_t seq = 1; seq <= mailbox_count(mb); seq++) {
		const struct store_msg *m = mailbox_msg(mb, seq);
		struct store_view v;
		const char *key = subject(mb, seq, &v);
		struct span text = v.raw, want = letter(key);

		if (span_starts(text, "Delivered-To: x\n"))
			text = span_skip(text, 16);
		while (text.len > want.len && text.ptr[text.len - 1] == '\n')
			text.len--; /* empty lines in front of a letter that came in during a crash */
		if (!span_eq(text, want)) {
			fprintf(stderr, "store-do: letter %s is damaged: %zu bytes, not %zu\n", key, text.len, want.len);
			bad = 1;
		}
		printf(" %u:%s:%s", m->uid, key, m->flags & STORE_FLAGGED ? "F" : "");
		store_view_done(&v);
	}
	printf("\n");
	return bad;
}

static void fill(int n)
{
	char **keys = arena_array(&arena, (size_t)n, sizeof *keys);

	for (int i = 0; i < n; i++)
		keys[i] = arena_printf(&arena, "%d", i + 1);
	deliver(keys, n);
}

int main(int argc, char **argv)
{
	struct user u = { .name = SPAN("user"), .home = "/" };
	const char *why, *verb = argc > 2 ? argv[2] : "";

	log_open("store-do", LOG_TO_STDERR, 2, 0);
	if (argc < 3)
		fail("usage", "LOCATION VERB ...");
	if (store_open(&arena, &u, argv[1], &store, &why) != STORE_OK)
		fail(argv[1], why);
	inbox = strstr(argv[1], "INBOX=") ? strstr(argv[1], "INBOX=") + 6 : arena_printf(&arena, "%s/", strchr(argv[1], ':') + 1);
	if (strcmp(verb, "fill") == 0)
		fill(atoi(argv[3]));
	else if (strcmp(verb, "deliver") == 0)
		deliver(argv + 3, argc - 3);
	else if (strcmp(verb, "deliver-raw") == 0)
		deliver_raw(argv[3]);
	else if (strcmp(verb, "expunge") == 0 || strcmp(verb, "grow") == 0)
		change(argv + 3, argc - 3, *verb == 'g');
	else if (strcmp(verb, "append") == 0)
		append(argv + 3, argc - 3);
	else if (strcmp(verb, "check") == 0)
		return check();
	else
		fail(verb, "no such operation");
	return 0;
}
