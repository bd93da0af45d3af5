/* SPDX-License-Identifier: BSD-2-Clause */
/* What a search is to return (RFC 4731 ESEARCH, RFC 5182 SEARCHRES, RFC 9394 PARTIAL), and the answer that says it. */
#include <stdlib.h>
#include <string.h>

#include "imapd/search.h"
#include "lib/base/mem.h"

bool scan_partial_range(struct imap_scan *a, struct partial_range *r)
{
	bool tail = imap_scan_skip(a, '-');
	uint32_t x = 0, y = 0;

	if (!imap_scan_number(a, &x) || !imap_scan_char(a, ':'))
		return false;
	if (tail != imap_scan_skip(a, '-'))
		return imap_scan_fail(a, "Both ends of a range have to have the same sign");
	if (!imap_scan_number(a, &y))
		return false;
	if (x == 0 || y == 0)
		return imap_scan_fail(a, "A range starts with 1");
	*r = (struct partial_range){ .tail = tail, .lo = x < y ? x : y, .hi = x < y ? y : x };
	return true;
}

void partial_cut(const struct partial_range *r, uint32_t count, uint32_t *first_r, uint32_t *n_r)
{
	uint32_t hi = r->hi < count ? r->hi : count;

	*n_r = r->lo > count ? 0 : hi - r->lo + 1;
	*first_r = *n_r == 0 ? 0 : r->tail ? count - hi : r->lo - 1;
}

static bool scan_option(struct imap_scan *a, struct search_return *r)
{
	static const struct {
		const char *name;
		unsigned what;
	} options[] = { { "MIN", RETURN_MIN }, { "MAX", RETURN_MAX },   { "COUNT", RETURN_COUNT },
			{ "ALL", RETURN_ALL }, { "SAVE", RETURN_SAVE }, { "PARTIAL", RETURN_PARTIAL } };
	struct span name;
	unsigned what = 0;

	if (!imap_scan_atom(a, &name))
		return false;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (span_iis(name, options[i].name))
			what = options[i].what;
	if (what == 0)
		return imap_scan_fail(a, "Unknown SEARCH return option");
	if ((what & RETURN_PARTIAL & r->what) != 0)
		return imap_scan_fail(a, "PARTIAL can be used only once");
	r->what |= what;
	return what != RETURN_PARTIAL || (imap_scan_sp(a) && scan_partial_range(a, &r->partial));
}

bool search_return_scan(struct imap_scan *a, struct search_return *r)
{
	struct imap_scan try = *a;
	struct span word;

	*r = (struct search_return){ 0 };
	if (!imap_scan_atom(&try, &word) || !span_iis(word, "RETURN"))
		return true;
	*a = try;
	r->extended = true;
	if (!imap_scan_sp(a) || !imap_scan_open(a))
		return false;
	while (!imap_scan_peek(a, ')'))
		if (!scan_option(a, r) || (!imap_scan_peek(a, ')') && !imap_scan_sp(a)))
			return false;
	if (r->what == 0)
		r->what = RETURN_ALL;
	if ((r->what & RETURN_ALL) != 0 && (r->what & RETURN_PARTIAL) != 0)
		return imap_scan_fail(a, "ALL and PARTIAL exclude each other");
	return imap_scan_close(a) && imap_scan_sp(a);
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

static void put_set(struct session *s, const uint32_t *number, uint32_t n)
{
	if (n == 0)
		buf_adds(&s->out, "NIL");
	else
		imap_seqset_write(&s->out, number, n);
}

/* Of what is returned: RFC 4731 3.2. */
static uint64_t highest(struct session *s, const struct search_return *r, const uint32_t *at, uint32_t n)
{
	bool ends = r->extended && (r->what & (RETURN_MIN | RETURN_MAX)) != 0 &&
		    (r->what & (RETURN_ALL | RETURN_COUNT | RETURN_PARTIAL)) == 0;
	uint64_t best = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (ends && !((r->what & RETURN_MIN) != 0 && i == 0) && !((r->what & RETURN_MAX) != 0 && i == n - 1))
			continue;
		if (s->view.msg[at[i]].modseq > best)
			best = s->view.msg[at[i]].modseq;
	}
	return best;
}

