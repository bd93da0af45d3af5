/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/proto/smtp_data.h"

/* Decode all of in, step bytes at a time; what is left after the end of data goes to *rest_r. */
static void decode(struct smtp_data_decoder *d, struct span in, size_t step, size_t out_max, struct buf *out,
		   struct span *rest_r)
{
	char piece[64];

	buf_reset(out);
	while (in.len && d->state != SMTP_DATA_END) {
		struct span chunk = span_head(in, step);
		size_t before = chunk.len, n = smtp_data_decode(d, &chunk, piece, out_max);

		assert_true(n <= before - chunk.len + 1);
		assert_true(buf_add(out, piece, n));
		in = span_skip(in, before - chunk.len);
	}
	*rest_r = in;
}

struct decoded {
	struct span in;
	const char *normalize, *allow; /* "content|what is left"; NULL left: not ended */
	bool bare_lf, bare_cr;
};

static void check(struct span in, enum smtp_bare_lf policy, const char *want, bool bare_lf, bool bare_cr)
{
	struct buf out;

	buf_init(&out, 10000);
	for (size_t step = 1; step < 20; step++) {
		for (size_t out_max = 2; out_max <= 64; out_max += 31) {
			struct smtp_data_decoder d;
			struct span rest;

			smtp_data_decoder_init(&d, policy);
			decode(&d, in, step, out_max, &out, &rest);
			assert_int_equal(d.bytes, out.len);
			assert_int_equal(d.bare_lf, bare_lf);
			assert_int_equal(d.bare_cr, bare_cr);
			buf_adds(&out, d.state == SMTP_DATA_END ? "|" : "~");
			buf_add_span(&out, rest);
			assert_true(span_is(buf_span(&out), want));
		}
	}
	buf_free(&out);
}

static void test_decode(void **state)
{
	static const struct decoded table[] = {
		{ SPAN("a\r\n.\r\nQUIT\r\n"), "a\n|QUIT\r\n", "a\n|QUIT\r\n", false, false },
		{ SPAN(".\r\nQUIT\r\n"), "|QUIT\r\n", "|QUIT\r\n", false, false },
		{ SPAN("..\r\n..a\r\n.b\r\n.\r\n"), ".\n.a\nb\n|", ".\n.a\nb\n|", false, false },
		{ SPAN("a.\r\n. \r\n.\r\n"), "a.\n \n|", "a.\n \n|", false, false },
		{ SPAN("a\r\n"), "a\n~", "a\n~", false, false },
		{ SPAN("a\r\rb\r\n.\r\n"), "a  b\n|", "a  b\n|", false, true },
		{ SPAN("a\r\r\n.\r\n"), "a \n|", "a \n|", false, true },
		{ SPAN("a\r\n\r\n\r\n.\r\n"), "a\n\n\n|", "a\n\n\n|", false, false },
		{ SPAN("a\nb\r\n.\r\n"), "a\nb\n|", "a\nb\n|", true, false },
		{ SPAN("\n\n\r\n.\r\n"), "\n\n\n|", "\n\n\n|", true, false },
		{ SPAN("a\n.b\n..\r\n.\r\n"), "a\nb\n.\n|", "a\nb\n.\n|", true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const struct decoded *t = &table[i];

		check(t->in, SMTP_BARE_LF_NORMALIZE, t->normalize, t->bare_lf, t->bare_cr);
		check(t->in, SMTP_BARE_LF_REJECT, t->normalize, t->bare_lf, t->bare_cr);
		check(t->in, SMTP_BARE_LF_ALLOW, t->allow, t->bare_lf, t->bare_cr);
	}
}

/* Every known way to fake an end of data: what follows it is content of the one message. */
static void test_smuggling(void **state)
{
	static const struct {
		struct span fake;
		bool lf, cr;
		const char *content;
	} table[] = {
		{ SPAN("\n.\n"), true, false, "x\n.\nM\n|" },       { SPAN("\n.\r\n"), true, false, "x\n.\nM\n|" },
		{ SPAN("\r\n.\n"), true, false, "x\n.\nM\n|" },     { SPAN("\r.\r"), false, true, "x . M\n|" },
		{ SPAN("\r.\n"), true, true, "x .\nM\n|" },         { SPAN("\n.\r"), true, true, "x\n M\n|" },
		{ SPAN("\r.\r\n"), false, true, "x .\nM\n|" },      { SPAN("\r\n.\r"), false, true, "x\n M\n|" },
		{ SPAN("\r\n.\r\r\n"), false, true, "x\n \nM\n|" }, { SPAN("\n\n.\r\n"), true, false, "x\n\n.\nM\n|" },
	};
	struct buf in;

	(void)state;
	buf_init(&in, 1000);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		buf_reset(&in);
		buf_adds(&in, "x");
		buf_add_span(&in, table[i].fake);
		buf_adds(&in, "M\r\n.\r\n");
		check(buf_span(&in), SMTP_BARE_LF_NORMALIZE, table[i].content, table[i].lf, table[i].cr);
		check(buf_span(&in), SMTP_BARE_LF_REJECT, table[i].content, table[i].lf, table[i].cr);
	}
	buf_free(&in);
	check(SPAN("x\n.\nM\r\n"), SMTP_BARE_LF_ALLOW, "x\n|M\r\n", true, false);
	check(SPAN("x\n.\r\nM\r\n"), SMTP_BARE_LF_ALLOW, "x\n|M\r\n", true, false);
	check(SPAN("x\r\n.\nM\r\n"), SMTP_BARE_LF_ALLOW, "x\n|M\r\n", true, false);
}

