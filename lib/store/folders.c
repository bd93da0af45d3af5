/* SPDX-License-Identifier: BSD-2-Clause */
/* LIST, CREATE, DELETE, RENAME: what both layouts have in common. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/folders.h"

enum { FOLDERS_MAX = 200000 };

struct store_folder *folder_list_add(struct folder_list *l, struct span name)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct store_folder *v = arena_array(l->a, cap, sizeof *v);

		if (l->n > 0)
			memcpy(v, l->v, l->n * sizeof *v);
		l->v = v;
		l->cap = cap;
	}
	if (l->n == FOLDERS_MAX)
		l->n--;
	l->v[l->n] = (struct store_folder){ .name = name, .exists = true, .selectable = true };
	return &l->v[l->n++];
}

/* A parent comes right before its children: the separator sorts before every other byte. INBOX is first. */
static int compare(const void *pa, const void *pb)
{
	const struct store_folder *a = pa, *b = pb;
	size_t n = a->name.len < b->name.len ? a->name.len : b->name.len;
	bool a_in = names_is_inbox(a->name), b_in = names_is_inbox(b->name);

	if (a_in != b_in)
		return a_in ? -1 : 1;
	for (size_t i = 0; i < n; i++) {
		int x = a->name.ptr[i] == '/' ? 0 : (unsigned char)a->name.ptr[i];
		int y = b->name.ptr[i] == '/' ? 0 : (unsigned char)b->name.ptr[i];

		if (x != y)
			return x - y;
	}
	return a->name.len < b->name.len ? -1 : a->name.len > b->name.len;
}

/* One entry per name: what exists wins, the subscription is added to it. */
static void unite(struct folder_list *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct store_folder *f = &l->v[i], *last = kept > 0 ? &l->v[kept - 1] : NULL;

		if (last == NULL || !span_eq(last->name, f->name)) {
			l->v[kept++] = *f;
			continue;
		}
		last->subscribed |= f->subscribed;
		if (f->exists && (!last->exists || (!last->selectable && f->selectable))) {
			bool subscribed = last->subscribed;

			*last = *f;
			last->subscribed = subscribed;
		}
	}
	l->n = kept;
}

static bool is_child(struct span child, struct span parent)
{
	return child.len > parent.len && child.ptr[parent.len] == '/' && span_eq(span_head(child, parent.len), parent);
}

/* Levels that exist only because something is below them. */
static void add_parents(struct folder_list *l)
{
	size_t n = l->n;

	for (size_t i = 0; i < n; i++) {
		struct span name = l->v[i].name;

		if (!l->v[i].exists)
			continue;
		for (ptrdiff_t slash; (slash = span_rchr(name, '/')) > 0;) {
			name = span_head(name, (size_t)slash);
			folder_list_add(l, name)->selectable = false;
		}
	}
}

static void find_children(struct folder_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		size_t j = i + 1;

		if (!names_is_inbox(l->v[i].name)) {
			while (j < l->n && is_child(l->v[j].name, l->v[i].name) && !l->v[j].exists)
				j++;
			l->v[i].has_children = j < l->n && is_child(l->v[j].name, l->v[i].name);
			continue;
		}
		for (; j < l->n; j++)
			l->v[i].has_children |= l->v[j].exists && is_child(l->v[j].name, l->v[i].name);
	}
}

static void mark_special(struct folder_list *l)
{
	static const struct {
		const char *name, *use;
	} special[] = { { "Drafts", "\\Drafts" },      { "Sent", "\\Sent" },           { "Sent Items", "\\Sent" },
			{ "Sent Messages", "\\Sent" }, { "Junk", "\\Junk" },           { "Spam", "\\Junk" },
			{ "Trash", "\\Trash" },        { "Deleted Items", "\\Trash" }, { "Archive", "\\Archive" },
			{ "Archives", "\\Archive" } };
	const char *taken = "";

	/* the first name of each use that exists has it */
	for (size_t s = 0; s < sizeof special / sizeof *special; s++)
		for (size_t i = 0; i < l->n && strcmp(taken, special[s].use) != 0; i++)
			if (l->v[i].exists && l->v[i].selectable && span_is(l->v[i].name, special[s].name)) {
				l->v[i].special_use = special[s].use;
				taken = special[s].use;
			}
}

static void sort(struct folder_list *l)
{
	if (l->n > 0)
		qsort(l->v, l->n, sizeof *l->v, compare);
	unite(l);
}

enum store_status store_list(struct store *s, struct arena *a, struct store_folder **list_r, size_t *n_r)
{
	struct folder_list l = { .a = a };
	struct span *subs;
	size_t nsubs = 0;
	enum store_status st;

	folder_list_add(&l, SPAN("INBOX"));
	st = s->kind == STORE_MBOX ? mbox_list(s, &l) : maildir_list(s, &l);
	if (st == STORE_OK)
		st = subscriptions_read(s, a, &subs, &nsubs);
	for (size_t i = 0; st == STORE_OK && i < nsubs; i++) {
		struct store_folder *f = folder_list_add(&l, subs[i]);

		f->exists = f->selectable = false;
		f->subscribed = true;
	}
	add_parents(&l);
	sort(&l);
	find_children(&l);
	mark_special(&l);
	*list_r = l.v;
	*n_r = l.n;
	return st;
}

enum store_status store_exists(struct store *s, struct span name, bool *selectable_r)
{
	struct arena a = ARENA_INIT;
	char *rel = folder_path(s, &a, name);
	enum store_status st = STORE_BADNAME;

