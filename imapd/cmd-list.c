/* SPDX-License-Identifier: BSD-2-Clause */
/* LIST with RFC 5258 (LIST-EXTENDED), 5819 (LIST-STATUS), 6154 (SPECIAL-USE) and 3348 (CHILDREN); LSUB. */
#include <stdlib.h>

#include "imapd/box.h"
#include "imapd/imapd.h"
#include "lib/base/htab.h"
#include "lib/proto/imap_match.h"
#include "lib/proto/imap_utf7.h"

enum { PATTERNS_MAX = 32, SEP = '/' };

enum list_options {
	SELECT_SUBSCRIBED = 1,
	SELECT_REMOTE = 2,
	SELECT_RECURSIVE = 4,
	SELECT_SPECIAL = 8,
	RETURN_SUBSCRIBED = 16,
	RETURN_CHILDREN = 32,
	RETURN_SPECIAL = 64,
	RETURN_STATUS = 128,
};

struct query {
	unsigned options;
	unsigned status_items;
	bool lsub;
	struct span reference;
	struct span pattern[PATTERNS_MAX];
	struct imap_pattern exact[PATTERNS_MAX], folded[PATTERNS_MAX]; /* folded: for INBOX */
	size_t npatterns;
};

/* A name that exists, is subscribed to, or has to be there because of those below it. */
struct entry {
	struct span name;
	const struct store_folder *folder; /* NULL: only a parent */
	bool children;                     /* existing ones */
	bool subscribed_below, special_below;
};

struct entries {
	struct entry *list;
	size_t n, max;
	struct htab by_name;
};

/* --- arguments ---------------------------------------------------------------------------------------------------- */

static bool scan_options(struct imap_scan *a, struct query *l, bool selection)
{
	static const struct {
		const char *name;
		bool selection;
		unsigned bit;
	} known[] = {
		{ "SUBSCRIBED", true, SELECT_SUBSCRIBED },    { "REMOTE", true, SELECT_REMOTE },
		{ "RECURSIVEMATCH", true, SELECT_RECURSIVE }, { "SPECIAL-USE", true, SELECT_SPECIAL },
		{ "SUBSCRIBED", false, RETURN_SUBSCRIBED },   { "CHILDREN", false, RETURN_CHILDREN },
		{ "SPECIAL-USE", false, RETURN_SPECIAL },     { "STATUS", false, RETURN_STATUS },
	};
	struct span word;

	if (!imap_scan_open(a))
		return false;
	while (!imap_scan_peek(a, ')')) {
		unsigned bit = 0;

		if (!imap_scan_atom(a, &word))
			return false;
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			if (known[i].selection == selection && span_iis(word, known[i].name))
				bit = known[i].bit;
		if (bit == 0)
			return imap_scan_fail(a, "Unknown option");
		l->options |= bit;
		if (bit == RETURN_STATUS && (!imap_scan_sp(a) || !status_items_parse(a, &l->status_items)))
			return false;
		if (!imap_scan_peek(a, ')') && !imap_scan_sp(a))
			return false;
	}
	return imap_scan_close(a);
}

static bool add_pattern(struct imap_scan *a, struct query *l)
{
	struct span p;

	if (!imap_scan_pattern(a, &p))
		return false;
	if (l->npatterns == PATTERNS_MAX)
		return imap_scan_fail(a, "Too many patterns");
	l->pattern[l->npatterns++] = p;
	return true;
}

static bool scan_patterns(struct imap_scan *a, struct query *l)
{
	if (!imap_scan_peek(a, '('))
		return add_pattern(a, l);
	if (!imap_scan_open(a))
		return false;
	do {
		if (!add_pattern(a, l))
			return false;
	} while (imap_scan_peek(a, ' ') && imap_scan_sp(a));
	return imap_scan_close(a);
}

static bool scan_list(struct imap_scan *a, struct query *l)
{
	struct span word;

	if (!l->lsub && imap_scan_peek(a, '(') && (!scan_options(a, l, true) || !imap_scan_sp(a)))
		return false;
	if ((l->options & SELECT_RECURSIVE) != 0 && (l->options & (SELECT_SUBSCRIBED | SELECT_SPECIAL)) == 0)
		return imap_scan_fail(a, "RECURSIVEMATCH can't be the only selection");
	if (!imap_scan_pattern(a, &l->reference) || !imap_scan_sp(a) || !scan_patterns(a, l))
		return false;
	if (!l->lsub && imap_scan_skip(a, ' ')) {
		if (!imap_scan_atom(a, &word) || !span_iis(word, "RETURN"))
			return imap_scan_fail(a, "Expected RETURN");
		if (!imap_scan_sp(a) || !scan_options(a, l, false))
			return false;
	}
	return imap_scan_end(a);
}

