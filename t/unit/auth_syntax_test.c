/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proto/auth_name.h"
#include "lib/proto/auth_scheme.h"
#include "lib/proto/sasl.h"

static void test_names(void **state)
{
	static const char *const good[] = { "alice", "a", "alice@example.com", "a.b-c_d+e", "0day", "A", "_x", "@x" };
	static const char *const bad[] = { "", "../../x", "a/b", "-rf", ".x", "a..b", "a b", "a@b@c", "a' OR 1=1--",
					   "*)(uid=*", "%1000000u", "$x", "a\n", "caf\xc3\xa9", "a:b", "~root", "a\\b" };
	static char longest[AUTH_NAME_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_true(auth_name_valid(span_cstr(good[i])));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(auth_name_valid(span_cstr(bad[i])));
	assert_false(auth_name_valid(SPAN("a\0b")));
	memset(longest, 'x', sizeof longest);
	assert_true(auth_name_valid(span_of(longest, AUTH_NAME_MAX)));
	assert_false(auth_name_valid(span_of(longest, AUTH_NAME_MAX + 1)));
}

static void test_format(void **state)
{
	static const struct {
		const char *format, *name, *out; /* out "": not usable */
	} table[] = {
		{ "%Lu", "Alice", "alice" },
		{ "%u", "Alice", "Alice" },
		{ "%Uu", "Alice", "ALICE" },
		{ "%n", "Alice@Example.com", "Alice" },
		{ "%Ln", "Alice@Example.com", "alice" },
		{ "%Ln@%Ld", "Alice@Example.COM", "alice@example.com" },
		{ "%Ld", "Alice@Example.COM", "example.com" },
		{ "%n", "alice", "alice" },
		{ "%d", "alice", "" },
		{ "%u@example.net", "alice", "alice@example.net" },
		{ "%u@example.net", "alice@x", "" },
		{ "%x", "alice", "" },
		{ "%", "alice", "" },
		{ "../%u", "alice", "" },
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		assert_true(span_is(auth_name_format(&a, table[i].format, span_cstr(table[i].name)), table[i].out));
	arena_free(&a);
}

static void test_log(void **state)
{
	struct arena a = ARENA_INIT;
	static char longest[400];

	(void)state;
	assert_string_equal(auth_name_for_log(&a, SPAN("alice@example.com")), "alice@example.com");
	assert_string_equal(auth_name_for_log(&a, SPAN("x,9.9.9.9): unknown user")), "x?9.9.9.9?:?unknown?user");
	assert_string_equal(auth_name_for_log(&a, SPAN("a>\n\0\x1b\xff")), "a?????");
	memset(longest, 'x', sizeof longest);
	assert_int_equal(strlen(auth_name_for_log(&a, span_of(longest, sizeof longest))), 128);
	arena_free(&a);
}

static void test_schemes(void **state)
{
	static const struct {
		const char *field;
		enum auth_scheme scheme;
		const char *rest;
	} table[] = {
		{ "$6$salt$hash", AUTH_SCHEME_CRYPT, "$6$salt$hash" },
		{ "$y$j9T$salt$hash", AUTH_SCHEME_CRYPT, "$y$j9T$salt$hash" },
		{ "{CRYPT}$1$salt$hash", AUTH_SCHEME_CRYPT, "$1$salt$hash" },
		{ "{sha512-crypt}$6$salt$hash", AUTH_SCHEME_CRYPT, "$6$salt$hash" },
		{ "{SHA512-CRYPT}$5$salt$hash", AUTH_SCHEME_UNKNOWN, "$5$salt$hash" },
		{ "{SHA256-CRYPT}$5$salt$hash", AUTH_SCHEME_CRYPT, "$5$salt$hash" },
		{ "{MD5-CRYPT}$1$salt$hash", AUTH_SCHEME_CRYPT, "$1$salt$hash" },
		{ "{BLF-CRYPT}$2y$05$hash", AUTH_SCHEME_CRYPT, "$2y$05$hash" },
		{ "{PLAIN}secret", AUTH_SCHEME_PLAIN, "secret" },
		{ "{CLEARTEXT}!x", AUTH_SCHEME_PLAIN, "!x" },
		{ "{PLAIN}", AUTH_SCHEME_NONE, "" },
		{ "{PLAIN.B64}c2VjcmV0", AUTH_SCHEME_UNKNOWN, "c2VjcmV0" },
		{ "{SSHA}x", AUTH_SCHEME_DIGEST, "x" },
		{ "{ssha256.HEX}00", AUTH_SCHEME_DIGEST, "00" },
		{ "{SCRAM-SHA-256}4096,a,b,c", AUTH_SCHEME_SCRAM_SHA_256, "4096,a,b,c" },
		{ "", AUTH_SCHEME_NONE, "" },
		{ "!", AUTH_SCHEME_LOCKED, "!" },
		{ "*", AUTH_SCHEME_LOCKED, "*" },
		{ "!$6$salt$hash", AUTH_SCHEME_LOCKED, "!$6$salt$hash" },
		{ "{CRYPT}!", AUTH_SCHEME_LOCKED, "!" },
		{ "{CRYPT", AUTH_SCHEME_CRYPT, "{CRYPT" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct span rest;

		assert_int_equal(auth_scheme_parse(span_cstr(table[i].field), &rest), table[i].scheme);
		assert_true(span_is(rest, table[i].rest));
	}
}

static void test_secret_eq(void **state)
{
	(void)state;
	assert_true(auth_secret_eq(SPAN("secret"), SPAN("secret")));
	assert_true(auth_secret_eq(SPAN(""), SPAN("")));
	assert_false(auth_secret_eq(SPAN("secret"), SPAN("secre")));
	assert_false(auth_secret_eq(SPAN("secret"), SPAN("secretsecret")));
	assert_false(auth_secret_eq(SPAN("aa"), SPAN("a")));
	assert_false(auth_secret_eq(SPAN("x"), SPAN("")));
	assert_false(auth_secret_eq(SPAN(""), SPAN("x")));
	assert_false(auth_secret_eq(SPAN("\0"), SPAN("")));
}

static void test_plain(void **state)
{
	struct sasl_plain p;

	(void)state;
	assert_true(sasl_plain_parse(SPAN("\0alice\0secret"), &p));
	assert_true(p.authzid.len == 0 && span_is(p.authcid, "alice") && span_is(p.password, "secret"));
	assert_true(sasl_plain_parse(SPAN("bob\0alice\0secret"), &p));
	assert_true(span_is(p.authzid, "bob") && span_is(p.authcid, "alice"));
	assert_false(sasl_plain_parse(SPAN(""), &p));
	assert_false(sasl_plain_parse(SPAN("\0"), &p));
	assert_false(sasl_plain_parse(SPAN("\0\0"), &p));
	assert_false(sasl_plain_parse(SPAN("\0alice\0"), &p));
	assert_false(sasl_plain_parse(SPAN("\0\0secret"), &p));
	assert_false(sasl_plain_parse(SPAN("alice\0secret"), &p));
	assert_false(sasl_plain_parse(SPAN("\0alice\0sec\0ret"), &p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	cmocka_unit_test(test_format),	  cmocka_unit_test(test_log),
		cmocka_unit_test(test_schemes), cmocka_unit_test(test_secret_eq), cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
