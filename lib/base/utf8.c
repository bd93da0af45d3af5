/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/base/utf8.h"

static bool tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

size_t utf8_char(const char *p, size_t len)
{
	const unsigned char *u = (const unsigned char *)p;

	if (len == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] < 0xc2 || len < 2 || !tail(u[1]))
		return 0;
	if (u[0] < 0xe0)
		return 2;
	if (u[0] < 0xf0) {
		bool bad = (u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f);

		return !bad && len >= 3 && tail(u[2]) ? 3 : 0;
	}
	if (u[0] > 0xf4 || (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
		return 0;
	return len >= 4 && tail(u[2]) && tail(u[3]) ? 4 : 0;
}

bool utf8_valid(struct span s)
{
	while (s.len) {
		size_t n = utf8_char(s.ptr, s.len);

		if (n == 0)
			return false;
		s = span_skip(s, n);
	}
	return true;
}