static void test_nul(void **state)
{
	struct smtp_data_decoder d;
	struct span in = SPAN("a\0b\r\n\0.\r\n.\r\nrest");
	char out[64];
	size_t n;

	(void)state;
	smtp_data_decoder_init(&d, SMTP_BARE_LF_NORMALIZE);
	n = smtp_data_decode(&d, &in, out, sizeof out);
	assert_int_equal(n, 7);
	assert_memory_equal(out, "a\0b\n\0.\n", 7);
	assert_true(span_is(in, "rest"));
	assert_int_equal(d.lines, 2);
	assert_int_equal(d.longest_line, 3);
}

static void encode(unsigned flags, size_t limit, struct span in, size_t step, size_t out_max, struct buf *out)
{
	struct smtp_data_encoder e;
	char piece[64];
	size_t n;

	buf_reset(out);
	smtp_data_encoder_init(&e, flags, limit);
	while (in.len) {
		struct span chunk = span_head(in, step);
		size_t before = chunk.len;

		n = smtp_data_encode(&e, &chunk, piece, out_max);
		assert_true(n <= out_max && (n || chunk.len < before));
		assert_true(buf_add(out, piece, n));
		in = span_skip(in, before - chunk.len);
	}
	n = smtp_data_encode_end(&e, piece);
	assert_true(buf_add(out, piece, n));
}

static void test_encode(void **state)
{
	static const struct {
		unsigned flags;
		size_t limit;
		struct span in, out;
	} table[] = {
		{ SMTP_ENCODE_DOTS, 998, SPAN(""), SPAN(".\r\n") },
		{ SMTP_ENCODE_DOTS, 998, SPAN("a\n"), SPAN("a\r\n.\r\n") },
		{ SMTP_ENCODE_DOTS, 998, SPAN("a"), SPAN("a\r\n.\r\n") },
		{ SMTP_ENCODE_DOTS, 998, SPAN(".\n..\na.\n"), SPAN("..\r\n...\r\na.\r\n.\r\n") },
		{ SMTP_ENCODE_DOTS, 998, SPAN("x\r.\r\nMAIL\n"), SPAN("x .\r\nMAIL\r\n.\r\n") },
		{ SMTP_ENCODE_DOTS, 998, SPAN("x\n.\nM\n"), SPAN("x\r\n..\r\nM\r\n.\r\n") },
		{ SMTP_ENCODE_DOTS, 998, SPAN("a\r\r\nb\r"), SPAN("a \r\nb\r\n.\r\n") },
		{ SMTP_ENCODE_DOTS, 998, SPAN("\r.\n"), SPAN(" .\r\n.\r\n") },
		{ SMTP_ENCODE_DOTS, 4, SPAN("abcdefghij\nk\n"), SPAN("abcd\r\n efg\r\n hij\r\nk\r\n.\r\n") },
		{ SMTP_ENCODE_DOTS, 4, SPAN("abcd\n.bcde\n"), SPAN("abcd\r\n..bcd\r\n e\r\n.\r\n") },
		{ SMTP_ENCODE_DOTS, 4, SPAN("abcd\re\n"), SPAN("abcd\r\n  e\r\n.\r\n") },
		{ SMTP_ENCODE_DOTS, 0, SPAN("abcdefghij\0\n"), SPAN("abcdefghij\0\r\n.\r\n") },
		{ 0, 0, SPAN(".a\n"), SPAN(".a\r\n") },
		{ 0, 0, SPAN(".a"), SPAN(".a\r\n") },
		{ SMTP_ENCODE_KEEP_CR, 0, SPAN(".a\rb\r\nc\n\r\r\nd"), SPAN(".a\rb\r\nc\r\n\r\r\nd") },
		{ SMTP_ENCODE_KEEP_CR, 0, SPAN("a\r"), SPAN("a\r") },
	};
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		for (size_t step = 1; step < 20; step++) {
			for (size_t out_max = 8; out_max <= 64; out_max += 7) {
				encode(table[i].flags, table[i].limit, table[i].in, step, out_max, &out);
				assert_true(span_eq(buf_span(&out), table[i].out));
			}
		}
	}
	buf_free(&out);
}

/* BDAT: the same whatever the chunks, and a dot is a dot. */
static void test_counted(void **state)
{
	static const struct {
		struct span in;
		const char *out;
		bool bare_lf, bare_cr;
	} table[] = {
		{ SPAN(""), "", false, false },
		{ SPAN("a\r\n.\r\n..b\r\n"), "a\n.\n..b\n", false, false },
		{ SPAN(".\r\nRSET\r\n"), ".\nRSET\n", false, false },
		{ SPAN("open"), "open\n", false, false },
		{ SPAN("a\r"), "a \n", false, true },
		{ SPAN("\r"), " \n", false, true },
		{ SPAN("a\nb\n.\n"), "a\nb\n.\n", true, false },
		{ SPAN("a\r\rb\r\r\n"), "a  b \n", false, true },
	};
	struct buf out;
	struct span rest;
	char end[SMTP_DECODE_END_MAX];

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		for (size_t step = 1; step < 10; step++) {
			struct smtp_data_decoder d;

			smtp_data_decoder_init(&d, SMTP_BARE_LF_ALLOW);
			d.counted = true;
			decode(&d, table[i].in, step, 64, &out, &rest);
			assert_int_equal(rest.len, 0);
			assert_true(buf_add(&out, end, smtp_data_decode_end(&d, end)));
			assert_true(span_is(buf_span(&out), table[i].out));
			assert_int_equal(d.bytes, out.len);
			assert_int_equal(d.bare_lf, table[i].bare_lf);
			assert_int_equal(d.bare_cr, table[i].bare_cr);
			assert_int_equal(d.state, SMTP_DATA_END);
		}
	}
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_smuggling),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_counted),
	};

	return cmocka_run_group_tests_name("smtp_data", tests, NULL, NULL);
}
