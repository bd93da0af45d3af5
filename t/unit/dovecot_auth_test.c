/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/proto/dovecot_auth.h"
#include "lib/service/dovecot_ask.h"

static void lines(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		enum dovecot_verb verb;
		uint32_t number;
		const char *mechanism, *fields;
	} cases[] = {
		{ "VERSION\t1\t2", true, DOVECOT_VERSION, 1, "", "2" },
		{ "VERSION\tx\t2", false, DOVECOT_VERSION, 0, "", "" },
		{ "VERSION", false, DOVECOT_VERSION, 0, "", "" },
		{ "MECH\tPLAIN\tplaintext", true, DOVECOT_MECH, 0, "PLAIN", "plaintext" },
		{ "MECH", false, DOVECOT_MECH, 0, "", "" },
		{ "DONE", true, DOVECOT_DONE, 0, "", "" },
		{ "AUTH\t7\tPLAIN\tservice=smtp\tresp=eA==", true, DOVECOT_AUTH, 7, "PLAIN", "service=smtp\tresp=eA==" },
		{ "AUTH\t7", false, DOVECOT_AUTH, 0, "", "" },
		{ "AUTH\t-7\tPLAIN", false, DOVECOT_AUTH, 0, "", "" },
		{ "AUTH\t4294967296\tPLAIN", false, DOVECOT_AUTH, 0, "", "" },
		{ "CONT\t4294967295\t", true, DOVECOT_CONT, 4294967295u, "", "" },
		{ "CONT\t1\teA==\tmore", true, DOVECOT_CONT, 1, "eA==", "more" },
		{ "OK\t1\tuser=x", true, DOVECOT_OK, 1, "", "user=x" },
		{ "FAIL\t1", true, DOVECOT_FAIL, 1, "", "" },
		{ "fail\t1", true, DOVECOT_OTHER, 0, "", "1" },
		{ "", true, DOVECOT_OTHER, 0, "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct dovecot_line line;

		assert_int_equal(dovecot_line_parse(span_cstr(cases[i].text), &line), cases[i].ok);
		assert_int_equal(line.verb, cases[i].verb);
		if (!cases[i].ok)
			continue;
		assert_int_equal(line.number, cases[i].number);
		assert_true(span_is(line.text, cases[i].mechanism));
		assert_true(span_is(line.fields, cases[i].fields));
	}
}

static void fields(void **state)
{
	struct span rest = SPAN("user=a=b\t\ttemp\tx="), name, value;
	struct arena a = ARENA_INIT;
	struct buf b;

	(void)state;
	assert_true(dovecot_field(&rest, &name, &value) && span_is(name, "user") && span_is(value, "a=b"));
	assert_true(dovecot_field(&rest, &name, &value) && span_is(name, "temp") && value.ptr == NULL);
	assert_true(dovecot_field(&rest, &name, &value) && span_is(name, "x") && value.ptr && value.len == 0);
	assert_false(dovecot_field(&rest, &name, &value));
	assert_true(span_eq(dovecot_unescape(&a, SPAN("a\0010\0011\001t\001r\001n\001x\001")), SPAN("a\0\1\t\r\nx\1")));
	buf_init(&b, 64);
	assert_true(dovecot_escape(&b, SPAN("a\0\1\t\r\n")));
	assert_true(span_eq(buf_span(&b), SPAN("a\0010\0011\001t\001r\001n")));
	buf_free(&b);
	buf_init(&b, 3);
	assert_false(dovecot_escape(&b, SPAN("a\t\t")));
	buf_free(&b);
	arena_free(&a);
}

static void options(void **state)
{
	struct dovecot_options o;
	struct span unknown;

	(void)state;
	assert_true(dovecot_options_parse(SPAN("noanonymous, NoPlaintext"), &o, &unknown));
	assert_int_equal(o.without, DOVECOT_ANONYMOUS | DOVECOT_PLAINTEXT | DOVECOT_PRIVATE);
	assert_int_equal(o.with, 0);
	assert_true(dovecot_options_parse(SPAN("mutual_auth forward_secrecy nodictionary noactive"), &o, &unknown));
	assert_int_equal(o.with, DOVECOT_MUTUAL_AUTH | DOVECOT_FORWARD_SECRECY);
	assert_int_equal(o.without, DOVECOT_DICTIONARY | DOVECOT_ACTIVE | DOVECOT_PRIVATE);
	assert_false(dovecot_options_parse(SPAN("noanonymous plaintext"), &o, &unknown));
	assert_true(span_is(unknown, "plaintext"));
	assert_false(dovecot_options_parse(SPAN("nomutual_auth"), &o, &unknown));
	assert_false(dovecot_options_parse(SPAN("noprivate2"), &o, &unknown));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(fields),
		cmocka_unit_test(options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
