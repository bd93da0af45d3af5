/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proto/mailhost.h"

static void test_names(void **state)
{
	static const char *const good[] = { "example.com", "localhost", "a-b.c_d.example",  "1.example",
					    "x1",          "a.b.",      "\xc3\xa9.example", "xn--9ca.example" };
	static const char *const bad[] = { "",        ".",   "..",    "a..b", ".a",  "-a.b", "a-.b", "a b", "a@b",
					   "1.2.3.4", "123", "a.b..", "a/b",  "[a]", "\xc3", "a\tb", "a:b" };
	char label[70];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_true(mailhost_name_valid(span_cstr(good[i])));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(mailhost_name_valid(span_cstr(bad[i])));
	assert_false(mailhost_name_valid(SPAN("a\0b")));
	memset(label, 'a', sizeof label);
	assert_true(mailhost_name_valid(span_of(label, 63)));
	assert_false(mailhost_name_valid(span_of(label, 64)));
	assert_true(mailhost_fqdn_valid(SPAN("a.b")));
	assert_false(mailhost_fqdn_valid(SPAN("a.")));
	assert_false(mailhost_fqdn_valid(SPAN("a")));
}

static void test_helo(void **state)
{
	static const struct {
		const char *helo;
		enum mailhost_helo kind;
	} table[] = {
		{ "mx.example.com", MAILHOST_HELO_FQDN },
		{ "mx", MAILHOST_HELO_SHORT },
		{ "[127.0.0.1]", MAILHOST_HELO_LITERAL },
		{ "[IPv6:::1]", MAILHOST_HELO_LITERAL },
		{ "127.0.0.1", MAILHOST_HELO_BARE_IP },
		{ "::1", MAILHOST_HELO_BARE_IP },
		{ "[::1]", MAILHOST_HELO_INVALID },
		{ "a b", MAILHOST_HELO_INVALID },
		{ "", MAILHOST_HELO_INVALID },
		{ "[]", MAILHOST_HELO_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		assert_int_equal(mailhost_helo_kind(span_cstr(table[i].helo)), table[i].kind);
}

static void test_hops(void **state)
{
	static const struct {
		const char *text, *host, *service;
		bool no_mx;
	} table[] = {
		{ "example.com", "example.com", "", false },
		{ "example.com:587", "example.com", "587", false },
		{ "[mail.example.com]", "mail.example.com", "", true },
		{ "[mail.example.com]:submission", "mail.example.com", "submission", true },
		{ "[127.0.0.1]:2525", "127.0.0.1", "2525", true },
		{ "[::1]:25", "::1", "25", true },
		{ "[IPv6:::1]", "::1", "", true },
	};
	static const char *const bad[] = {
		"", "[", "[]", "[a", "a:", ":25", "[a]x", "[a]:", "a:b:c", "1.2.3.4", "a b"
	};
	struct mailhost_hop hop;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		assert_true(mailhost_hop_parse(span_cstr(table[i].text), &hop));
		assert_true(span_is(hop.host, table[i].host) && span_is(hop.service, table[i].service));
		assert_int_equal(hop.no_mx, table[i].no_mx);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(mailhost_hop_parse(span_cstr(bad[i]), &hop));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_helo),
		cmocka_unit_test(test_hops),
	};

	return cmocka_run_group_tests_name("mailhost", tests, NULL, NULL);
}
