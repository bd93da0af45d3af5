/* SPDX-License-Identifier: BSD-2-Clause */
/* The pure parts of lib/service: back-off, score board, endpoints, control frames. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/arena.h"
#include "lib/service/backoff.h"
#include "lib/service/control.h"
#include "lib/service/endpoint.h"
#include "lib/service/link.h"
#include "lib/service/logto.h"

static void test_backoff(void **state)
{
	static const int64_t pauses[] = { 100, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000 };
	struct backoff b = { 0, 0 };
	int64_t now = 1000000;

	(void)state;
	for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
		assert_int_equal(backoff_next(&b, now, 60000), pauses[i]);
		now += pauses[i] + 50;
	}
	assert_int_equal(backoff_next(&b, now + 120000, 60000), 60000); /* not calm for long enough */
	assert_int_equal(backoff_next(&b, b.until_ms + 130001, 60000), 100);
	b = (struct backoff){ 0, 0 };
	assert_int_equal(backoff_next(&b, 0, 50), 50); /* never more than the maximum */
}

static void test_board(void **state)
{
	struct board *ours, *theirs;
	int fd = board_create(&ours);

	(void)state;
	assert_true(fd >= 0);
	theirs = board_attach(fd);
	assert_non_null(theirs);
	atomic_store(&theirs->limit, 2);
	assert_false(board_begin(theirs));
	assert_true(board_begin(theirs));
	assert_int_equal(atomic_load(&ours->busy), 2);
	assert_int_equal(atomic_load(&ours->total), 2);
	assert_true(board_end(theirs));
	assert_false(board_end(theirs));
	assert_int_equal(atomic_load(&ours->busy), 0);
	/* What a hostile worker could do to the file behind the page */
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	board_detach(theirs);
	board_detach(ours);
	close(fd);
}

static struct conf settings(const char *interfaces, const char *protocols, const char *unprivileged)
{
	struct conf c = { .inet_interfaces = interfaces,
			  .inet_protocols = protocols,
			  .unprivileged_mode = unprivileged,
			  .protocols = "imap, pop3" };

	return c;
}

