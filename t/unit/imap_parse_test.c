/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proto/imap_parse.h"

static const struct imap_limits small = {
	.line_max = 64,
	.literal_max = 32,
	.total_max = 256,
	.literals_max = 3,
	.skip_max = 1000,
};

/* Everything a session of commands does to a reader, as text. step: octets per feed. */
static void drive(const char *bytes, size_t len, size_t step, char *log, size_t max)
{
	struct imap_reader r;
	size_t at = 0;

	imap_reader_init(&r, &small);
	log[0] = '\0';
	while (at < len) {
		struct span in = span_of(bytes + at, len - at < step ? len - at : step);
		size_t before = in.len, used = strlen(log);
		enum imap_read_status st = imap_reader_feed(&r, &in);
		struct span t = imap_reader_text(&r), tag = imap_reader_tag(&r);

		at += before - in.len;
		if (st == IMAP_READ_MORE)
			continue;
		if (st == IMAP_READ_LITERAL) {
			bool go = imap_reader_take(&r);

			snprintf(log + used, max - used, "lit%llu%s;", (unsigned long long)r.literal, go ? "+" : "");
			continue;
		}
		if (st == IMAP_READ_DONE)
			snprintf(log + used, max - used, "<" SPAN_FMT ">;", SPAN_ARG(t));
		else
			snprintf(log + used, max - used, SPAN_FMT " %d;", SPAN_ARG(tag), (int)st);
		if (st == IMAP_READ_FATAL)
			break;
		imap_reader_reset(&r);
	}
	/* A refused literal reports its error without further input. */
	if (r.asked) {
		struct span none = SPAN_NONE;
		enum imap_read_status st = imap_reader_feed(&r, &none);
		size_t used = strlen(log);

		snprintf(log + used, max - used, SPAN_FMT " %d;", SPAN_ARG(imap_reader_tag(&r)), (int)st);
	}
	imap_reader_free(&r);
}

#define S64 "0123456789012345678901234567890123456789012345678901234567890123"

static const struct {
	const char *in;
	size_t len; /* 0: strlen */
	const char *log;
} reads[] = {
	{ "a NOOP\r\n", 0, "<a NOOP>;" },
	{ "a NOOP\nb NOOP\r\n\r\n", 0, "<a NOOP>;<b NOOP>;<>;" },
	{ "a LOGIN {3}\r\nabc {2}\r\nde\r\nb X\r\n", 0, "lit3+;lit2+;<a LOGIN {3}\r\nabc {2}\r\nde>;<b X>;" },
	{ "a LOGIN {3+}\r\na\r\n {0+}\r\n\r\n", 0, "lit3;lit0;<a LOGIN {3}\r\na\r\n {0}\r\n>;" },
	{ "a X {33}\r\nb NOOP\r\n", 0, "lit33;a 4;<b NOOP>;" },
	{ "a X {33+}\r\n"
	  "abcdefghijklmnopqrstuvwxyz{9}\r\n789"
	  " y {2+}\r\n\r\n z\r\nb NOOP\r\n",
	  0, "lit33;a 4;<b NOOP>;" },
	{ "a X {1001+}\r\n", 0, "lit1001;" },
	{ "a X {99999999999999999999}\r\nb NOOP\r\n", 0, "a 4;<b NOOP>;" },
	{ "a X {99999999999999999999+}\r\nb NOOP\r\n", 0, "a 6;" },
	{ "a X {-1}\r\n", 0, "<a X {-1}>;" },
	{ "a X {}\r\n", 0, "<a X {}>;" },
	{ "a " S64 "\r\nb NOOP\r\n", 0, "a 3;<b NOOP>;" },
	{ "a " S64 " {2+}\r\n\r\n {1}\r\nb NOOP\r\n", 0, "a 3;<b NOOP>;" },
	{ "a "
	  "23456789012345678901234567890123456789012345678901234567890123"
	  "\r\n",
	  0,
	  "<a "
	  "23456789012345678901234567890123456789012345678901234567890123"
	  ">;" },
	{ "a \0 {1+}\r\nx\r\nb Y\r\n", 18, "a 5;<b Y>;" },
	{ "a X {3+}\r\nx\0y\r\nb Y\r\n", 20, "lit3;a 5;<b Y>;" },
	{ "a X {1+}\r\n1{1+}\r\n2{1+}\r\n3{1+}\r\n4\r\nb Y\r\n", 0, "lit1;lit1;lit1;lit1;a 4;<b Y>;" },
	{ "+bad X\r\n" S64 S64 S64 "\r\n", 0, "<+bad X>;* 3;" },
};

static void reader_whole_and_byte_by_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
		size_t len = reads[i].len != 0 ? reads[i].len : strlen(reads[i].in);
		char log[1024];

		for (size_t step = 1; step <= len; step = step < 12 ? step + 1 : len + (step == len)) {
			drive(reads[i].in, len, step, log, sizeof(log));
			if (strcmp(log, reads[i].log) != 0)
				fail_msg("case %zu step %zu: got %s want %s", i, step, log, reads[i].log);
		}
	}
}

