/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proto/mime_text.h"

static void test_transfer(void **state)
{
	static const struct {
		enum mime_cte cte;
		const char *in, *out;
	} table[] = {
		{ MIME_CTE_IDENTITY, "a=20b", "a=20b" },
		{ MIME_CTE_BASE64, "YWJj", "abc" },
		{ MIME_CTE_BASE64, "YW\r\nJj\r\n", "abc" },
		{ MIME_CTE_BASE64, "YWI=YWI=", "abab" },
		{ MIME_CTE_BASE64, "YQ==\n", "a" },
		{ MIME_CTE_BASE64, "YQ", "a" },
		{ MIME_CTE_BASE64, "Y!Q*=", "a" },
		{ MIME_CTE_BASE64, "Y", "" },
		{ MIME_CTE_QUOTED_PRINTABLE, "a=20b=\nc=\r\nd=e",
		  "a b"
		  "cd=e" },
		{ MIME_CTE_QUOTED_PRINTABLE, "=3d=3D", "==" },
		{ MIME_CTE_QUOTED_PRINTABLE, "=zz=", "=zz=" },
		{ MIME_CTE_QUOTED_PRINTABLE, "===41", "==A" },
		{ MIME_CTE_QUOTED_PRINTABLE, "=4", "=4" },
		{ MIME_CTE_QUOTED_PRINTABLE, "=\rx", "=\rx" },
	};
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		for (size_t step = 1; step < 20; step++) {
			struct mime_decoder d;
			struct span in = span_cstr(table[i].in);

			buf_reset(&out);
			mime_decoder_init(&d, table[i].cte);
			for (; in.len; in = span_skip(in, step))
				assert_true(mime_decode(&d, span_head(in, step), &out));
			assert_true(mime_decode_end(&d, &out));
			assert_string_equal(buf_cstr(&out), table[i].out);
		}
	}
	buf_free(&out);
	assert_int_equal(mime_cte_of(SPAN(" Base64 ")), MIME_CTE_BASE64);
	assert_int_equal(mime_cte_of(SPAN("x-uuencode")), MIME_CTE_UNKNOWN);
	assert_int_equal(mime_cte_of(SPAN_NONE), MIME_CTE_IDENTITY);
}

static void test_charsets(void **state)
{
	static const struct {
		const char *charset, *in, *out;
	} table[] = {
		{ "", "abc", "abc" },
		{ "utf-8", "\xc3\xa9\xff\xc3", "\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd" },
		{ "US-ASCII", "\xe9", "\xef\xbf\xbd" },
		{ "ISO-8859-1", "\xe9", "\xc3\xa9" },
		{ "iso-8859-15", "\xa4", "\xe2\x82\xac" },
		{ "windows-1251", "\xcf", "\xd0\x9f" },
		{ "GB2312", "\xc4\xe3\xba\xc3", "\xe4\xbd\xa0\xe5\xa5\xbd" },
		{ "gb18030", "\xc4\xe3\x81\x30\x81\x30", "\xe4\xbd\xa0\xc2\x80" },
		{ "gb18030", "\xc4", "\xef\xbf\xbd" },
		{ "big5", "\xa7\x41", "\xe4\xbd\xa0" },
		{ "iso-2022-jp", "\x1b$B$3\x1b(Bx", "\xe3\x81\x93x" },
		{ "utf-8//TRANSLIT", "\xc3\xa9", "\xc3\xa9" },
		{ "nonsense", "\xc3\xa9", "\xc3\xa9" },
	};
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		buf_init(&out, 1000);
		assert_true(mime_to_utf8(&out, span_cstr(table[i].charset), span_cstr(table[i].in)));
		assert_string_equal(buf_cstr(&out), table[i].out);
		buf_free(&out);
		/* The bound cuts between characters. */
		buf_init(&out, strlen(table[i].out) - 1);
		assert_false(mime_to_utf8(&out, span_cstr(table[i].charset), span_cstr(table[i].in)));
		assert_memory_equal(buf_cstr(&out), table[i].out, out.len);
		assert_true(((unsigned char)table[i].out[out.len] & 0xc0) != 0x80);
		buf_free(&out);
	}
	assert_true(mime_charset_known(SPAN("GBK")));
	assert_false(mime_charset_known(SPAN("UTF-7")));
}

static void test_words(void **state)
{
	static const struct {
		const char *in, *out;
	} table[] = {
		{ "", "" },
		{ "plain text", "plain text" },
		{ " folded\r\n text", " folded text" },
		{ "=?utf-8?q?J=C3=B6_x?=", "J\xc3\xb6 x" },
		{ "=?UTF-8?B?SsO2?= end", "J\xc3\xb6 end" },
		{ "=?iso-8859-1*de?Q?=F6?=", "\xc3\xb6" },
		{ "a =?utf-8?q?b?= =?utf-8?q?c?= d", "a bc d" },
		{ "=?utf-8?q?b?=\r\n =?iso-8859-1?q?=F6?=\n x", "b\xc3\xb6 x" },
		/* One character in two words. */
		{ "=?utf-8?q?=C3?= =?utf-8?q?=B6?=", "\xc3\xb6" },
		{ "=?gb2312?B?xOO6ww==?=", "\xe4\xbd\xa0\xe5\xa5\xbd" },
		{ "=?utf-8?q?"
		  "?=x",
		  "x" },
		{ "=?utf-8?x?a?=", "=?utf-8?x?a?=" },
		{ "=?utf-8?q?a b?=", "=?utf-8?q?a b?=" },
		{ "=?utf-8?q?a", "=?utf-8?q?a" },
		{ "=?", "=?" },
		{ "=?=?utf-8?q?a?=", "=?a" },
		{ "a =? b =?utf-8?q?c?=", "a =? b c" },
		{ "\xff", "\xef\xbf\xbd" },
	};
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		buf_reset(&out);
		assert_true(mime_words_decode(&out, span_cstr(table[i].in)));
		assert_string_equal(buf_cstr(&out), table[i].out);
	}
	buf_free(&out);
	buf_init(&out, 3);
	assert_false(mime_words_decode(&out, SPAN("ab\xc3\xb6"
						  "c")));
	assert_string_equal(buf_cstr(&out), "ab");
	buf_free(&out);
}

static void test_linear(void **state)
{
	static const char *const pieces[] = { "=?",  "=?a?q?", "=?utf-8?q?", "?=", "=?utf-8?b?YQ==?= ",
					      "=?a", " ",      "\xc3" };
	struct buf in, out;

	(void)state;
	buf_init(&in, 1 << 20);
	buf_init(&out, 1 << 21);
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		buf_reset(&in);
		buf_reset(&out);
		while (in.len < 500000)
			buf_adds(&in, pieces[i]);
		assert_true(mime_words_decode(&out, buf_span(&in)));
	}
	buf_free(&in);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transfer),
		cmocka_unit_test(test_charsets),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_linear),
	};

	return cmocka_run_group_tests_name("mime_text", tests, NULL, NULL);
}
