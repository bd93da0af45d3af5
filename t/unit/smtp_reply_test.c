/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proto/smtp_reply.h"

static enum smtp_reply_status feed(struct smtp_reply_parser *p, struct span in, size_t step, struct span *left_r)
{
	enum smtp_reply_status status = SMTP_REPLY_MORE;

	smtp_reply_reset(p);
	while (in.len && status == SMTP_REPLY_MORE) {
		struct span chunk = span_head(in, step);
		size_t before = chunk.len;

		status = smtp_reply_feed(p, &chunk);
		in = span_skip(in, before - chunk.len);
	}
	*left_r = in;
	return status;
}

static void test_replies(void **state)
{
	static const struct {
		struct span in;
		enum smtp_reply_status status;
		int code;
		const char *dsn, *text, *last, *left;
		bool has_dsn;
	} table[] = {
		{ SPAN("250 2.1.0 Ok\r\n"), 0, 250, "2.1.0", "250 2.1.0 Ok", "2.1.0 Ok", "", true },
		{ SPAN("250 Ok\nx"), 0, 250, "2.0.0", "250 Ok", "Ok", "x", false },
		{ SPAN("250\r\n"), 0, 250, "2.0.0", "250", "", "", false },
		{ SPAN("250 \r\n"), 0, 250, "2.0.0", "250 ", "", "", false },
		{ SPAN("550-5.1.1 no\r\n550 5.7.1 never\r\n250 x\r\n"), 0, 550, "5.7.1", "550-5.1.1 no 550 5.7.1 never",
		  "5.7.1 never", "250 x\r\n", true },
		{ SPAN("550 4.7.1 mismatch\r\n"), 0, 550, "5.0.0", "550 4.7.1 mismatch", "4.7.1 mismatch", "", false },
		{ SPAN("450 4.7.1x y\r\n"), 0, 450, "4.0.0", "450 4.7.1x y", "4.7.1x y", "", false },
		{ SPAN("550 5.1.1\r\n"), 0, 550, "5.1.1", "550 5.1.1", "5.1.1", "", true },
		{ SPAN("354 go\r\n"), 0, 354, "3.0.0", "354 go", "go", "", false },
		{ SPAN("250 a\x1b[2J\0b\r\n"), 0, 250, "2.0.0", "250 a?[2J?b", "a?[2J?b", "", false },
		{ SPAN("250 \xff\xc3\xa9\r\n"), 0, 250, "2.0.0", "250 ?\xc3\xa9", "?\xc3\xa9", "", false },
		{ SPAN("250-a\r\n"), SMTP_REPLY_MORE, 0, NULL, NULL, NULL, "", false },
		{ SPAN("250"), SMTP_REPLY_MORE, 0, NULL, NULL, NULL, "", false },
		{ SPAN("5.7.2\r\n"), SMTP_REPLY_GARBAGE, 0, NULL, NULL, NULL, "", false },
		{ SPAN("\r\n"), SMTP_REPLY_GARBAGE, 0, NULL, NULL, NULL, "", false },
		{ SPAN("25\r\n"), SMTP_REPLY_GARBAGE, 0, NULL, NULL, NULL, "", false },
		{ SPAN("2500 x\r\n"), SMTP_REPLY_GARBAGE, 0, NULL, NULL, NULL, "", false },
		{ SPAN("150 x\r\n"), SMTP_REPLY_GARBAGE, 0, NULL, NULL, NULL, "", false },
		{ SPAN("650 x\r\n"), SMTP_REPLY_GARBAGE, 0, NULL, NULL, NULL, "", false },
		{ SPAN("HTTP/1.1 400\r\n"), SMTP_REPLY_GARBAGE, 0, NULL, NULL, NULL, "", false },
		{ SPAN("250-a\r\nb\r\n"), SMTP_REPLY_GARBAGE, 0, NULL, NULL, NULL, "", false },
		{ SPAN("250-a\r\n550 b\r\n"), SMTP_REPLY_MIXED, 0, NULL, NULL, NULL, "", false },
	};
	struct smtp_reply_parser p;
	struct span left;

	(void)state;
	smtp_reply_init(&p);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		for (size_t step = 1; step < 60; step++) {
			assert_int_equal(feed(&p, table[i].in, step, &left), table[i].status);
			if (table[i].status != SMTP_REPLY_DONE)
				continue;
			assert_int_equal(p.reply.code, table[i].code);
			assert_string_equal(p.reply.dsn, table[i].dsn);
			assert_int_equal(p.reply.has_dsn, table[i].has_dsn);
			assert_true(span_is(p.reply.text, table[i].text));
			assert_true(span_is(p.reply.last, table[i].last));
			assert_true(span_is(left, table[i].left));
		}
	}
	smtp_reply_free(&p);
}