	if (names_is_inbox(name)) {
		*selectable_r = true;
		st = STORE_OK;
	} else if (rel != NULL) {
		st = s->kind == STORE_MBOX ? mbox_exists(s, rel, selectable_r) : maildir_exists(s, rel, selectable_r);
	}
	arena_free(&a);
	return st;
}

enum store_status folder_named(struct store *s, struct span name, struct folder **f_r)
{
	struct arena a = ARENA_INIT;
	struct span normal;
	enum store_status st = STORE_BADNAME;
	bool selectable = false;

	if (names_normal(&a, name, &normal))
		st = store_exists(s, normal, &selectable);
	if (st == STORE_OK && !selectable)
		st = STORE_NOTFOUND;
	if (st == STORE_OK)
		*f_r = folder_get(s, normal);
	arena_free(&a);
	return st;
}

enum store_status store_create(struct store *s, struct span name)
{
	struct arena a = ARENA_INIT;
	struct span normal;
	enum store_status st = STORE_BADNAME;
	char *rel;

	if (names_normal(&a, name, &normal) && (rel = folder_path(s, &a, normal)) != NULL) {
		if (names_is_inbox(normal))
			st = STORE_EXISTS;
		else
			st = s->kind == STORE_MBOX ? mbox_create(s, normal, rel, span_ends(name, "/")) : maildir_create(s, rel);
	}
	arena_free(&a);
	return st;
}

enum store_status store_delete(struct store *s, struct span name)
{
	struct arena a = ARENA_INIT;
	struct span normal;
	enum store_status st = STORE_BADNAME;
	char *rel;

	if (names_normal(&a, name, &normal) && (rel = folder_path(s, &a, normal)) != NULL) {
		if (names_is_inbox(normal))
			st = STORE_REFUSED;
		else
			st = s->kind == STORE_MBOX ? mbox_delete(s, normal, rel) : maildir_delete(s, normal, rel);
		if (st == STORE_OK)
			folder_forget(s, normal);
	}
	arena_free(&a);
	return st;
}

/* --- RENAME INBOX: its messages move, it stays -------------------------------------------------------------------- */

static enum store_status copy_message(struct mailbox *mb, uint32_t seq, struct store_append *ap)
{
	const struct store_msg *m = mailbox_msg(mb, seq);
	struct span keywords[STORE_KEYWORDS_MAX];
	struct store_view view;
	size_t n = 0;
	enum store_status st = mailbox_view(mb, seq, &view);

	if (st != STORE_OK)
		return st == STORE_EXPUNGED ? STORE_OK : st;
	for (unsigned i = 0; i < STORE_KEYWORDS_MAX; i++)
		if (m->keywords & UINT64_C(1) << i)
			keywords[n++] = span_cstr(mailbox_keyword(mb, i));
	st = store_append_message(ap, m->flags, keywords, n, m->internal_date, m->zone_minutes);
	if (st == STORE_OK)
		st = store_append_write(ap, view.raw);
	store_view_done(&view);
	return st;
}

static bool all_of_them(uint32_t seq, const struct store_msg *m, void *arg)
{
	(void)m;
	return seq <= *(uint32_t *)arg;
}

static enum store_status move_inbox(struct store *s, struct span to)
{
	struct arena a = ARENA_INIT;
	struct mailbox *mb;
	struct store_append *ap;
	uint32_t n, validity, *uids;
	size_t nuids;
	enum store_status st = store_select(s, SPAN("INBOX"), false, &mb);

	if (st != STORE_OK)
		return st;
	n = mailbox_count(mb);
	st = store_append_begin(s, to, &ap);
	if (st == STORE_OK) {
		for (uint32_t seq = 1; seq <= n && st == STORE_OK; seq++)
			st = copy_message(mb, seq, ap);
		if (st == STORE_OK)
			st = store_append_commit(ap, &a, &validity, &uids, &nuids);
		else
			store_append_abort(ap);
	}
	if (st == STORE_OK && n > 0)
		st = mailbox_expunge(mb, all_of_them, &n, NULL);
	mailbox_close(mb);
	arena_free(&a);
	return st;
}

static enum store_status rename_normal(struct store *s, struct arena *a, struct span from, struct span to)
{
	char *from_rel = folder_path(s, a, from), *to_rel = folder_path(s, a, to);
	bool selectable;
	enum store_status st;

	if (from_rel == NULL || to_rel == NULL)
		return STORE_BADNAME;
	if (names_is_inbox(to) || span_eq(from, to))
		return STORE_EXISTS;
	st = store_exists(s, from, &selectable);
	if (st != STORE_OK)
		return st;
	if (names_is_inbox(from)) {
		st = store_create(s, to);
		return st == STORE_OK ? move_inbox(s, to) : st;
	}
	if (store_exists(s, to, &selectable) == STORE_OK)
		return STORE_EXISTS;
	if (is_child(to, from))
		return STORE_REFUSED;
	st = s->kind == STORE_MBOX ? mbox_rename(s, from, from_rel, to_rel) : maildir_rename(s, from_rel, to_rel);
	if (st == STORE_OK)
		folder_forget(s, from);
	return st;
}

enum store_status store_rename(struct store *s, struct span from, struct span to)
{
	struct arena a = ARENA_INIT;
	struct span f, t;
	enum store_status st = STORE_BADNAME;

	if (names_normal(&a, from, &f) && names_normal(&a, to, &t))
		st = rename_normal(s, &a, f, t);
	arena_free(&a);
	return st;
}
