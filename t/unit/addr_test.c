/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "lib/proto/addr.h"

/* A path read and written again: "local|domain|external|rest", or !error. */
static const char *path(struct arena *a, struct span in, unsigned flags)
{
	struct addr addr;
	enum addr_err err = addr_path_parse(a, &in, flags, &addr);
	struct span external;

	if (err != ADDR_OK)
		return arena_printf(a, "!%s", addr_err_str(err));
	external = addr_external(a, addr);
	return arena_printf(a, SPAN_FMT "|" SPAN_FMT "|" SPAN_FMT "|" SPAN_FMT, SPAN_ARG(addr.local),
			    SPAN_ARG(addr.domain), SPAN_ARG(external), SPAN_ARG(in));
}

static void test_paths(void **state)
{
	static const struct {
		const char *in, *lenient, *strict;
	} table[] = {
		{ "<a@b>", "a|b|a@b|", "a|b|a@b|" },
		{ "<a@b> SIZE=1", "a|b|a@b| SIZE=1", "a|b|a@b| SIZE=1" },
		{ "<>", "|||", "|||" },
		{ "<postmaster>", "postmaster||postmaster|", "postmaster||postmaster|" },
		{ "<@x,@y:a@b>", "a|b|a@b|", "a|b|a@b|" },
		{ "<\"a b\"@c>", "a b|c|\"a b\"@c|", "a b|c|\"a b\"@c|" },
		{ "<\"a\\\"b\\\\\"@c>", "a\"b\\|c|\"a\\\"b\\\\\"@c|", "a\"b\\|c|\"a\\\"b\\\\\"@c|" },
		{ "<\"a@b\"@c>", "a@b|c|\"a@b\"@c|", "a@b|c|\"a@b\"@c|" },
		{ "<\">\"@c>", ">|c|\">\"@c|", ">|c|\">\"@c|" },
		{ "<\"ab\"@c>", "ab|c|ab@c|", "ab|c|ab@c|" },
		{ "<a@[1.2.3.4]>", "a|[1.2.3.4]|a@[1.2.3.4]|", "a|[1.2.3.4]|a@[1.2.3.4]|" },
		{ "<a@[IPv6:::1]>", "a|[IPv6:::1]|a@[IPv6:::1]|", "a|[IPv6:::1]|a@[IPv6:::1]|" },
		{ "<a!b%c@d>", "a!b%c|d|a!b%c@d|", "a!b%c|d|a!b%c@d|" },
		{ "<\xc3\xa9@\xc3\xa9.example>", "\xc3\xa9|\xc3\xa9.example|\xc3\xa9@\xc3\xa9.example|",
		  "\xc3\xa9|\xc3\xa9.example|\xc3\xa9@\xc3\xa9.example|" },
		{ "a@b", "a|b|a@b|", "!bad address syntax" },
		{ " a@b SIZE=1", "a|b|a@b| SIZE=1", "!bad address syntax" },
		{ "  <a@b>", "a|b|a@b|", "!bad address syntax" },
		{ "< a@b >", "a|b|a@b|", "!bad address syntax" },
		{ "<a..b@c>", "a..b|c|\"a..b\"@c|", "!bad address syntax" },
		{ "<.a@c>", ".a|c|\".a\"@c|", "!bad address syntax" },
		{ "<a.@c>", "a.|c|\"a.\"@c|", "!bad address syntax" },
		{ "<a@b@c>", "a@b|c|\"a@b\"@c|", "!bad address syntax" },
		{ "<a b@c>", "a b|c|\"a b\"@c|", "!bad address syntax" },
		{ "<a\\ b@c>", "a b|c|\"a b\"@c|", "!bad address syntax" },
		{ "<;id;>", ";id;||\";id;\"|", "!bad address syntax" },
		{ "<\"a\"b@c>", "ab|c|ab@c|", "!bad address syntax" },
		{ "<a@b..c>", "a|b..c|a@b..c|", "!bad address syntax" },
		{ "<a@[x]>", "a|[x]|a@[x]|", "!bad address syntax" },
		/* Wrong everywhere. */
		{ "", "!bad address syntax", "!bad address syntax" },
		{ "   ", "!bad address syntax", "!bad address syntax" },
		{ "<", "!bad address syntax", "!bad address syntax" },
		{ "<a@b", "!bad address syntax", "!bad address syntax" },
		{ "<a@b>x", "!bad address syntax", "!bad address syntax" },
		{ "<@b>", "!bad address syntax", "!bad address syntax" },
		{ "<\"\"@d>", "!bad address syntax", "!bad address syntax" },
		{ "<a@>", "!bad address syntax", "!bad address syntax" },
		{ "<\"a@b>", "!bad address syntax", "!bad address syntax" },
		{ "<a\\>", "!bad address syntax", "!bad address syntax" },
		{ "<a@b\\>", "!bad address syntax", "!bad address syntax" },
		{ "<a@b c>", "!bad address syntax", "!bad address syntax" },
		{ "<a(x)@b>", "!bad address syntax", "!bad address syntax" },
		{ "<a<b@c>", "!bad address syntax", "!bad address syntax" },
		{ "<@x,@y>", "!bad address syntax", "!bad address syntax" },
		{ "<\"a\tb\"@c>", "!control character in address", "!control character in address" },
		{ "<a\nFrom x@y>", "!control character in address", "!control character in address" },
		{ "<a\xc3@b>", "!address is not valid UTF-8", "!address is not valid UTF-8" },
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct span in = span_cstr(table[i].in);

		assert_string_equal(path(&a, in, ADDR_LENIENT | ADDR_NULL_OK), table[i].lenient);
		assert_string_equal(path(&a, in, ADDR_STRICT | ADDR_NULL_OK), table[i].strict);
	}
	assert_string_equal(path(&a, SPAN("<>"), 0), "!bad address syntax");
	assert_string_equal(path(&a, SPAN("<a\0b@c>"), 0), "!control character in address");
	assert_string_equal(path(&a, SPAN("<\"a\\\0b\"@c>"), 0), "!control character in address");
	arena_free(&a);
}

