/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/imap_utf7.h"

#include <string.h>

#include "lib/base/utf8.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool direct(uint32_t c)
{
	return c >= 0x20 && c <= 0x7e;
}

static bool add_utf8(struct buf *out, uint32_t c)
{
	char b[4];

	if (c < 0x80)
		return buf_addc(out, (char)c);
	if (c < 0x800) {
		b[0] = (char)(0xc0 | c >> 6);
		b[1] = (char)(0x80 | (c & 0x3f));
		return buf_add(out, b, 2);
	}
	if (c < 0x10000) {
		b[0] = (char)(0xe0 | c >> 12);
		b[1] = (char)(0x80 | (c >> 6 & 0x3f));
		b[2] = (char)(0x80 | (c & 0x3f));
		return buf_add(out, b, 3);
	}
	b[0] = (char)(0xf0 | c >> 18);
	b[1] = (char)(0x80 | (c >> 12 & 0x3f));
	b[2] = (char)(0x80 | (c >> 6 & 0x3f));
	b[3] = (char)(0x80 | (c & 0x3f));
	return buf_add(out, b, 4);
}

struct decoder {
	struct buf *out;
	uint32_t bits; /* not yet used */
	unsigned nbits;
	uint32_t high; /* a high surrogate that waits for its low one; 0: none */
};

static bool unit(struct decoder *d, uint32_t u)
{
	if (d->high != 0) {
		uint32_t c = 0x10000 + ((d->high - 0xd800) << 10) + (u - 0xdc00);

		d->high = 0;
		return u >= 0xdc00 && u <= 0xdfff && add_utf8(d->out, c);
	}
	if (u >= 0xd800 && u <= 0xdbff) {
		d->high = u;
		return true;
	}
	if ((u >= 0xdc00 && u <= 0xdfff) || u < 0x20 || u == 0x7f || direct(u))
		return false;
	return add_utf8(d->out, u);
}

/* s: what is between & and -, not empty. */
static bool shifted(struct buf *out, struct span s)
{
	struct decoder d = { .out = out };

	for (size_t i = 0; i < s.len; i++) {
		const char *at = s.ptr[i] == '\0' ? NULL : strchr(alphabet, s.ptr[i]);

		if (at == NULL)
			return false;
		d.bits = d.bits << 6 | (uint32_t)(at - alphabet);
		d.nbits += 6;
		if (d.nbits < 16)
			continue;
		d.nbits -= 16;
		if (!unit(&d, d.bits >> d.nbits & 0xffff))
			return false;
		d.bits &= (1u << d.nbits) - 1;
	}
	return d.high == 0 && d.nbits < 6 && d.bits == 0;
}

static bool decode(struct buf *out, struct span in)
{
	bool after_shift = false;

	while (in.len > 0) {
		ptrdiff_t end;

		if (in.ptr[0] != '&') {
			if (!direct((unsigned char)in.ptr[0]) || !buf_addc(out, in.ptr[0]))
				return false;
			in = span_skip(in, 1);
			after_shift = false;
			continue;
		}
		end = span_chr(in, '-');
		if (end < 0)
			return false;
		if (end == 1) {
			if (!buf_addc(out, '&'))
				return false;
			after_shift = false;
		} else {
			if (after_shift || !shifted(out, span_of(in.ptr + 1, (size_t)end - 1)))
				return false;
			after_shift = true;
		}
		in = span_skip(in, (size_t)end + 1);
	}
	return true;
}

bool imap_utf7_decode(struct buf *out, struct span wire)
{
	size_t len = out->len;

	if (decode(out, wire))
		return true;
	buf_truncate(out, len);
	return false;
}

/* The character at the front of *in, which is well-formed there. */
static uint32_t take_char(struct span *in, size_t len)
{
	static const unsigned char mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t c = (unsigned char)in->ptr[0] & mask[len];

	for (size_t i = 1; i < len; i++)
		c = c << 6 | ((unsigned char)in->ptr[i] & 0x3f);
	*in = span_skip(*in, len);
	return c;
}

struct encoder {
	struct buf *out;
	bool open; /* within & and - */
	uint32_t bits;
	unsigned nbits;
};

static void put_bits(struct encoder *e, uint32_t unit16)
{
	e->bits = e->bits << 16 | unit16;
	for (e->nbits += 16; e->nbits >= 6; e->nbits -= 6)
		buf_addc(e->out, alphabet[e->bits >> (e->nbits - 6) & 0x3f]);
	e->bits &= (1u << e->nbits) - 1;
}

static void put_shifted(struct encoder *e, uint32_t c)
{
	if (!e->open)
		buf_addc(e->out, '&');
	e->open = true;
	if (c >= 0x10000) {
		put_bits(e, 0xd800 + ((c - 0x10000) >> 10));
		c = 0xdc00 + ((c - 0x10000) & 0x3ff);
	}
	put_bits(e, c);
}

static void close_shift(struct encoder *e)
{
	if (!e->open)
		return;
	if (e->nbits > 0)
		buf_addc(e->out, alphabet[e->bits << (6 - e->nbits) & 0x3f]);
	buf_addc(e->out, '-');
	*e = (struct encoder){ .out = e->out };
}

bool imap_utf7_encode(struct buf *out, struct span in)
{
	struct encoder e = { .out = out };
	size_t start = out->len, len;
	bool was = out->overflow, ok;

	out->overflow = false;
	while (in.len > 0 && (len = utf8_char(in.ptr, in.len)) > 0) {
		uint32_t c = take_char(&in, len);

		if (!direct(c)) {
			put_shifted(&e, c);
			continue;
		}
		close_shift(&e);
		if (c == '&')
			buf_adds(out, "&-");
		else
			buf_addc(out, (char)c);
	}
	close_shift(&e);
	ok = in.len == 0 && !out->overflow;
	out->overflow = was || out->overflow;
	if (!ok)
		buf_truncate(out, start);
	return ok;
}
