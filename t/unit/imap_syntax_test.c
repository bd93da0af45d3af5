/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/proto/imap_match.h"
#include "lib/proto/imap_quote.h"
#include "lib/proto/imap_seq.h"
#include "lib/proto/imap_utf7.h"

static void seqsets(void **state)
{
	static const struct {
		const char *in;
		uint32_t max;
		const char *out; /* NULL: an error */
	} t[] = {
		{ "1", 9, "1-1;" },
		{ "1,2,3", 9, "1-3;" },
		{ "5:3,1", 9, "1-1;3-5;" },
		{ "*", 9, "9-9;" },
		{ "12:*", 9, "9-12;" },
		{ "*:4,6:7", 9, "4-9;" },
		{ "1:4294967295,7", 9, "1-4294967295;" },
		{ "4294967295,1", 9, "1-1;4294967295-4294967295;" },
		{ "", 9, NULL },
		{ "0", 9, NULL },
		{ "1,", 9, NULL },
		{ ",1", 9, NULL },
		{ "1:", 9, NULL },
		{ ":1", 9, NULL },
		{ "1:2:3", 9, NULL },
		{ "4294967296", 9, NULL },
		{ "a", 9, NULL },
		{ "1 ", 9, NULL },
		{ "**", 9, NULL },
		{ "-1", 9, NULL },
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct imap_seqset set;
		char text[256] = "";

		if (imap_seqset_parse(&a, span_cstr(t[i].in), &set) != (t[i].out != NULL))
			fail_msg("%s", t[i].in);
		if (t[i].out == NULL)
			continue;
		imap_seqset_resolve(&set, t[i].max);
		for (size_t j = 0; j < set.n; j++)
			sprintf(text + strlen(text), "%u-%u;", set.range[j].lo, set.range[j].hi);
		assert_string_equal(text, t[i].out);
		assert_true(imap_seqset_has(&set, set.range[set.n - 1].hi));
		assert_false(imap_seqset_has(&set, 0));
	}
	arena_free(&a);
}

static void seqset_writing(void **state)
{
	static const uint32_t n[] = { 1, 2, 3, 7, 9, 10, 5 };
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_true(imap_seqset_write(&b, n, 7));
	assert_string_equal(buf_cstr(&b), "1:3,7,9:10,5");
	buf_free(&b);
}

static void utf7(void **state)
{
	static const struct {
		const char *wire, *utf8; /* utf8 NULL: refused */
	} t[] = {
		{ "INBOX", "INBOX" },
		{ "a&-b", "a&b" },
		{ "Entw&APw-rfe", "Entw\xc3\xbcrfe" },
		{ "~peter/mail/&U,BTFw-/&ZeVnLIqe-",
		  "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e" },
		{ "&2D3eAA-", "\xf0\x9f\x98\x80" },
		{ "&-&-", "&&" },
		{ "&AOQ-&-x", "\xc3\xa4&x" },
		{ "&AGE-", NULL },
		{ "&AOQ", NULL },
		{ "&", NULL },
		{ "&AOQ-&APY-", NULL },
		{ "&2D0-", NULL },
		{ "&3gA-", NULL },
		{ "&AOR-", NULL },
		{ "&A-", NULL },
		{ "&AAA-", NULL },
		{ "\xc3\xa4", NULL },
		{ "a\tb", NULL },
		{ "&AO/-", NULL },
		{ "&AOQA-", NULL },
	};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		buf_reset(&b);
		if (imap_utf7_decode(&b, span_cstr(t[i].wire)) != (t[i].utf8 != NULL))
			fail_msg("%s", t[i].wire);
		if (t[i].utf8 == NULL) {
			assert_int_equal(b.len, 0);
			continue;
		}
		assert_string_equal(buf_cstr(&b), t[i].utf8);
		buf_reset(&b);
		assert_true(imap_utf7_encode(&b, span_cstr(t[i].utf8)));
		assert_string_equal(buf_cstr(&b), t[i].wire);
	}
	buf_reset(&b);
	assert_false(imap_utf7_encode(&b, SPAN("ab\xff")));
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static void patterns(void **state)
{
	static const struct {
		const char *pattern, *name;
		enum imap_match want;
	} t[] = {
		{ "*", "a/b", IMAP_MATCH_YES },
		{ "%", "a/b", IMAP_MATCH_NO },
		{ "%", "ab", IMAP_MATCH_YES },
		{ "a/%", "a", IMAP_MATCH_PARENT },
		{ "a/%", "a/b", IMAP_MATCH_YES },
		{ "a/%", "a/b/c", IMAP_MATCH_NO },
		{ "%/b", "a", IMAP_MATCH_PARENT },
		{ "*b", "a/ab", IMAP_MATCH_YES },
		{ "*b", "a/ba", IMAP_MATCH_PARENT },
		{ "a*c%e", "abcdce", IMAP_MATCH_YES },
		{ "a*c%e", "abc/e", IMAP_MATCH_PARENT },
		{ "a*c%e", "abc/ce", IMAP_MATCH_YES },
		{ "", "", IMAP_MATCH_YES },
		{ "", "a", IMAP_MATCH_NO },
		{ "a%", "a", IMAP_MATCH_YES },
		{ "%%*%%", "x", IMAP_MATCH_YES },
		{ "inbox", "INBOX", IMAP_MATCH_NO },
		{ "%*", "a/b", IMAP_MATCH_YES },
		{ "a", "ab", IMAP_MATCH_NO },
		{ "a", "a", IMAP_MATCH_YES },
	};
	struct arena a = ARENA_INIT;
	struct imap_pattern p;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_true(imap_pattern_compile(&a, span_cstr(t[i].pattern), '/', false, &p));
		if (imap_pattern_match(&p, span_cstr(t[i].name)) != t[i].want)
			fail_msg("%s %s", t[i].pattern, t[i].name);
	}
	assert_true(imap_pattern_compile(&a, SPAN("inb%"), '/', true, &p));
	assert_int_equal(imap_pattern_match(&p, SPAN("INBOX")), IMAP_MATCH_YES);
	arena_free(&a);
}

