/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proto/pop3_cmd.h"

static void test_parse(void **state)
{
	static const struct {
		const char *line;
		enum pop3_verb verb;
		const char *args;
	} table[] = {
		{ "USER alice", POP3_USER, "alice" },
		{ "user alice", POP3_USER, "alice" },
		{ "PASS two words ", POP3_PASS, "two words " },
		{ "PASS  x", POP3_PASS, " x" },
		{ "PASS a\tb", POP3_PASS, "a\tb" },
		{ "PASS", POP3_PASS, "" },
		{ "Auth PLAIN =", POP3_AUTH, "PLAIN =" },
		{ "CAPA", POP3_CAPA, "" },
		{ "STLS", POP3_STLS, "" },
		{ "QUIT", POP3_QUIT, "" },
		{ "STAT", POP3_STAT, "" },
		{ "LIST 1", POP3_LIST, "1" },
		{ "RETR 1", POP3_RETR, "1" },
		{ "DELE 1", POP3_DELE, "1" },
		{ "RSET", POP3_RSET, "" },
		{ "NOOP", POP3_NOOP, "" },
		{ "TOP 1 0", POP3_TOP, "1 0" },
		{ "UIDL", POP3_UIDL, "" },
		{ "LAST", POP3_LAST, "" },
		{ "UTF8", POP3_UTF8, "" },
		{ "lang en-GB", POP3_LANG, "en-GB" },
		{ "XTND", POP3_UNKNOWN, "" },
		{ "UIDLX 1", POP3_UNKNOWN, "1" },
		{ "STA", POP3_UNKNOWN, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct pop3_cmd cmd;

		assert_int_equal(pop3_cmd_parse(span_cstr(table[i].line), &cmd), POP3_CMD_OK);
		assert_int_equal(cmd.verb, table[i].verb);
		assert_true(span_is(cmd.args, table[i].args));
	}
}

/* Every beginning of a line is a line. */
static void test_prefixes(void **state)
{
	static const char line[] = "RETR 12 34";
	struct pop3_cmd cmd;

	(void)state;
	assert_int_equal(pop3_cmd_parse(span_of(line, 0), &cmd), POP3_CMD_EMPTY);
	for (size_t n = 1; n < sizeof line; n++) {
		assert_int_equal(pop3_cmd_parse(span_of(line, n), &cmd), POP3_CMD_OK);
		assert_int_equal(cmd.verb, n < 4 ? POP3_UNKNOWN : POP3_RETR);
		assert_int_equal(cmd.args.len, n < 6 ? 0 : n - 5);
	}
}

static void test_refused(void **state)
{
	struct pop3_cmd cmd;

	(void)state;
	assert_int_equal(pop3_cmd_parse(SPAN(" USER x"), &cmd), POP3_CMD_EMPTY);
	assert_int_equal(pop3_cmd_parse(SPAN("USER x\0y"), &cmd), POP3_CMD_CONTROL);
	assert_int_equal(pop3_cmd_parse(SPAN("USER x\x1b[2J"), &cmd), POP3_CMD_CONTROL);
	assert_int_equal(pop3_cmd_parse(SPAN("NOOP\r"), &cmd), POP3_CMD_CONTROL);
}

static void test_numbers(void **state)
{
	static const struct {
		const char *args;
		int want, n;
		uint32_t a, b;
	} table[] = {
		{ "", 1, 0, 0, 0 },
		{ "7", 1, 1, 7, 0 },
		{ " 7  ", 1, 1, 7, 0 },
		{ "7 8", 1, -1, 0, 0 },
		{ "7 8", 2, 2, 7, 8 },
		{ "0", 1, 1, 0, 0 },
		{ "007", 1, 1, 7, 0 },
		{ "4294967295", 1, 1, UINT32_MAX, 0 },
		{ "4294967296", 1, 1, UINT32_MAX, 0 },
		{ "99999999999999999999999", 1, 1, UINT32_MAX, 0 },
		{ "-1", 1, -1, 0, 0 },
		{ "+1", 1, -1, 0, 0 },
		{ "1x", 1, -1, 0, 0 },
		{ "x", 1, -1, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		uint32_t got[2] = { 0, 0 };
		int n = pop3_numbers(span_cstr(table[i].args), got, table[i].want);

		assert_int_equal(n, table[i].n);
		if (n > 0)
			assert_int_equal(got[0], table[i].a);
		if (n > 1)
			assert_int_equal(got[1], table[i].b);
	}
}

static void test_top(void **state)
{
	static const struct {
		const char *raw;
		uint32_t lines;
		const char *front;
	} table[] = {
		{ "A: b\n\n1\n2\n3\n", 0, "A: b\n\n" },
		{ "A: b\n\n1\n2\n3\n", 2, "A: b\n\n1\n2\n" },
		{ "A: b\n\n1\n2\n3\n", 9, "A: b\n\n1\n2\n3\n" },
		{ "A: b\r\n\r\n1\r\n2\r\n", 1, "A: b\r\n\r\n1\r\n" },
		{ "A: b\n\n1\n2", 2, "A: b\n\n1\n2" },
		{ "A: b\n", 5, "A: b\n" },
		{ "A: b", 5, "A: b" },
		{ "", 5, "" },
		{ "\nbody\n", 0, "\n" },
		{ "\r\nbody\n", 0, "\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		assert_int_equal(pop3_top_length(span_cstr(table[i].raw), table[i].lines), strlen(table[i].front));
}

static void test_lang(void **state)
{
	static const struct {
		const char *args, *answer;
	} table[] = {
		{ "en", "+OK en " },
		{ " EN ", "+OK en " },
		{ "en-GB", "+OK en " },
		{ "*", "+OK en " },
		{ "I-Default", "+OK i-default " },
		{ "eng", "-ERR " },
		{ "e", "-ERR " },
		{ "de", "-ERR " },
		{ "en de", "-ERR " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		assert_int_equal(strncmp(pop3_lang_answer(span_cstr(table[i].args)), table[i].answer, strlen(table[i].answer)), 0);
	assert_non_null(strstr(pop3_lang_answer(SPAN("")), "\r\ni-default "));
	assert_non_null(strstr(pop3_lang_answer(SPAN(" ")), "\r\n.\r\n"));
}

static void test_capabilities(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1024);
	pop3_put_capabilities(&b, 0, 0);
	assert_non_null(strstr(buf_cstr(&b), "\r\nEXPIRE NEVER\r\n"));
	assert_null(strstr(buf_cstr(&b), "LOGIN-DELAY"));
	buf_reset(&b);
	pop3_put_capabilities(&b, 900, 31);
	assert_non_null(strstr(buf_cstr(&b), "\r\nEXPIRE 31\r\n"));
	assert_non_null(strstr(buf_cstr(&b), "\r\nLOGIN-DELAY 900\r\n"));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),	cmocka_unit_test(test_prefixes), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_top),	 cmocka_unit_test(test_lang),
		cmocka_unit_test(test_capabilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