static void put_extended(struct session *s, const struct search_return *r, const uint32_t *number, uint32_t n)
{
	uint32_t first, count;

	buf_addf(&s->out, "* ESEARCH (TAG \"" SPAN_FMT "\")%s", SPAN_ARG(s->tag), s->by_uid ? " UID" : "");
	if ((r->what & RETURN_MIN) != 0 && n > 0)
		buf_addf(&s->out, " MIN %u", number[0]);
	if ((r->what & RETURN_MAX) != 0 && n > 0)
		buf_addf(&s->out, " MAX %u", number[n - 1]);
	if ((r->what & RETURN_COUNT) != 0)
		buf_addf(&s->out, " COUNT %u", n);
	if ((r->what & RETURN_ALL) != 0 && n > 0) {
		buf_adds(&s->out, " ALL ");
		put_set(s, number, n);
	}
	if ((r->what & RETURN_PARTIAL) != 0) {
		const char *sign = r->partial.tail ? "-" : "";

		partial_cut(&r->partial, n, &first, &count);
		buf_addf(&s->out, " PARTIAL (%s%u:%s%u ", sign, r->partial.lo, sign, r->partial.hi);
		put_set(s, number + first, count);
		buf_addc(&s->out, ')');
	}
}

static int by_number(const void *x, const void *y)
{
	const uint32_t *a = x, *b = y;

	return *a < *b ? -1 : *a > *b;
}

/* RFC 5182 2.1: with MIN and MAX alone it is these two, with PARTIAL (RFC 9394 3.2) what that gives, otherwise everything. */
static void save(struct session *s, const struct search_return *r, const uint32_t *at, uint32_t n)
{
	uint32_t first = 0, count = n, to = 0;

	saved_clear(s);
	if ((r->what & (RETURN_ALL | RETURN_COUNT | RETURN_MIN | RETURN_MAX)) == 0 && (r->what & RETURN_PARTIAL) != 0)
		partial_cut(&r->partial, n, &first, &count);
	if (count == 0)
		return;
	s->saved = mem_realloc_array(NULL, count, sizeof(*s->saved));
	for (uint32_t i = first; i < first + count; i++)
		if ((r->what & (RETURN_ALL | RETURN_COUNT | RETURN_PARTIAL)) != 0 || (r->what & (RETURN_MIN | RETURN_MAX)) == 0 ||
		    ((r->what & RETURN_MIN) != 0 && i == 0) || ((r->what & RETURN_MAX) != 0 && i == n - 1))
			s->saved[to++] = s->view.msg[at[i]].uid;
	qsort(s->saved, to, sizeof(*s->saved), by_number);
	s->nsaved = to;
}

void search_answer(struct session *s, const struct search_return *r, const char *plain, uint32_t *at, uint32_t n)
{
	uint32_t *number = arena_array(&s->arena, n + 1, sizeof(*number));

	for (uint32_t i = 0; i < n; i++)
		number[i] = s->by_uid ? s->view.msg[at[i]].uid : at[i] + 1;
	if ((r->what & RETURN_SAVE) != 0)
		save(s, r, at, n);
	if (r->what == RETURN_SAVE)
		return;
	if (r->extended) {
		put_extended(s, r, number, n);
	} else {
		buf_addf(&s->out, "* %s", plain);
		for (uint32_t i = 0; i < n; i++)
			buf_addf(&s->out, " %u", number[i]);
	}
	if (r->modseq && n > 0)
		buf_addf(&s->out, r->extended ? " MODSEQ %llu" : " (MODSEQ %llu)", (unsigned long long)highest(s, r, at, n));
	buf_adds(&s->out, "\r\n");
	reply_flush(s);
}

/* --- the messages of the last search with SAVE: "$" --------------------------------------------------------------- */

void saved_clear(struct session *s)
{
	free(s->saved);
	s->saved = NULL;
	s->nsaved = 0;
}

void saved_set(struct session *s, struct imap_seqset *set_r)
{
	set_r->range = arena_array(&s->arena, s->nsaved + 1, sizeof(*set_r->range));
	set_r->n = 0;
	for (uint32_t i = 0; i < s->nsaved; i++) {
		struct imap_range *last = set_r->n > 0 ? &set_r->range[set_r->n - 1] : NULL;

		if (last != NULL && last->hi + 1 == s->saved[i])
			last->hi++;
		else
			set_r->range[set_r->n++] = (struct imap_range){ s->saved[i], s->saved[i] };
	}
}
