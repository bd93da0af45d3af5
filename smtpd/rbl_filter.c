/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtpd/rbl_filter.h"

/* "2..11" or "2" */
static bool range_has(struct span range, unsigned octet, bool *bad)
{
	ptrdiff_t dots = span_find(range, SPAN(".."));
	uint64_t low, high;

	if (!span_u64(dots < 0 ? range : span_head(range, (size_t)dots), 255, &low) ||
	    !span_u64(dots < 0 ? range : span_skip(range, (size_t)dots + 2), 255, &high)) {
		*bad = true;
		return false;
	}
	return octet >= low && octet <= high;
}

/* Takes one octet's pattern off *rest. */
static bool octet_matches(struct span *rest, unsigned octet, bool *bad)
{
	struct span set;
	ptrdiff_t end;
	bool found = false;

	if (rest->len == 0 || rest->ptr[0] != '[') {
		set = span_cut(rest, '.');
		return range_has(set, octet, bad);
	}
	end = span_chr(*rest, ']');
	if (end < 0) {
		*bad = true;
		return false;
	}
	set = span_head(span_skip(*rest, 1), (size_t)end - 1);
	*rest = span_skip(*rest, (size_t)end + 1);
	if (rest->len)
		*bad = span_cut(rest, '.').len > 0 || *bad;
	do {
		found = range_has(span_cut(&set, ';'), octet, bad) || found;
	} while (set.len);
	return found;
}

bool rbl_filter_match(struct span pattern, const uint8_t address[4])
{
	bool bad = false, match = true;

	for (int i = 0; i < 4; i++)
		match = octet_matches(&pattern, address[i], &bad) && match;
	return match && !bad && pattern.len == 0;
}
