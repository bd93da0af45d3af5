/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proto/smtp_cmd.h"

static void test_verbs(void **state)
{
	static const struct {
		const char *line;
		enum smtp_verb verb;
		const char *args;
	} table[] = {
		{ "EHLO example.com", SMTP_VERB_EHLO, "example.com" },
		{ "helo\t x ", SMTP_VERB_HELO, "x" },
		{ "LHLO x", SMTP_VERB_LHLO, "x" },
		{ "mail FROM:<a@b> SIZE=1", SMTP_VERB_MAIL, "FROM:<a@b> SIZE=1" },
		{ "Rcpt To:<a@b>", SMTP_VERB_RCPT, "To:<a@b>" },
		{ " DATA", SMTP_VERB_DATA, "" },
		{ "BDAT 5 LAST", SMTP_VERB_BDAT, "5 LAST" },
		{ "starttls", SMTP_VERB_STARTTLS, "" },
		{ "GET / HTTP/1.0", SMTP_VERB_UNKNOWN, "/ HTTP/1.0" },
		{ "DATAX", SMTP_VERB_UNKNOWN, "" },
	};
	struct smtp_cmd cmd;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		assert_int_equal(smtp_cmd_parse(span_cstr(table[i].line), &cmd), SMTP_CMD_OK);
		assert_int_equal(cmd.verb, table[i].verb);
		assert_true(span_is(cmd.args, table[i].args));
	}
	for (int v = 1; v < SMTP_VERBS; v++) {
		assert_int_equal(smtp_cmd_parse(span_cstr(smtp_verb_str((enum smtp_verb)v)), &cmd), SMTP_CMD_OK);
		assert_int_equal(cmd.verb, v);
	}
	assert_int_equal(smtp_cmd_parse(SPAN(""), &cmd), SMTP_CMD_BAD_SYNTAX);
	assert_int_equal(smtp_cmd_parse(SPAN("  "), &cmd), SMTP_CMD_BAD_SYNTAX);
	assert_int_equal(smtp_cmd_parse(SPAN("EHLO a\0b"), &cmd), SMTP_CMD_BAD_SYNTAX);
	assert_int_equal(smtp_cmd_parse(SPAN("EHLO a\x1b[2J"), &cmd), SMTP_CMD_BAD_SYNTAX);
	assert_int_equal(smtp_cmd_parse(SPAN("EHLO a\rb"), &cmd), SMTP_CMD_BAD_SYNTAX);
	assert_int_equal(smtp_cmd_parse(SPAN("VRFY \xc3"), &cmd), SMTP_CMD_BAD_UTF8);
}

static void test_mail(void **state)
{
	static const struct {
		const char *args;
		const char *reply;
	} table[] = {
		{ "FROM:<a@b>", NULL },
		{ "from: <a@b>", NULL },
		{ "FROM :<a@b>", NULL },
		{ "FROM:<>", NULL },
		{ "FROM:a@b", NULL },
		{ "FROM:<a@b> SIZE=0 BODY=8BITMIME RET=HDRS ENVID=x+2By AUTH=<>", NULL },
		{ "FROM:<\xc3\xa9@b> SMTPUTF8", NULL },
		{ "FROM:<a@b> BODY=7bit", NULL },
		{ "", "501 5.5.4 Syntax: MAIL FROM:<address>" },
		{ "FROM", "501 5.5.4 Syntax: MAIL FROM:<address>" },
		{ "FROM:", "501 5.5.4 Syntax: MAIL FROM:<address>" },
		{ "<a@b>", "501 5.5.4 Syntax: MAIL FROM:<address>" },
		{ "FROM:<a@b", "501 5.1.7 Bad sender address syntax" },
		{ "FROM:<a@b>>", "501 5.1.7 Bad sender address syntax" },
		{ "FROM:<@>", "501 5.1.7 Bad sender address syntax" },
		{ "FROM:<a@b> FOO=1", "555 5.5.4 Unsupported option: FOO=1" },
		{ "FROM:<a@b> BODY=X", "555 5.5.4 Unsupported option: BODY=X" },
		{ "FROM:<a@b> SMTPUTF8=1", "555 5.5.4 Unsupported option: SMTPUTF8=1" },
		{ "FROM:<a@b> SIZE=", "501 5.5.4 Bad message size syntax" },
		{ "FROM:<a@b> SIZE", "501 5.5.4 Bad message size syntax" },
		{ "FROM:<a@b> SIZE=-1", "501 5.5.4 Bad message size syntax" },
		{ "FROM:<a@b> SIZE=18446744073709551616", "552 5.3.4 Message size exceeds file system imposed limit" },
		{ "FROM:<a@b> RET=X", "501 5.5.4 Bad RET parameter syntax" },
		{ "FROM:<a@b> RET=FULL RET=FULL", "501 5.5.4 Bad RET parameter syntax" },
		{ "FROM:<a@b> ENVID=+0A", "501 5.5.4 Bad ENVID parameter syntax" },
		{ "FROM:<a@b> ENVID=", "501 5.5.4 Bad ENVID parameter syntax" },
		{ "FROM:<a@b> ENVID=a+2", "501 5.5.4 Bad ENVID parameter syntax" },
		{ "FROM:<a@b> AUTH=<> AUTH=<>", "503 5.5.4 Error: multiple AUTH= options" },
		{ "FROM:<a@b> AUTH=a+00", "501 5.5.4 Bad AUTH parameter syntax" },
		{ "FROM:<\xc3\xa9@b>", "553 5.6.7 Must declare SMTPUTF8 to send unicode address" },
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct smtp_mail m;
		struct span detail;
		enum smtp_cmd_err err = smtp_mail_parse(&a, span_cstr(table[i].args), 0, &m, &detail);

		if (table[i].reply)
			assert_true(span_is(smtp_cmd_reply(&a, err, detail), table[i].reply));
		else
			assert_int_equal(err, SMTP_CMD_OK);
	}
	arena_free(&a);
}