static bool compile(struct session *s, struct query *l)
{
	for (size_t i = 0; i < l->npatterns; i++) {
		const char *whole =
		    arena_printf(&s->arena, SPAN_FMT SPAN_FMT, SPAN_ARG(l->reference), SPAN_ARG(l->pattern[i]));

		if (!imap_pattern_compile(&s->arena, span_cstr(whole), SEP, false, &l->exact[i]) ||
		    !imap_pattern_compile(&s->arena, span_cstr(whole), SEP, true, &l->folded[i]))
			return false;
	}
	return true;
}

/* --- what there is ------------------------------------------------------------------------------------------------ */

static struct entry *entry_of(struct session *s, struct entries *e, struct span name)
{
	struct entry *found = htab_get(&e->by_name, name);

	if (found != NULL)
		return found;
	/* Entries are pointed to from the table: each is allocated on its own. */
	if (e->n == e->max) {
		struct entry *more = arena_array(&s->arena, 256, sizeof(*more));

		e->list = more;
		e->n = 0;
		e->max = 256;
	}
	found = &e->list[e->n++];
	found->name = name;
	htab_put(&e->by_name, name, found);
	return found;
}

static void add_folder(struct session *s, struct entries *e, const struct store_folder *f)
{
	struct span rest = f->name;
	ptrdiff_t slash;

	entry_of(s, e, f->name)->folder = f;
	while ((slash = span_rchr(rest, SEP)) > 0) {
		struct entry *parent;

		rest = span_head(rest, (size_t)slash);
		parent = entry_of(s, e, rest);
		parent->children |= f->exists;
		parent->subscribed_below |= f->subscribed;
		parent->special_below |= f->special_use != NULL;
	}
}

/* --- what is shown ------------------------------------------------------------------------------------------------ */

static bool matches(const struct session *s, const struct query *l, struct span name)
{
	bool inbox = span_is(name, "INBOX");
	struct buf wire;
	bool yes = false;

	buf_init(&wire, IMAP_PATTERN_MAX * 8);
	if (s->utf8 || !imap_utf7_encode(&wire, name))
		buf_add_span(&wire, name);
	for (size_t i = 0; i < l->npatterns && !yes; i++)
		yes = imap_pattern_match(inbox ? &l->folded[i] : &l->exact[i], buf_span(&wire)) == IMAP_MATCH_YES;
	buf_free(&wire);
	return yes;
}

/* Is it to be shown for itself? */
static bool chosen(const struct query *l, const struct entry *e)
{
	const struct store_folder *f = e->folder;

	if ((l->options & SELECT_SUBSCRIBED) != 0 && (f == NULL || !f->subscribed))
		return false;
	if ((l->options & SELECT_SPECIAL) != 0 && (f == NULL || f->special_use == NULL))
		return false;
	if ((l->options & SELECT_SUBSCRIBED) != 0)
		return true;
	return (f != NULL && f->exists) || e->children;
}

static bool chosen_below(const struct query *l, const struct entry *e)
{
	if ((l->options & SELECT_RECURSIVE) == 0)
		return false;
	return ((l->options & SELECT_SUBSCRIBED) != 0 && e->subscribed_below) ||
	       ((l->options & SELECT_SPECIAL) != 0 && e->special_below);
}

static void put_attribute(struct session *s, const char **gap, const char *name)
{
	buf_adds(&s->out, *gap);
	buf_adds(&s->out, name);
	*gap = " ";
}

static void put_attributes(struct session *s, const struct query *l, const struct entry *e)
{
	const struct store_folder *f = e->folder;
	const char *gap = "";

	if (f == NULL || !f->exists)
		put_attribute(s, &gap, "\\NonExistent");
	if (f == NULL || !f->selectable)
		put_attribute(s, &gap, "\\Noselect");
	if (e->children || (f != NULL && f->has_children))
		put_attribute(s, &gap, "\\HasChildren");
	else
		put_attribute(s, &gap,
			      f != NULL && f->no_inferiors ? "\\NoInferiors \\HasNoChildren" : "\\HasNoChildren");
	if ((l->options & (SELECT_SUBSCRIBED | RETURN_SUBSCRIBED)) != 0 && f != NULL && f->subscribed)
		put_attribute(s, &gap, "\\Subscribed");
	if (f != NULL && f->special_use != NULL)
		put_attribute(s, &gap, f->special_use);
}