static void test_length(void **state)
{
	static char text[ADDR_BYTES_MAX + 20];
	struct arena a = ARENA_INIT;

	(void)state;
	memset(text, 'a', sizeof text);
	text[0] = '<';
	text[sizeof text - 1] = '>';
	assert_string_equal(path(&a, span_of(text, sizeof text), 0), "!address too long");
	text[ADDR_BYTES_MAX + 1] = '>';
	assert_int_equal(path(&a, span_of(text, ADDR_BYTES_MAX + 2), 0)[0], 'a');
	arena_free(&a);
}

static void test_forms(void **state)
{
	static const char *const round[] = { "a b@c", "a@b@c", "plain", "x\"y@z", "a.@b", "-oQ/tmp@d", "|x@d" };
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof round / sizeof *round; i++) {
		struct span external = addr_quote(&a, span_cstr(round[i]));
		struct addr addr;

		assert_int_equal(addr_mailbox_parse(&a, external, ADDR_STRICT, &addr), ADDR_OK);
		assert_true(span_is(addr_internal(&a, addr), round[i]));
	}
	assert_true(addr_eq(addr_split(SPAN("a@B.c")), addr_split(SPAN("a@b.C"))));
	assert_false(addr_eq(addr_split(SPAN("A@b.c")), addr_split(SPAN("a@b.c"))));
	assert_true(addr_is_null(addr_split(SPAN(""))));
	assert_false(addr_is_ascii(addr_split(SPAN("a@\xc3\xa9"))));
	arena_free(&a);
}

static void test_extension(void **state)
{
	static const struct {
		const char *local, *delims, *user, *ext;
		bool split;
	} table[] = {
		{ "bob+x", "+", "bob", "x", true },
		{ "bob+x+y", "+", "bob", "x+y", true },
		{ "bob-x", "+-", "bob", "x", true },
		{ "bob-x+y", "+-", "bob", "x+y", true },
		{ "bob+", "+", "bob", "", true },
		{ "+x", "+", "+x", "", false },
		{ "bob", "+", "bob", "", false },
		{ "bob+x", "", "bob+x", "", false },
		{ "owner-list", "-", "owner-list", "", false },
		{ "list-request", "-", "list-request", "", false },
		{ "owner-list+x", "+", "owner-list", "x", true },
		{ "MAILER-DAEMON", "-", "MAILER-DAEMON", "", false },
		{ "double-bounce", "-", "double-bounce", "", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct span user, ext;

		assert_int_equal(addr_split_ext(span_cstr(table[i].local), span_cstr(table[i].delims), &user, &ext),
				 table[i].split);
		assert_true(span_is(user, table[i].user));
		assert_true(span_is(ext, table[i].ext));
	}
}

static void test_literals(void **state)
{
	struct addr_ip ip;

	(void)state;
	assert_true(addr_literal_parse(SPAN("[127.0.0.1]"), &ip));
	assert_int_equal(ip.family, AF_INET);
	assert_memory_equal(ip.bytes, "\x7f\0\0\1", 4);
	assert_true(addr_literal_parse(SPAN("[ipv6:2001:db8::1]"), &ip));
	assert_int_equal(ip.family, AF_INET6);
	assert_int_equal(ip.bytes[15], 1);
	assert_false(addr_literal_parse(SPAN("[::1]"), &ip));
	assert_false(addr_literal_parse(SPAN("[127.0.0.1"), &ip));
	assert_false(addr_literal_parse(SPAN("[127.0.0.1\0]"), &ip));
	assert_false(addr_literal_parse(SPAN("[256.0.0.1]"), &ip));
	assert_false(addr_literal_parse(SPAN("[IPv6:]"), &ip));
	assert_false(addr_literal_parse(SPAN("[]"), &ip));
	assert_true(addr_ip_parse(SPAN("::ffff:1.2.3.4"), &ip));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),     cmocka_unit_test(test_length),   cmocka_unit_test(test_forms),
		cmocka_unit_test(test_extension), cmocka_unit_test(test_literals),
	};

	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