static void test_mail_values(void **state)
{
	struct arena a = ARENA_INIT;
	struct smtp_mail m;
	struct span d;

	(void)state;
	assert_int_equal(smtp_mail_parse(&a,
					 SPAN("FROM:<a@b> SIZE=12 BODY=8BITMIME RET=HDRS ENVID=x+2By AUTH=e+3Dmc2@d "
					      "XBAR XFOO=bar"),
					 SMTP_PARSE_OTHERS, &m, &d),
			 SMTP_CMD_OK);
	assert_true(m.has_size && m.size == 12 && m.body == SMTP_BODY_8BITMIME && m.ret == SMTP_RET_HDRS);
	assert_true(span_is(m.envid, "x+y"));
	assert_true(m.has_auth && span_is(m.auth, "e=mc2@d"));
	assert_int_equal(m.nothers, 2);
	assert_true(span_is(m.others[0].name, "XBAR") && m.others[0].value.ptr == NULL);
	assert_true(span_is(m.others[1].name, "XFOO") && span_is(m.others[1].value, "bar"));
	assert_int_equal(smtp_mail_parse(&a, SPAN("FROM: <a@b>"), SMTP_PARSE_STRICT, &m, &d), SMTP_CMD_BAD_SENDER);
	assert_int_equal(smtp_mail_parse(&a, SPAN("FROM:<\xc3\xa9@b>"), SMTP_PARSE_8BIT_OK, &m, &d), SMTP_CMD_OK);
	arena_free(&a);
}

static void test_rcpt(void **state)
{
	static const struct {
		const char *args;
		const char *reply;
	} table[] = {
		{ "TO:<a@b>", NULL },
		{ "to:<\"a b\"@c> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@z", NULL },
		{ "TO:<postmaster>", NULL },
		{ "TO:<>", "501 5.1.3 Bad recipient address syntax" },
		{ "TO:<\"\"@d>", "501 5.1.3 Bad recipient address syntax" },
		{ "FROM:<a@b>", "501 5.5.4 Syntax: RCPT TO:<address>" },
		{ "TO:<a@b> NOTIFY=NEVER,DELAY", "501 5.5.4 Error: Bad NOTIFY parameter syntax" },
		{ "TO:<a@b> NOTIFY=", "501 5.5.4 Error: Bad NOTIFY parameter syntax" },
		{ "TO:<a@b> NOTIFY=DELAY,", "501 5.5.4 Error: Bad NOTIFY parameter syntax" },
		{ "TO:<a@b> NOTIFY=DELAY NOTIFY=DELAY", "501 5.5.4 Error: Bad NOTIFY parameter syntax" },
		{ "TO:<a@b> ORCPT=rfc822;a+00b", "501 5.5.4 Error: Bad ORCPT parameter syntax" },
		{ "TO:<a@b> ORCPT=rfc822;a+80b", "501 5.5.4 Error: Bad ORCPT parameter syntax" },
		{ "TO:<a@b> ORCPT=rfc822;", "501 5.5.4 Error: Bad ORCPT parameter syntax" },
		{ "TO:<a@b> ORCPT=;a", "501 5.5.4 Error: Bad ORCPT parameter syntax" },
		{ "TO:<a@b> ORCPT=x", "501 5.5.4 Error: Bad ORCPT parameter syntax" },
		{ "TO:<a@b> SIZE=1", "555 5.5.4 Unsupported option: SIZE=1" },
	};
	struct arena a = ARENA_INIT;
	struct smtp_rcpt r;
	struct span detail;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		enum smtp_cmd_err err = smtp_rcpt_parse(&a, span_cstr(table[i].args), 0, false, &r, &detail);

		if (table[i].reply)
			assert_true(span_is(smtp_cmd_reply(&a, err, detail), table[i].reply));
		else
			assert_int_equal(err, SMTP_CMD_OK);
	}
	assert_int_equal(smtp_rcpt_parse(&a, span_cstr(table[1].args), 0, false, &r, &detail), SMTP_CMD_OK);
	assert_int_equal(r.notify, SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY);
	assert_true(span_is(r.orcpt_type, "rfc822") && span_is(r.orcpt_addr, "x+y@z"));
	arena_free(&a);
}