static void test_bounds(void **state)
{
	struct smtp_reply_parser p;
	enum smtp_reply_status status = SMTP_REPLY_MORE;
	char line[SMTP_REPLY_LINE_MAX + 3];
	struct span in;
	int n = 0;

	(void)state;
	smtp_reply_init(&p);
	while (status == SMTP_REPLY_MORE && ++n < 100000)
		status = smtp_reply_line(&p, SPAN("250-x"));
	assert_int_equal(status, SMTP_REPLY_TOO_MANY_LINES);
	assert_int_equal(n, SMTP_REPLY_LINES_MAX + 1);

	/* A gigabyte without a line end: cut off at the limit. */
	memset(line, '2', sizeof line);
	smtp_reply_reset(&p);
	in = span_of(line, sizeof line);
	assert_int_equal(smtp_reply_feed(&p, &in), SMTP_REPLY_LINE_TOO_LONG);

	/* More text than is kept: the last line is there all the same. */
	smtp_reply_reset(&p);
	memcpy(line, "250-", 4);
	for (int i = 0; i < 100; i++)
		assert_int_equal(smtp_reply_line(&p, span_of(line, SMTP_REPLY_LINE_MAX)), SMTP_REPLY_MORE);
	line[3] = ' ';
	assert_int_equal(smtp_reply_line(&p, span_of(line, SMTP_REPLY_LINE_MAX)), SMTP_REPLY_DONE);
	assert_int_equal(p.reply.last.len, SMTP_REPLY_LINE_MAX - 4);
	assert_true(p.reply.text.len <= SMTP_REPLY_TEXT_MAX && p.reply.nlines < 20);
	smtp_reply_free(&p);
}

static void test_ehlo(void **state)
{
	struct arena a = ARENA_INIT;
	struct smtp_reply_parser p;
	struct smtp_ehlo e;
	struct span in =
	    SPAN("250-mx.example.com Hello\r\n250-pipelining\r\n250-SIZE 1000\r\n250-8BITMIME\r\n"
		 "250-STARTTLS\r\n250-AUTH PLAIN LOGIN\r\n250-AUTH=LOGIN CRAM-MD5\r\n250-XFORWARD NAME ADDR\r\n"
		 "250-FOO BAR\r\n250 SMTPUTF8\r\n");

	(void)state;
	smtp_reply_init(&p);
	assert_int_equal(smtp_reply_feed(&p, &in), SMTP_REPLY_DONE);
	smtp_ehlo_parse(&a, &p, &e);
	assert_true(span_is(e.name, "mx.example.com"));
	assert_int_equal(e.exts, SMTP_EXT_PIPELINING | SMTP_EXT_SIZE | SMTP_EXT_8BITMIME | SMTP_EXT_STARTTLS |
				     SMTP_EXT_AUTH | SMTP_EXT_XFORWARD | SMTP_EXT_SMTPUTF8);
	assert_int_equal(e.size, 1000);
	assert_true(span_is(e.auth, "PLAIN LOGIN LOGIN CRAM-MD5"));
	assert_true(span_is(e.xforward, "NAME ADDR"));

	smtp_reply_reset(&p);
	in = SPAN("250-\r\n250-SIZE 99999999999999999999999\r\n250 DSN\r\n");
	assert_int_equal(smtp_reply_feed(&p, &in), SMTP_REPLY_DONE);
	smtp_ehlo_parse(&a, &p, &e);
	assert_int_equal(e.size, 0);
	assert_int_equal(e.exts, SMTP_EXT_SIZE | SMTP_EXT_DSN);
	smtp_reply_free(&p);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_ehlo),
	};

	return cmocka_run_group_tests_name("smtp_reply", tests, NULL, NULL);
}
