/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * First octet: policy and chunk size. Both directions, against slow models written from the rules: the decoder's result
 * does not depend on chunks, the encoder's never holds a lone CR or LF, and decodes to what went in.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/must.h"
#include "lib/proto/smtp_data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decode in chunks; returns how much of in was taken. */
static size_t decode(struct span in, enum smtp_bare_lf policy, size_t step, size_t out_max, struct buf *out,
		     struct smtp_data_decoder *d)
{
	struct span rest = in;
	char piece[300];

	smtp_data_decoder_init(d, policy);
	while (rest.len && d->state != SMTP_DATA_END) {
		struct span chunk = span_head(rest, step);
		size_t before = chunk.len, n = smtp_data_decode(d, &chunk, piece, out_max);

		must(n <= before - chunk.len + 1 && n <= out_max && chunk.len < before);
		must(buf_add(out, piece, n));
		rest = span_skip(rest, before - chunk.len);
	}
	return in.len - rest.len;
}

/* Where CRLF.CRLF ends, the start counting as CRLF; or the length. */
static size_t true_end(struct span in)
{
	ptrdiff_t at = span_find(in, SPAN("\r\n.\r\n"));

	if (span_starts(in, ".\r\n"))
		return 3;
	return at < 0 ? in.len : (size_t)at + 5;
}

static void encode(struct span in, unsigned flags, size_t limit, size_t step, size_t out_max, struct buf *out)
{
	struct smtp_data_encoder e;
	char piece[300];

	smtp_data_encoder_init(&e, flags, limit);
	while (in.len) {
		struct span chunk = span_head(in, step);
		size_t before = chunk.len, n = smtp_data_encode(&e, &chunk, piece, out_max);

		must(n <= out_max && (n || chunk.len < before));
		must(buf_add(out, piece, n));
		in = span_skip(in, before - chunk.len);
	}
	must(buf_add(out, piece, smtp_data_encode_end(&e, piece)));
}

static void check_wire(struct span wire, size_t limit)
{
	size_t column = 0;

	for (size_t i = 0; i < wire.len; i++) {
		must(wire.ptr[i] != '\n' || (i && wire.ptr[i - 1] == '\r'));
		must(wire.ptr[i] != '\r' || (i + 1 < wire.len && wire.ptr[i + 1] == '\n'));
		column = wire.ptr[i] == '\n' || wire.ptr[i] == '\r' ? 0 : column + 1;
		must(limit == 0 || column <= limit + 1);
	}
	must(true_end(wire) == wire.len && span_ends(wire, ".\r\n"));
}

/* The stored form as it should come back: CRLF and LF one line end, other CRs spaces, the last line ended. */
static void normalize(struct span in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		if (in.ptr[i] == '\r' && (i + 1 == in.len || in.ptr[i + 1] == '\n'))
			continue;
		buf_addc(out, in.ptr[i] == '\r' ? ' ' : in.ptr[i]);
	}
	if (in.len && in.ptr[in.len - 1] != '\n')
		buf_addc(out, '\n');
}

static void round_trip(struct span in, size_t step)
{
	struct buf wire, back, want;
	struct smtp_data_decoder d;

	buf_init(&wire, 1 << 24);
	buf_init(&back, 1 << 24);
	buf_init(&want, 1 << 24);
	encode(in, SMTP_ENCODE_DOTS, 0, step, 8 + step, &wire);
	check_wire(buf_span(&wire), 0);
	must(decode(buf_span(&wire), SMTP_BARE_LF_REJECT, step, 2 + step, &back, &d) == wire.len);
	must(d.state == SMTP_DATA_END && !d.bare_lf && !d.bare_cr);
	normalize(in, &want);
	must(span_eq(buf_span(&back), buf_span(&want)));
	buf_reset(&wire);
	encode(in, SMTP_ENCODE_DOTS, step, 7, 100, &wire);
	check_wire(buf_span(&wire), step == 1 ? 2 : step);
	buf_free(&wire);
	buf_free(&back);
	buf_free(&want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of((const char *)data + 1, size - 1);
	enum smtp_bare_lf policy;
	struct smtp_data_decoder d, whole;
	struct buf one, two;
	size_t step, taken;

	if (size == 0 || size > 100000)
		return 0;
	policy = (enum smtp_bare_lf)(data[0] % 3);
	step = 1 + data[0] / 3;
	buf_init(&one, 1 << 20);
	buf_init(&two, 1 << 20);
	taken = decode(in, policy, step, 2 + step, &one, &d);
	must(decode(in, policy, SIZE_MAX, 300, &two, &whole) == taken);
	must(span_eq(buf_span(&one), buf_span(&two)) && memcmp(&d, &whole, sizeof d) == 0);
	must(span_chr(buf_span(&one), '\r') < 0 && d.bytes == one.len);
	if (policy != SMTP_BARE_LF_ALLOW)
		must(taken == true_end(in));
	round_trip(in, step);
	buf_free(&one);
	buf_free(&two);
	return 0;
}
