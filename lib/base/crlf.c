/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/base/crlf.h"

#include "lib/base/vector.h"

VECTORIZED uint64_t crlf_missing(struct span text, char before)
{
	const char *p = text.ptr;
	uint64_t found;

	if (text.len == 0)
		return 0;
	found = p[0] == '\n' && before != '\r';
	for (size_t i = 1; i < text.len; i++)
		found += (unsigned)(p[i] == '\n') & (unsigned)(p[i - 1] != '\r');
	return found;
}
