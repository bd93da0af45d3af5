/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/saslprep.h"

#include <stdlib.h>
#include <string.h>
#include <stringprep.h>

#include "lib/base/mem.h"

static bool is_printable_ascii(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < ' ' || s.ptr[i] > '~')
			return false;
	return true;
}

static bool by_library(struct buf *out, struct span text)
{
	char *from = mem_zalloc(text.len + 1), *prepared = NULL;
	bool ok;

	memcpy(from, text.ptr, text.len);
	ok = stringprep_profile(from, &prepared, "SASLprep", 0) == STRINGPREP_OK && prepared[0];
	if (ok)
		ok = buf_add(out, prepared, strlen(prepared));
	if (prepared)
		mem_wipe(prepared, strlen(prepared));
	free(prepared);
	mem_wipe(from, text.len);
	free(from);
	return ok;
}

bool saslprep(struct buf *out, struct span text)
{
	if (text.len == 0 || span_chr(text, '\0') >= 0)
		return false;
	return is_printable_ascii(text) ? buf_add_span(out, text) : by_library(out, text);
}