static void test_many_params(void **state)
{
	struct arena a = ARENA_INIT;
	struct smtp_mail m;
	struct span d;
	struct buf b;

	(void)state;
	buf_init(&b, 10000);
	buf_adds(&b, "FROM:<a@b>");
	for (int i = 0; i <= SMTP_PARAMS_MAX; i++)
		buf_adds(&b, " X");
	assert_int_equal(smtp_mail_parse(&a, buf_span(&b), SMTP_PARSE_OTHERS, &m, &d), SMTP_CMD_OPTION);
	buf_free(&b);
	arena_free(&a);
}

static void test_bdat(void **state)
{
	uint64_t size;
	bool last;

	(void)state;
	assert_int_equal(smtp_bdat_parse(SPAN("0"), &size, &last), SMTP_CMD_OK);
	assert_false(last);
	assert_int_equal(smtp_bdat_parse(SPAN("10 last"), &size, &last), SMTP_CMD_OK);
	assert_true(last && size == 10);
	assert_int_equal(smtp_bdat_parse(SPAN("18446744073709551615"), &size, &last), SMTP_CMD_BAD_BDAT);
	assert_int_equal(smtp_bdat_parse(SPAN("-1"), &size, &last), SMTP_CMD_BAD_BDAT);
	assert_int_equal(smtp_bdat_parse(SPAN(""), &size, &last), SMTP_CMD_BAD_BDAT);
	assert_int_equal(smtp_bdat_parse(SPAN("1 LAST x"), &size, &last), SMTP_CMD_BAD_BDAT);
	assert_int_equal(smtp_bdat_parse(SPAN("1 x"), &size, &last), SMTP_CMD_BAD_BDAT);
}

static void test_xtext(void **state)
{
	struct arena a = ARENA_INIT;
	struct span out, all;
	char bytes[256];
	struct buf b;

	(void)state;
	for (int i = 0; i < 256; i++)
		bytes[i] = (char)i;
	all = span_of(bytes, sizeof bytes);
	buf_init(&b, 1024);
	assert_true(xtext_encode(&b, all));
	assert_true(xtext_decode(&a, buf_span(&b), &out));
	assert_true(span_eq(out, all));
	buf_reset(&b);
	assert_true(xtext_encode(&b, SPAN("a b+c=\n")));
	assert_string_equal(buf_cstr(&b), "a+20b+2Bc+3D+0A");
	assert_false(xtext_decode(&a, SPAN("a="), &out));
	assert_false(xtext_decode(&a, SPAN("a+"), &out));
	assert_false(xtext_decode(&a, SPAN("+4"), &out));
	assert_false(xtext_decode(&a, SPAN("+4x"), &out));
	assert_false(xtext_decode(&a, SPAN("a b"), &out));
	buf_free(&b);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verbs), cmocka_unit_test(test_mail),        cmocka_unit_test(test_mail_values),
		cmocka_unit_test(test_rcpt),  cmocka_unit_test(test_many_params), cmocka_unit_test(test_bdat),
		cmocka_unit_test(test_xtext),
	};

	return cmocka_run_group_tests_name("smtp_cmd", tests, NULL, NULL);
}
