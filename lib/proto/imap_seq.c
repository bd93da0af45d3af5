/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/imap_seq.h"

#include <stdlib.h>

static bool number(struct span s, uint32_t *out)
{
	uint64_t v;

	if (span_is(s, "*")) {
		*out = IMAP_SEQ_STAR;
		return true;
	}
	if (!span_u64(s, UINT32_MAX, &v) || v == 0)
		return false;
	*out = (uint32_t)v;
	return true;
}

bool imap_seqset_parse(struct arena *a, struct span s, struct imap_seqset *set_r)
{
	size_t n = 1;

	*set_r = (struct imap_seqset){ NULL, 0 };
	for (size_t i = 0; i < s.len; i++)
		n += s.ptr[i] == ',';
	if (s.len == 0 || n > IMAP_SEQSET_MAX)
		return false;
	set_r->range = arena_array(a, n, sizeof(*set_r->range));
	for (size_t i = 0; i < n; i++) {
		struct span item = span_cut(&s, ','), lo = span_cut(&item, ':');
		struct imap_range *r = &set_r->range[i];

		if (!number(lo, &r->lo))
			return false;
		r->hi = r->lo;
		if (item.ptr != NULL && item.ptr > lo.ptr + lo.len && !number(item, &r->hi))
			return false;
	}
	set_r->n = n;
	return true;
}

static int by_lo(const void *x, const void *y)
{
	const struct imap_range *a = x, *b = y;

	return a->lo < b->lo ? -1 : a->lo > b->lo;
}

void imap_seqset_resolve(struct imap_seqset *set, uint32_t max)
{
	size_t out = 0;

	for (size_t i = 0; i < set->n; i++) {
		struct imap_range *r = &set->range[i];
		uint32_t lo = r->lo == IMAP_SEQ_STAR ? max : r->lo, hi = r->hi == IMAP_SEQ_STAR ? max : r->hi;

		r->lo = lo < hi ? lo : hi;
		r->hi = lo < hi ? hi : lo;
	}
	qsort(set->range, set->n, sizeof(*set->range), by_lo);
	for (size_t i = 0; i < set->n; i++) {
		struct imap_range r = set->range[i];

		if (out > 0 && (set->range[out - 1].hi == UINT32_MAX || r.lo <= set->range[out - 1].hi + 1)) {
			if (r.hi > set->range[out - 1].hi)
				set->range[out - 1].hi = r.hi;
		} else {
			set->range[out++] = r;
		}
	}
	set->n = out;
}

bool imap_seqset_has(const struct imap_seqset *set, uint32_t number_)
{
	size_t lo = 0, hi = set->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (set->range[mid].hi < number_)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < set->n && set->range[lo].lo <= number_;
}

bool imap_seqset_write(struct buf *out, const uint32_t *numbers, size_t n)
{
	bool ok = true;

	for (size_t i = 0; i < n;) {
		size_t end = i;

		while (end + 1 < n && numbers[end + 1] == numbers[end] + 1)
			end++;
		ok = buf_addf(out, "%s%u", i > 0 ? "," : "", numbers[i]) && ok;
		if (end > i)
			ok = buf_addf(out, ":%u", numbers[end]) && ok;
		i = end + 1;
	}
	return ok;
}