static void patterns_that_would_explode(void **state)
{
	char pattern[IMAP_PATTERN_MAX + 1], name[1000];
	struct arena a = ARENA_INIT;
	struct imap_pattern p;
	int64_t start = clock_mono_ms();

	(void)state;
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = "*a%a"[i % 4];
	memset(name, 'a', sizeof(name));
	assert_false(imap_pattern_compile(&a, span_of(pattern, sizeof(pattern)), '/', false, &p));
	pattern[IMAP_PATTERN_MAX - 1] = 'b';
	assert_true(imap_pattern_compile(&a, span_of(pattern, IMAP_PATTERN_MAX), '/', false, &p));
	for (int i = 0; i < 1000; i++)
		assert_int_not_equal(imap_pattern_match(&p, span_of(name, sizeof(name))), IMAP_MATCH_YES);
	assert_true(clock_mono_ms() - start < 5000);
	arena_free(&a);
}

static void quoting(void **state)
{
	static const struct {
		const char *in, *string, *astring;
	} t[] = {
		{ "abc", "\"abc\"", "abc" },
		{ "", "\"\"", "\"\"" },
		{ "a\"b\\", "\"a\\\"b\\\\\"", "\"a\\\"b\\\\\"" },
		{ "a\nb", "{3}\r\na\nb", "{3}\r\na\nb" },
		{ "nil", "\"nil\"", "\"nil\"" },
		{ "a b", "\"a b\"", "\"a b\"" },
		{ "\xc3\xa4", "{2}\r\n\xc3\xa4", "{2}\r\n\xc3\xa4" },
		{ "a]b", "\"a]b\"", "a]b" },
	};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		buf_reset(&b);
		assert_true(imap_put_string(&b, span_cstr(t[i].in)));
		assert_string_equal(buf_cstr(&b), t[i].string);
		buf_reset(&b);
		assert_true(imap_put_astring(&b, span_cstr(t[i].in)));
		assert_string_equal(buf_cstr(&b), t[i].astring);
	}
	buf_reset(&b);
	imap_put_nstring(&b, SPAN_NONE);
	imap_put_mailbox(&b, SPAN("Entw\xc3\xbcrfe"));
	imap_put_text(&b, SPAN("a\r\nb"));
	assert_string_equal(buf_cstr(&b), "NILEntw&APw-rfea??b");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seqsets), cmocka_unit_test(seqset_writing),
		cmocka_unit_test(utf7),    cmocka_unit_test(patterns),
		cmocka_unit_test(quoting), cmocka_unit_test(patterns_that_would_explode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