static void test_endpoints(void **state)
{
	static const struct {
		const char *name, *interfaces, *protocols, *unprivileged;
		const char *expected; /* NULL: an error */
	} cases[] = {
		{ "smtp", "all", "all", "no", "0.0.0.0:25 [::]:25" },
		{ "smtp", "all", "ipv4", "no", "0.0.0.0:25" },
		{ "smtp", "loopback-only", "all", "no", "127.0.0.1:25 [::1]:25" },
		{ "smtp", "127.0.0.1, 127.0.0.2", "all", "no", "127.0.0.1:25 127.0.0.2:25" },
		{ "smtp", "127.0.0.1 127.0.0.1", "all", "no", "127.0.0.1:25" },
		{ "smtp", "[::1] 127.0.0.1", "ipv6", "no", "[::1]:25" },
		{ "smtp", "127.0.0.1", "all", "yes", "127.0.0.1:2025" },
		{ "imaps", "127.0.0.1", "all", "yes", "127.0.0.1:2993" },
		{ "submissions", "127.0.0.1", "all", "no", "127.0.0.1:465" },
		{ "2500", "127.0.0.1", "all", "yes", "127.0.0.1:2500" },
		{ "127.0.0.9:smtp", "all", "all", "no", "127.0.0.9:25" },
		{ "127.0.0.9:10025", "all", "all", "no", "127.0.0.9:10025" },
		{ "[::1]:25", "all", "all", "no", "[::1]:25" },
		{ "[::1]:25", "all", "ipv4", "no", NULL },
		{ "smtp", "127.0.0.1", "ipv6", "no", NULL },
		{ "nosuchport", "all", "all", "no", NULL },
		{ "0", "all", "all", "no", NULL },
		{ "65536", "all", "all", "no", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct conf c = settings(cases[i].interfaces, cases[i].protocols, cases[i].unprivileged);
		struct mastercf_service s = { .name = cases[i].name, .type = MASTERCF_INET, .program = "x" };
		char all[512] = "", text[ENDPOINT_TEXT_MAX];
		struct arena a = ARENA_INIT;
		struct endpoints list;
		struct buf messages;
		bool ok;

		buf_init(&messages, 10000);
		ok = endpoints_of(&c, &s, &a, &list, &messages);
		for (size_t k = 0; ok && k < list.count; k++) {
			strcat(all, k ? " " : "");
			strcat(all, endpoint_text(&list.list[k], text));
		}
		assert_int_equal(ok, cases[i].expected != NULL);
		assert_int_equal(messages.len > 0, cases[i].expected == NULL);
		assert_string_equal(all, cases[i].expected ? cases[i].expected : "");
		buf_free(&messages);
		arena_free(&a);
	}
}

static void test_unix_endpoints(void **state)
{
	struct conf c = settings("all", "all", "no");
	struct mastercf_service s = { .name = "auth", .type = MASTERCF_UNIX, .is_private = true, .program = "auth" };
	struct arena a = ARENA_INIT;
	struct endpoints list;
	struct buf messages;

	(void)state;
	buf_init(&messages, 1000);
	assert_true(endpoints_of(&c, &s, &a, &list, &messages));
	assert_int_equal(list.count, 2);
	assert_string_equal(list.list[0].path, "private/auth");
	assert_string_equal(list.list[1].path, "login/auth");
	s = (struct mastercf_service){ .name = "submit", .type = MASTERCF_UNIX_STREAM, .program = "smtpd" };
	assert_true(endpoints_of(&c, &s, &a, &list, &messages));
	assert_int_equal(list.count, 1);
	assert_string_equal(list.list[0].path, "public/submit");
	s.name = "a/../b";
	assert_false(endpoints_of(&c, &s, &a, &list, &messages));
	buf_free(&messages);
	arena_free(&a);
}

static void test_protocols(void **state)
{
	const char *imap[] = { "-P", "imap" }, *pop3[] = { "-Ppop3" }, *lmtp[] = { "-x", "-P", "lmtp" };
	struct conf c = settings("all", "all", "no");
	struct mastercf_service s = { .program = "login", .args = imap, .nargs = 2 };

	(void)state;
	assert_true(endpoint_wanted(&c, &s));
	c.protocols = "pop3";
	assert_false(endpoint_wanted(&c, &s));
	s.args = pop3;
	s.nargs = 1;
	assert_true(endpoint_wanted(&c, &s));
	s.args = lmtp;
	s.nargs = 3;
	assert_false(endpoint_wanted(&c, &s));
	s = (struct mastercf_service){ .program = "imapd" };
	assert_false(endpoint_wanted(&c, &s));
	s.program = "smtpd";
	assert_true(endpoint_wanted(&c, &s));
}

static void test_control(void **state)
{
	struct control_service in = { .name = SPAN("smtp"),
				      .type = SPAN("inet"),
				      .program = SPAN("smtpd"),
				      .listens = SPAN("0.0.0.0:25"),
				      .workers = 1,
				      .draining = 2,
				      .busy = 3,
				      .limit = 4,
				      .maxproc = 5,
				      .total = UINT64_MAX,
				      .restarts = 7,
				      .rss_bytes = 8,
				      .generation = 9,
				      .pause_ms = 10 };
	struct control_service out;
	enum control_verb verb;
	struct span text;
	struct buf b;
	bool ok;

	(void)state;
	buf_init(&b, 65536);
	assert_true(control_put_service(&b, &in));
	for (size_t cut = 0; cut < b.len; cut++) /* a torn frame is never half believed */
		assert_int_equal(control_get_answer(span_of(b.ptr, cut), &out, &ok, &text), 0);
	assert_int_equal(control_get_answer(buf_span(&b), &out, &ok, &text), CONTROL_SERVICE);
	assert_true(span_eq(in.name, out.name) && span_eq(in.listens, out.listens));
	assert_true(out.total == UINT64_MAX && out.pause_ms == 10 && out.workers == 1);
	assert_true(control_put_done(&b, false, SPAN("no")));
	assert_int_equal(control_get_answer(buf_span(&b), &out, &ok, &text), CONTROL_DONE);
	assert_true(!ok && span_is(text, "no"));
	assert_true(control_put_request(&b, CONTROL_RESTART, SPAN("smtpd")));
	assert_true(control_get_request(buf_span(&b), &verb, &text));
	assert_true(verb == CONTROL_RESTART && span_is(text, "smtpd"));
	assert_false(control_get_request(span_head(buf_span(&b), b.len - 1), &verb, &text));
	buf_free(&b);
}

static void test_facility(void **state)
{
	int value = 0;

	(void)state;
	assert_true(logto_facility("local7", &value));
	assert_int_equal(value, 23 << 3);
	assert_false(logto_facility("mails", &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backoff),   cmocka_unit_test(test_board),
		cmocka_unit_test(test_endpoints), cmocka_unit_test(test_unix_endpoints),
		cmocka_unit_test(test_protocols), cmocka_unit_test(test_control),
		cmocka_unit_test(test_facility),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
