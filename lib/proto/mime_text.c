/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/mime_text.h"

#include <string.h>

enum mime_cte mime_cte_of(struct span encoding)
{
	encoding = span_trim(encoding);
	if (encoding.len == 0 || span_iis(encoding, "7bit") || span_iis(encoding, "8bit") ||
	    span_iis(encoding, "binary"))
		return MIME_CTE_IDENTITY;
	if (span_iis(encoding, "base64"))
		return MIME_CTE_BASE64;
	return span_iis(encoding, "quoted-printable") ? MIME_CTE_QUOTED_PRINTABLE : MIME_CTE_UNKNOWN;
}

void mime_decoder_init(struct mime_decoder *d, enum mime_cte cte)
{
	*d = (struct mime_decoder){ .cte = cte };
}

/* What fits goes in. */
static bool add_some(struct buf *out, const char *ptr, size_t len)
{
	size_t room = out->max - out->len;

	if (len <= room)
		return buf_add(out, ptr, len);
	buf_add(out, ptr, room);
	out->overflow = true;
	return false;
}

/* --- base64 ------------------------------------------------------------------------------------------------------- */

static int digit64(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Bytes outside the alphabet are no content (RFC 2045 6.8). After padding a new run may begin. */
static bool decode_base64(struct mime_decoder *d, struct span in, struct buf *out)
{
	char chunk[1024];
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		int value = digit64(in.ptr[i]);

		if (in.ptr[i] == '=')
			d->nbits = 0;
		if (value < 0)
			continue;
		d->bits = (d->bits << 6 | (uint32_t)value) & 0xffff;
		d->nbits += 6;
		if (d->nbits < 8)
			continue;
		d->nbits -= 8;
		chunk[n++] = (char)(d->bits >> d->nbits);
		if (n == sizeof chunk) {
			if (!add_some(out, chunk, n))
				return false;
			n = 0;
		}
	}
	return add_some(out, chunk, n);
}

/* --- quoted-printable --------------------------------------------------------------------------------------------- */

static int digit16(char c)
{
	if (ascii_isdigit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind "=": true when c was used up. */
static bool after_equals(struct mime_decoder *d, char c, struct buf *out, bool *fits)
{
	char pair[2] = { '=', d->held };
	char byte;

	if (d->nheld == 1) {
		d->held = c;
		d->nheld = c == '\n' ? 0 : 2;
		return true;
	}
	d->nheld = 0;
	if (d->held == '\r' && c == '\n')
		return true;
	if (digit16(d->held) >= 0 && digit16(c) >= 0) {
		byte = (char)(digit16(d->held) << 4 | digit16(c));
		*fits = add_some(out, &byte, 1);
		return true;
	}
	*fits = add_some(out, pair, 2);
	return false;
}

static bool decode_qp(struct mime_decoder *d, struct span in, struct buf *out)
{
	bool fits = true;

	while (in.len && fits) {
		ptrdiff_t equals;
		size_t len;

		if (d->nheld) {
			if (after_equals(d, in.ptr[0], out, &fits))
				in = span_skip(in, 1);
			continue;
		}
		equals = span_chr(in, '=');
		len = equals < 0 ? in.len : (size_t)equals;
		fits = add_some(out, in.ptr, len);
		d->nheld = equals >= 0;
		in = span_skip(in, len + 1);
	}
	return fits;
}

bool mime_decode(struct mime_decoder *d, struct span in, struct buf *out)
{
	if (d->cte == MIME_CTE_BASE64)
		return decode_base64(d, in, out);
	if (d->cte == MIME_CTE_QUOTED_PRINTABLE)
		return decode_qp(d, in, out);
	return add_some(out, in.ptr, in.len);
}

bool mime_decode_end(struct mime_decoder *d, struct buf *out)
{
	char pair[2] = { '=', d->held };
	unsigned n = d->nheld;

	d->nheld = 0;
	d->nbits = 0;
	return add_some(out, pair, n);
}