static void reader_own_literal(void **state)
{
	struct imap_reader r;
	struct span in = SPAN("a APPEND x {5}\r\nhello\r\nb NOOP\r\n");

	(void)state;
	imap_reader_init(&r, &small);
	assert_int_equal(imap_reader_feed(&r, &in), IMAP_READ_LITERAL);
	assert_true(span_is(imap_reader_text(&r), "a APPEND x "));
	assert_false(r.plus);
	imap_reader_own(&r);
	in = span_skip(in, 5);
	assert_int_equal(imap_reader_feed(&r, &in), IMAP_READ_DONE);
	assert_true(span_is(imap_reader_text(&r), "a APPEND x {0}\r\n"));
	imap_reader_reset(&r);
	assert_true(imap_reader_idle(&r));
	assert_int_equal(imap_reader_feed(&r, &in), IMAP_READ_DONE);
	assert_true(span_is(imap_reader_text(&r), "b NOOP"));
	imap_reader_free(&r);
}

static void split(void **state)
{
	static const struct {
		const char *in;
		bool ok;
		const char *tag, *verb, *args;
	} t[] = {
		{ "a NOOP", true, "a", "NOOP", "" },  { "a1.2] login  x y", true, "a1.2]", "login", " x y" },
		{ "", false, "*", "", "" },           { "a", false, "a", "", "" },
		{ "a  NOOP", true, "a", "NOOP", "" }, { "a+ NOOP", false, "*", "", "" },
		{ "* NOOP", false, "*", "", "" },     { "a NO(OP x", false, "a", "NO(OP", "x" },
	};
	struct imap_command c;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(imap_command_split(span_cstr(t[i].in), &c), t[i].ok);
		assert_true(span_is(c.tag, t[i].tag));
		assert_true(span_is(c.verb, t[i].verb));
		assert_true(span_is(c.args, t[i].args));
	}
}

static void astrings(void **state)
{
	static const struct {
		const char *in, *out, *rest; /* out NULL: an error */
	} t[] = {
		{ "abc def", "abc", " def" }, { "ab]c", "ab]c", "" },
		{ "\"\"", "", "" },           { "\"a\\\"b\\\\\" x", "a\"b\\", " x" },
		{ "\"a", NULL, NULL },        { "\"a\\x\"", NULL, NULL },
		{ "\"a\\", NULL, NULL },      { "{3}\r\na\"b)", "a\"b", ")" },
		{ "{0}\r\n", "", "" },        { "{4}\r\nabc", NULL, NULL },
		{ "{4}abc", NULL, NULL },     { "(a)", NULL, NULL },
		{ "", NULL, NULL },           { "a{3}", "a", "{3}" },
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct imap_scan s = imap_scan_init(&a, span_cstr(t[i].in));
		struct span out;
		bool ok = imap_scan_astring(&s, &out);

		assert_int_equal(ok, t[i].out != NULL);
		assert_int_equal(s.error == NULL, ok);
		if (ok) {
			assert_true(span_is(out, t[i].out));
			assert_true(span_is(s.in, t[i].rest));
		}
	}
	arena_free(&a);
}

static void numbers_lists_and_the_rest(void **state)
{
	struct arena a = ARENA_INIT;
	struct imap_scan s = imap_scan_init(&a, SPAN("(\\Seen $Fwd nil 4294967295 %*] x) "));
	struct span out;
	uint32_t n;
	bool nil;

	(void)state;
	assert_true(imap_scan_open(&s) && imap_scan_flag(&s, &out));
	assert_true(span_is(out, "\\Seen"));
	assert_true(imap_scan_sp(&s) && imap_scan_flag(&s, &out) && span_is(out, "$Fwd"));
	assert_true(imap_scan_sp(&s) && imap_scan_nstring(&s, &out, &nil) && nil);
	assert_true(imap_scan_sp(&s) && imap_scan_number(&s, &n) && n == UINT32_MAX);
	assert_true(imap_scan_sp(&s) && imap_scan_pattern(&s, &out) && span_is(out, "%*]"));
	assert_true(imap_scan_sp(&s) && imap_scan_atom(&s, &out) && imap_scan_close(&s) && imap_scan_end(&s));
	assert_int_equal(s.depth, 0);
	assert_null(s.error);

	s = imap_scan_init(&a, SPAN("4294967296"));
	assert_false(imap_scan_number(&s, &n));
	assert_string_equal(s.error, "Number too large");
	s = imap_scan_init(&a, SPAN("(((((((((((((((((((((((("));
	for (n = 0; imap_scan_open(&s); n++)
		;
	assert_int_equal(n, IMAP_DEPTH_MAX);
	assert_string_equal(s.error, "Too many nested parentheses");
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reader_whole_and_byte_by_byte),
		cmocka_unit_test(reader_own_literal),
		cmocka_unit_test(split),
		cmocka_unit_test(astrings),
		cmocka_unit_test(numbers_lists_and_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