static void show(struct session *s, const struct query *l, const struct entry *e, bool below)
{
	buf_adds(&s->out, "* LIST (");
	put_attributes(s, l, e);
	buf_adds(&s->out, ") \"/\" ");
	put_mailbox(s, e->name);
	if (below)
		buf_adds(&s->out, (l->options & SELECT_SUBSCRIBED) != 0 ? " (\"CHILDINFO\" (\"SUBSCRIBED\"))"
									: " (\"CHILDINFO\" (\"SPECIAL-USE\"))");
	buf_adds(&s->out, "\r\n");
	reply_flush(s);
	if (l->status_items != 0 && e->folder != NULL && e->folder->selectable && e->folder->exists)
		(void)status_send(s, e->name, l->status_items);
}

static void show_lsub(struct session *s, const struct query *l, const struct entry *e)
{
	const struct store_folder *f = e->folder;
	bool subscribed = f != NULL && f->subscribed, percent = false;

	for (size_t i = 0; i < l->npatterns; i++)
		percent |= span_chr(l->pattern[i], '%') >= 0;
	if (!subscribed && !(percent && e->subscribed_below))
		return;
	buf_adds(&s->out, subscribed ? "* LSUB () \"/\" " : "* LSUB (\\Noselect) \"/\" ");
	put_mailbox(s, e->name);
	buf_adds(&s->out, "\r\n");
	reply_flush(s);
}

static void show_entry(struct session *s, const struct query *l, const struct entry *e)
{
	bool self, below;

	if (!matches(s, l, e->name))
		return;
	if (l->lsub) {
		show_lsub(s, l, e);
		return;
	}
	self = chosen(l, e);
	below = chosen_below(l, e);
	if (self || below)
		show(s, l, e, below);
}

static int by_name(const void *x, const void *y)
{
	const struct entry *const *a = x, *const *b = y;

	return span_cmp((*a)->name, (*b)->name);
}

struct gathering {
	const struct entry **list;
	size_t n;
};

static void gather(struct span key, void *value, void *arg)
{
	struct gathering *g = arg;

	(void)key;
	g->list[g->n++] = value;
}

static enum store_status show_all(struct session *s, const struct query *l)
{
	struct entries e = { .by_name = HTAB_INIT };
	struct store_folder *folders;
	struct gathering g = { 0 };
	size_t n = 0;
	enum store_status st = store_list(store_lock(), &s->arena, &folders, &n);

	store_unlock();
	if (st != STORE_OK)
		return st;
	for (size_t i = 0; i < n; i++)
		add_folder(s, &e, &folders[i]);
	g.list = arena_array(&s->arena, e.by_name.count + 1, sizeof(*g.list));
	htab_each(&e.by_name, gather, &g);
	qsort(g.list, g.n, sizeof(*g.list), by_name);
	for (size_t i = 0; i < g.n; i++)
		show_entry(s, l, g.list[i]);
	htab_free(&e.by_name);
	return STORE_OK;
}

void list_send_one(struct session *s, struct span name)
{
	const struct query l = { 0 };
	struct store_folder *folders;
	size_t n = 0;
	enum store_status st = store_list(store_lock(), &s->arena, &folders, &n);

	store_unlock();
	for (size_t i = 0; st == STORE_OK && i < n; i++)
		if (span_eq(folders[i].name, name))
			show(s, &l, &(struct entry){ .name = name, .folder = &folders[i] }, false);
}

static void list(struct session *s, struct imap_scan *a, bool lsub)
{
	struct query *l = arena_alloc(&s->arena, sizeof(*l));
	const char *done = lsub ? "Lsub completed." : "List completed.";

	l->lsub = lsub;
	if (!scan_list(a, l)) {
		reply_bad(s, a->error);
		return;
	}
	if (l->npatterns == 1 && l->pattern[0].len == 0) {
		stream_printf(s->io, "* %s (\\Noselect) \"/\" \"\"\r\n", lsub ? "LSUB" : "LIST");
		reply(s, "OK %s", done);
		return;
	}
	if (!compile(s, l)) {
		reply(s, "NO [CANNOT] Pattern is too long");
		return;
	}
	reply_status(s, show_all(s, l), done);
}

void cmd_list(struct session *s, struct imap_scan *a)
{
	list(s, a, false);
}

void cmd_lsub(struct session *s, struct imap_scan *a)
{
	list(s, a, true);
}
