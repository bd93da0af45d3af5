/* SPDX-License-Identifier: BSD-2-Clause */
/* xtext of RFC 3461 section 4; declared in smtp_cmd.h. */
#include "lib/proto/smtp_cmd.h"

static const char hex[] = "0123456789ABCDEF";

bool xtext_encode(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		char coded[3] = { '+', hex[c >> 4], hex[c & 15] };
		bool plain = c > ' ' && c < 127 && c != '+' && c != '=';

		if (!(plain ? buf_addc(out, (char)c) : buf_add(out, coded, sizeof coded)))
			return false;
	}
	return true;
}

static int hex_value(char c)
{
	if (ascii_isdigit(c))
		return c - '0';
	c = ascii_upper(c);
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool xtext_decode(struct arena *a, struct span s, struct span *out_r)
{
	char *to = arena_alloc(a, s.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c <= ' ' || c == 127 || c == '=')
			return false;
		if (c == '+') {
			int high = i + 2 < s.len ? hex_value(s.ptr[i + 1]) : -1;
			int low = high >= 0 ? hex_value(s.ptr[i + 2]) : -1;

			if (low < 0)
				return false;
			c = (unsigned char)(high << 4 | low);
			i += 2;
		}
		to[len++] = (char)c;
	}
	*out_r = span_of(to, len);
	return true;
}
