/* SPDX-License-Identifier: BSD-2-Clause */
/* SORT: RFC 5256 3, RFC 5267 (ESORT), RFC 5957 (SORT=DISPLAY). */
#include <stdlib.h>
#include <string.h>

#include "imapd/sort.h"

enum { CRITERIA_MAX = 32 };

struct criteria {
	struct {
		enum sort_key key;
		bool reverse;
	} by[CRITERIA_MAX];
	size_t n;
	unsigned needs;
};

static bool scan_criterion(struct imap_scan *a, struct criteria *c)
{
	static const char *const names[SORT_KEYS] = { "ARRIVAL", "CC",   "DATE",    "DISPLAYFROM", "DISPLAYTO",
						      "FROM",    "SIZE", "SUBJECT", "TO" };
	struct span word;
	bool reverse = false;

	if (!imap_scan_atom(a, &word))
		return false;
	if (span_iis(word, "REVERSE")) {
		reverse = true;
		if (!imap_scan_sp(a) || !imap_scan_atom(a, &word))
			return false;
	}
	for (int key = 0; key < SORT_KEYS; key++) {
		if (!span_iis(word, names[key]))
			continue;
		if (c->n == CRITERIA_MAX)
			return imap_scan_fail(a, "Too many sort criteria");
		c->by[c->n].key = (enum sort_key)key;
		c->by[c->n++].reverse = reverse;
		c->needs |= 1U << key;
		return true;
	}
	return imap_scan_fail(a, "Unknown sort criterion");
}

static bool scan_criteria(struct imap_scan *a, struct criteria *c)
{
	*c = (struct criteria){ 0 };
	if (!imap_scan_open(a))
		return false;
	do {
		if (!scan_criterion(a, c))
			return false;
	} while (imap_scan_peek(a, ' ') && imap_scan_sp(a));
	return imap_scan_close(a) && imap_scan_sp(a);
}

static int by_text(struct span x, struct span y)
{
	size_t n = x.len < y.len ? x.len : y.len;
	int c = n > 0 ? memcmp(x.ptr, y.ptr, n) : 0;

	return c != 0 ? c : x.len < y.len ? -1 : x.len > y.len;
}

static int by_key(const struct sort_msg *x, const struct sort_msg *y, enum sort_key key)
{
	switch (key) {
	case SORT_ARRIVAL:
		return x->arrival < y->arrival ? -1 : x->arrival > y->arrival;
	case SORT_DATE:
		return x->date < y->date ? -1 : x->date > y->date;
	case SORT_SIZE:
		return x->size < y->size ? -1 : x->size > y->size;
	default:
		return by_text(x->text[key], y->text[key]);
	}
}

/* What is equal keeps the order of the mailbox, also in reverse. */
static int compare(const void *px, const void *py, void *arg)
{
	const struct sort_msg *x = px, *y = py;
	const struct criteria *c = arg;

	for (size_t i = 0; i < c->n; i++) {
		int d = by_key(x, y, c->by[i].key);

		if (d != 0)
			return c->by[i].reverse ? -d : d;
	}
	return x->at < y->at ? -1 : x->at > y->at;
}

void cmd_sort(struct session *s, struct imap_scan *a)
{
	struct search_return r;
	struct criteria c;
	struct search_node *program;
	struct sort_msg *msg;
	struct span charset;
	unsigned bad = s->bad;
	uint32_t *at, n;

	if (!search_return_scan(a, &r) || !scan_criteria(a, &c) || !imap_scan_astring(a, &charset) || !imap_scan_sp(a)) {
		reply_bad(s, a->error);
		return;
	}
	view_refresh(s);
	program = search_parse_charset(s, a, charset);
	if (program == NULL) {
		if ((r.what & RETURN_SAVE) != 0 && s->bad == bad)
			saved_clear(s);
		return;
	}
	r.modseq = search_has_modseq(program);
	at = search_run(s, program, &n);
	msg = sort_load(s, at, n, c.needs, &n);
	if (n > 0)
		qsort_r(msg, n, sizeof(*msg), compare, &c);
	for (uint32_t i = 0; i < n; i++)
		at[i] = msg[i].at;
	search_answer(s, &r, "SORT", at, n);
	reply(s, "OK Sort completed.");
}
