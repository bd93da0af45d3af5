/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/io/frame.h"
#include "lib/service/handover.h"

static struct netaddr addr(const char *text, uint16_t port)
{
	struct netaddr a;

	assert_true(netaddr_parse(span_cstr(text), &a));
	a.port = port;
	return a;
}

static struct handover_login a_login(void)
{
	return (struct handover_login){
		.service = SPAN("imap"),
		.mechanism = SPAN("PLAIN"),
		.user = SPAN("alice"),
		.password = SPAN("s\0cret"),
		.tag = SPAN("a1"),
		.input = SPAN("a2 NOOP\r\n"),
		.session_id = SPAN("Zm9v"),
		.remote = addr("192.0.2.7", 4711),
		.local = addr("2001:db8::1", 143),
		.secured = true,
	};
}

static struct handover_session a_session(void)
{
	return (struct handover_session){
		.user = { .name = SPAN("alice"), .uid = 1000, .gid = 100, .home = "/home/alice", .shell = NULL,
			  .mail_location = "maildir:~/Maildir" },
		.tag = SPAN("a1"),
		.input = SPAN(""),
		.session_id = SPAN("Zm9v"),
		.mechanism = SPAN("LOGIN"),
		.remote = addr("::1", 4711),
		.local = addr("::1", 110),
		.secured = false,
	};
}

static void test_login(void **state)
{
	struct handover_login in = a_login(), out;
	struct buf b;

	(void)state;
	buf_init(&b, FRAME_MAX);
	assert_true(handover_put_login(&b, &in));
	assert_true(handover_get_login(buf_span(&b), &out));
	assert_true(span_eq(in.service, out.service) && span_eq(in.mechanism, out.mechanism));
	assert_true(span_eq(in.user, out.user) && span_eq(in.password, out.password));
	assert_true(span_eq(in.tag, out.tag) && span_eq(in.input, out.input) && span_eq(in.session_id, out.session_id));
	assert_true(netaddr_eq(&in.remote, &out.remote) && netaddr_eq(&in.local, &out.local));
	assert_int_equal(out.remote.port, 4711);
	assert_true(out.secured);
	for (size_t n = 0; n < b.len; n++)
		assert_false(handover_get_login(span_head(buf_span(&b), n), &out));
	buf_addc(&b, 0);
	assert_false(handover_get_login(buf_span(&b), &out));
	buf_free(&b);
}

static void test_session(void **state)
{
	struct handover_session in = a_session(), out;
	struct arena a = ARENA_INIT;
	struct buf b;

	(void)state;
	buf_init(&b, FRAME_MAX);
	assert_true(handover_put_session(&b, &in));
	assert_true(handover_get_session(buf_span(&b), &a, &out));
	assert_true(span_eq(in.user.name, out.user.name));
	assert_int_equal(out.user.uid, 1000);
	assert_int_equal(out.user.gid, 100);
	assert_string_equal(out.user.home, "/home/alice");
	assert_null(out.user.shell);
	assert_string_equal(out.user.mail_location, "maildir:~/Maildir");
	assert_int_equal(out.input.len, 0);
	assert_true(netaddr_eq(&in.remote, &out.remote));
	assert_false(out.secured);
	for (size_t n = 0; n < b.len; n++)
		assert_false(handover_get_session(span_head(buf_span(&b), n), &a, &out));
	buf_free(&b);
	arena_free(&a);
}

static void test_session_without_name(void **state)
{
	struct handover_session in = a_session(), out;
	struct arena a = ARENA_INIT;
	struct buf b;

	(void)state;
	buf_init(&b, FRAME_MAX);
	in.user.name = SPAN("");
	assert_true(handover_put_session(&b, &in));
	assert_false(handover_get_session(buf_span(&b), &a, &out));
	buf_reset(&b);
	in.user.name = SPAN("a\0b");
	assert_true(handover_put_session(&b, &in));
	assert_false(handover_get_session(buf_span(&b), &a, &out));
	buf_free(&b);
	arena_free(&a);
}

static void test_answer(void **state)
{
	enum handover_code code;
	struct span user;
	struct buf b;
	uint32_t pid;

	(void)state;
	buf_init(&b, FRAME_MAX);
	assert_true(handover_put_answer(&b, HANDOVER_LIMIT, SPAN("bob"), 77));
	assert_true(handover_get_answer(buf_span(&b), &code, &user, &pid));
	assert_int_equal(code, HANDOVER_LIMIT);
	assert_true(span_is(user, "bob"));
	assert_int_equal(pid, 77);
	b.ptr[2] = 99; /* a code nobody knows */
	assert_false(handover_get_answer(buf_span(&b), &code, &user, &pid));
	buf_free(&b);
}

static void test_kinds_do_not_mix(void **state)
{
	struct handover_login l = a_login();
	struct handover_session s;
	struct arena a = ARENA_INIT;
	struct buf b;

	(void)state;
	buf_init(&b, FRAME_MAX);
	assert_true(handover_put_login(&b, &l));
	assert_false(handover_get_session(buf_span(&b), &a, &s));
	b.ptr[1] = 9; /* version */
	assert_false(handover_get_login(buf_span(&b), &l));
	buf_free(&b);
	arena_free(&a);
}

static void test_limits(void **state)
{
	static char big[HANDOVER_INPUT_MAX + 1];
	struct handover_login in = a_login();
	struct buf b;

	(void)state;
	memset(big, 'x', sizeof big);
	buf_init(&b, FRAME_MAX);
	in.input = span_of(big, HANDOVER_INPUT_MAX);
	in.password = span_of(big, HANDOVER_PASSWORD_MAX);
	in.message = span_of(big, HANDOVER_MESSAGE_MAX);
	in.user = span_of(big, HANDOVER_USER_MAX);
	in.tag = span_of(big, HANDOVER_TAG_MAX);
	assert_true(handover_put_login(&b, &in));
	buf_reset(&b);
	in.input = span_of(big, HANDOVER_INPUT_MAX + 1);
	assert_false(handover_put_login(&b, &in));
	buf_reset(&b);
	in.input = SPAN_NONE;
	in.user = span_of(big, HANDOVER_USER_MAX + 1);
	assert_false(handover_put_login(&b, &in));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_session_without_name),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_kinds_do_not_mix),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
