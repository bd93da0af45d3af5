/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/base/base64.h"

#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool base64_encode(struct buf *out, struct span s)
{
	char *to = buf_reserve(out, (s.len + 2) / 3 * 4);
	size_t n = 0;

	if (to == NULL)
		return false;
	for (size_t i = 0; i < s.len; i += 3) {
		size_t have = s.len - i < 3 ? s.len - i : 3;
		uint32_t v = 0;

		for (size_t j = 0; j < 3; j++)
			v = v << 8 | (j < have ? (unsigned char)s.ptr[i + j] : 0);
		for (size_t j = 0; j < 4; j++)
			to[n++] = j <= have ? digits[v >> (18 - 6 * j) & 63] : '=';
	}
	buf_commit(out, n);
	return true;
}

static int value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(struct buf *out, struct span s)
{
	size_t pad = 0, n = 0;
	char *to;

	if (s.len % 4)
		return false;
	while (pad < 2 && pad < s.len && s.ptr[s.len - 1 - pad] == '=')
		pad++;
	to = buf_reserve(out, s.len / 4 * 3);
	if (to == NULL)
		return false;
	for (size_t i = 0; i < s.len; i += 4) {
		bool last = i + 4 == s.len;
		uint32_t v = 0;

		for (size_t j = 0; j < 4; j++) {
			int d = last && j >= 4 - pad ? 0 : value(s.ptr[i + j]);

			if (d < 0)
				return false;
			v = v << 6 | (uint32_t)d;
		}
		if (last && pad && (v & (pad == 1 ? 0xffu : 0xffffu)))
			return false;
		for (size_t j = 0; j < (last ? 3 - pad : 3); j++)
			to[n++] = (char)(v >> (16 - 8 * j));
	}
	buf_commit(out, n);
	return true;
}
