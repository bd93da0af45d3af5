/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/verp.h"

#include <string.h>

#include "lib/proto/addr.h"

bool verp_delimiters_valid(struct span delimiters, const char *allowed)
{
	for (size_t i = 0; i < delimiters.len; i++)
		if (delimiters.ptr[i] == '\0' || !strchr(allowed, delimiters.ptr[i]))
			return false;
	return delimiters.len == 2;
}

struct span verp_sender(struct arena *a, struct span delimiters, struct span sender, struct span recipient)
{
	struct addr from = addr_split(sender), to = addr_split(recipient);
	struct span equals = to.domain.len ? span_skip(delimiters, 1) : SPAN_NONE, at = from.domain.len ? SPAN("@") : SPAN_NONE;

	return span_cstr(arena_printf(a, SPAN_FMT "%c" SPAN_FMT SPAN_FMT SPAN_FMT SPAN_FMT SPAN_FMT, SPAN_ARG(from.local),
				      delimiters.ptr[0], SPAN_ARG(to.local), SPAN_ARG(equals), SPAN_ARG(to.domain), SPAN_ARG(at),
				      SPAN_ARG(from.domain)));
}
