/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/imap_thread.h"

#include <stdlib.h>
#include <string.h>

/* A message, or (msg NULL) what stands for one that is not here. */
struct node {
	struct node *parent, *child, *tail, *next;
	const struct thread_msg *msg;
	uint32_t kids;    /* nodes that have this parent, while links are made */
	uint32_t subject; /* number of the subject; 0: empty */
	int64_t date;
	uint32_t number;
};

struct threads {
	struct arena *a;
	const struct thread_msg *msg;
	size_t n;
	struct node *root; /* its children are the threads */
	struct node *node; /* all others */
	size_t nnodes;
	struct node **by_subject; /* REFERENCES: index is the number of the subject */
};

/* --- equal texts get equal numbers, from 1 ------------------------------------------------------------------------- */

struct name {
	struct span text;
	uint32_t *number;
};

static int by_text(const void *px, const void *py)
{
	const struct name *x = px, *y = py;
	size_t n = x->text.len < y->text.len ? x->text.len : y->text.len;
	int c = n > 0 ? memcmp(x->text.ptr, y->text.ptr, n) : 0;

	if (c != 0)
		return c;
	return x->text.len < y->text.len ? -1 : x->text.len > y->text.len;
}

static uint32_t number_names(struct name *v, size_t n)
{
	uint32_t k = 0;

	if (n > 0)
		qsort(v, n, sizeof(*v), by_text);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || by_text(&v[i - 1], &v[i]) != 0)
			k++;
		*v[i].number = k;
	}
	return k;
}

/* --- links by reference (RFC 5256 step 1) -------------------------------------------------------------------------- */

static bool would_loop(const struct node *child, const struct node *parent)
{
	int depth = 0;

	if (child == parent)
		return true;
	if (child->kids == 0)
		return false;
	for (; parent != NULL && depth < THREAD_DEPTH_MAX; depth++, parent = parent->parent)
		if (parent == child)
			return true;
	return parent != NULL;
}

static void link_to(struct node *child, struct node *parent)
{
	if (child->parent == parent || (parent != NULL && would_loop(child, parent)))
		return;
	if (child->parent != NULL)
		child->parent->kids--;
	child->parent = parent;
	if (parent != NULL)
		parent->kids++;
}

static void link_message(struct threads *t, const struct thread_msg *m, uint32_t id, const uint32_t *refs)
{
	struct node *last = NULL, *self = id > 0 ? &t->node[id - 1] : NULL;

	for (size_t i = 0; i < m->nrefs; i++) {
		struct node *ref = &t->node[refs[i] - 1];

		if (last != NULL && ref->parent == NULL)
			link_to(ref, last);
		last = ref;
	}
	if (self == NULL || self->msg != NULL)
		self = &t->node[t->nnodes++]; /* no id of its own */
	self->msg = m;
	link_to(self, last);
}

/* A node for each id that is or is referred to, and one for each message without. */
static void link_all(struct threads *t)
{
	size_t total = 0, k = 0, r = 0;
	uint32_t *ids = arena_array(t->a, t->n + 1, sizeof(*ids)), *refs;
	struct name *names;

	for (size_t i = 0; i < t->n; i++)
		total += t->msg[i].nrefs;
	refs = arena_array(t->a, total + 1, sizeof(*refs));
	names = arena_array(t->a, total + t->n + 1, sizeof(*names));
	for (size_t i = 0; i < t->n; i++) {
		if (t->msg[i].id.len > 0)
			names[k++] = (struct name){ t->msg[i].id, &ids[i] };
		for (size_t j = 0; j < t->msg[i].nrefs; j++)
			names[k++] = (struct name){ t->msg[i].refs[j], &refs[r++] };
	}
	t->nnodes = number_names(names, k);
	t->node = arena_array(t->a, t->nnodes + t->n + 1, sizeof(*t->node));
	r = 0;
	for (size_t i = 0; i < t->n; i++) {
		link_message(t, &t->msg[i], ids[i], refs + r);
		r += t->msg[i].nrefs;
	}
}

/* --- trees --------------------------------------------------------------------------------------------------------- */

static void append(struct node *parent, struct node *first, struct node *last)
{
	if (first == NULL)
		return;
	if (parent->child == NULL)
		parent->child = first;
	else
		parent->tail->next = first;
	parent->tail = last;
	last->next = NULL;
}

/* Children of nodes that stand for nothing take their place; at the top only an only child does (step 3). */
static void replace_empty(const struct threads *t, struct node *p)
{
	struct node *c = p->child, *next;

	p->child = p->tail = NULL;
	for (; c != NULL; c = next) {
		next = c->next;
		if (c->msg != NULL || (p == t->root && c->child != c->tail))
			append(p, c, c);
		else
			append(p, c->child, c->tail);
	}
}

/* The node after n: children before what comes after their parent. */
static struct node *after(struct node *n)
{
	if (n->child != NULL)
		return n->child;
	while (n != NULL && n->next == NULL)
		n = n->parent;
	return n != NULL ? n->next : NULL;
}

static void set_parents(struct threads *t)
{
	for (struct node *n = t->root; n != NULL; n = after(n))
		for (struct node *c = n->child; c != NULL; c = c->next)
			c->parent = n;
}

static void make_trees(struct threads *t)
{
	struct node **order = arena_array(t->a, t->nnodes + 1, sizeof(*order));
	size_t k = 0;

	for (size_t i = 0; i < t->nnodes; i++) {
		struct node *n = &t->node[i];

		if (n->parent == NULL)
			n->parent = t->root;
		append(n->parent, n, n);
	}
	for (struct node *n = t->root; n != NULL; n = after(n))
		order[k++] = n;
	while (k > 0)
		replace_empty(t, order[--k]);
	set_parents(t);
}

/* --- order --------------------------------------------------------------------------------------------------------- */

static int by_date(const void *px, const void *py)
{
	const struct node *x = *(struct node *const *)px, *y = *(struct node *const *)py;

	if (x->date != y->date)
		return x->date < y->date ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static void sort_children(struct node *p, struct node **v)
{
	size_t n = 0;

	for (struct node *c = p->child; c != NULL; c = c->next)
		v[n++] = c;
	if (n < 2)
		return;
	qsort(v, n, sizeof(struct node *), by_date);
	p->child = NULL;
	for (size_t i = 0; i < n; i++)
		append(p, v[i], v[i]);
}

/* Below the top every node is a message; at the top one that is not has the date of its first child (steps 4, 6). */
static void sort_all(struct threads *t)
{
	struct node **v = arena_array(t->a, t->nnodes + t->n + 1, sizeof(*v));

	for (struct node *n = after(t->root); n != NULL; n = after(n))
		if (n->msg != NULL)
			n->date = n->msg->date, n->number = n->msg->number;
	for (struct node *n = after(t->root); n != NULL; n = after(n)) {
		sort_children(n, v);
		if (n->msg == NULL)
			n->date = n->child->date, n->number = n->child->number;
	}
	sort_children(t->root, v);
}

/* REFS: a thread is as new as the newest message in it. */
static void sort_by_arrival(struct threads *t)
{
	struct node **v = arena_array(t->a, t->nnodes + 1, sizeof(*v)), *top = NULL;

	for (struct node *n = after(t->root); n != NULL; n = after(n)) {
		if (n->parent == t->root) {
			top = n;
			top->date = INT64_MIN;
		}
		if (n->msg != NULL && n->msg->arrival > top->date)
			top->date = n->msg->arrival;
	}
	sort_children(t->root, v);
}

/* --- threads of one subject (step 5) ------------------------------------------------------------------------------- */

static const struct thread_msg *first_of(const struct node *n)
{
	return n->msg != NULL ? n->msg : n->child->msg;
}

static void number_subjects(struct threads *t)
{
	size_t k = 0;
	struct name *names = arena_array(t->a, t->n + 1, sizeof(*names));
	uint32_t count;

	for (struct node *n = t->root->child; n != NULL; n = n->next)
		if (first_of(n)->subject.len > 0)
			names[k++] = (struct name){ first_of(n)->subject, &n->subject };
	count = number_names(names, k);
	t->by_subject = arena_array(t->a, count + 1, sizeof(*t->by_subject));
}

/* The one that others of its subject go below: a placeholder before a message, an original before a reply. */
static void choose(struct threads *t, struct node *n)
{
	struct node **best = &t->by_subject[n->subject];

	if (n->subject == 0)
		return;
	if (*best == NULL || ((*best)->msg != NULL && (n->msg == NULL || ((*best)->msg->reply && !n->msg->reply))))
		*best = n;
}

/* n, which is on no list now, goes to where its subject is. */
static void merge(struct threads *t, struct node *n, struct node *spare)
{
	struct node *best = n->subject > 0 ? t->by_subject[n->subject] : n, *old;

	if (best == n) {
		append(t->root, n, n);
	} else if (best->msg == NULL && n->msg == NULL) {
		append(best, n->child, n->tail);
	} else if (best->msg == NULL || (n->msg != NULL && n->msg->reply && !best->msg->reply)) {
		append(best, n, n);
	} else {
		/* a placeholder takes best's place on its list by taking over its node */
		old = spare;
		*old = *best;
		*best = (struct node){ .next = old->next, .subject = old->subject };
		append(best, old, old);
		append(best, n, n);
	}
}

/* by_subject may be met later than those that go below it: nodes keep their addresses, so that does not matter. */
static void merge_subjects(struct threads *t)
{
	struct node *n, *next, *spare = arena_array(t->a, t->n + 1, sizeof(*spare));

	number_subjects(t);
	for (n = t->root->child; n != NULL; n = n->next)
		choose(t, n);
	n = t->root->child;
	t->root->child = t->root->tail = NULL;
	for (; n != NULL; n = next, spare++) {
		next = n->next;
		merge(t, n, spare);
	}
	set_parents(t);
}

/* --- ORDEREDSUBJECT ------------------------------------------------------------------------------------------------ */

static void order_by_subject(struct threads *t)
{
	struct name *names = arena_array(t->a, t->n + 1, sizeof(*names));
	struct node **v = arena_array(t->a, t->n + 1, sizeof(*v));

	t->node = arena_array(t->a, t->n + 1, sizeof(*t->node));
	t->nnodes = t->n;
	for (size_t i = 0; i < t->n; i++) {
		t->node[i] = (struct node){ .msg = &t->msg[i], .date = t->msg[i].date, .number = t->msg[i].number };
		names[i] = (struct name){ t->msg[i].subject, &t->node[i].subject };
		v[i] = &t->node[i];
	}
	t->by_subject = arena_array(t->a, number_names(names, t->n) + 1, sizeof(*t->by_subject));
	if (t->n > 0)
		qsort(v, t->n, sizeof(*v), by_date);
	for (size_t i = 0; i < t->n; i++) {
		struct node **first = &t->by_subject[v[i]->subject];

		append(*first != NULL ? *first : t->root, v[i], v[i]);
		if (*first == NULL)
			*first = v[i];
	}
	set_parents(t);
}

/* --- out ----------------------------------------------------------------------------------------------------------- */

static bool only_child(const struct threads *t, const struct node *n)
{
	return n->parent != t->root && n->parent->child == n && n->next == NULL;
}

static void write_threads(const struct threads *t, struct buf *out)
{
	for (struct node *n = t->root->child, *next; n != NULL; n = next) {
		if (only_child(t, n))
			buf_addc(out, ' ');
		else
			buf_addc(out, '(');
		if (n->msg != NULL)
			buf_addf(out, "%u", n->msg->number);
		if (n->msg != NULL && n->child != NULL && n->child->next != NULL)
			buf_addc(out, ' ');
		next = n->child;
		for (; next == NULL && n != t->root; n = n->parent) {
			if (!only_child(t, n))
				buf_addc(out, ')');
			next = n->next;
		}
	}
}

void imap_thread(struct arena *a, enum thread_algorithm how, const struct thread_msg *msg, size_t n, struct buf *out)
{
	struct node root = { 0 };
	struct threads t = { .a = a, .msg = msg, .n = n, .root = &root };

	if (how == THREAD_ORDEREDSUBJECT) {
		order_by_subject(&t);
		write_threads(&t, out);
		return;
	}
	link_all(&t);
	make_trees(&t);
	sort_all(&t);
	if (how == THREAD_REFERENCES) {
		merge_subjects(&t);
		sort_all(&t);
	} else {
		sort_by_arrival(&t);
	}
	write_threads(&t, out);
}

/* --- ids ----------------------------------------------------------------------------------------------------------- */

size_t imap_thread_ids(struct arena *a, struct span field, size_t max, struct span **ids_r)
{
	size_t n = 0, room = 1;
	struct span *ids;

	for (size_t i = 0; i < field.len && room < max; i++)
		room += field.ptr[i] == '<';
	max = room;
	ids = arena_array(a, max, sizeof(*ids));

	for (ptrdiff_t lt; (lt = span_chr(field, '<')) >= 0;) {
		ptrdiff_t gt;
		struct span id;

		field = span_skip(field, (size_t)lt + 1);
		gt = span_chr(field, '>');
		if (gt < 0)
			break;
		id = span_trim(span_head(field, (size_t)gt));
		field = span_skip(field, (size_t)gt + 1);
		if (id.len == 0 || span_chr(id, '@') < 0)
			continue;
		if (n == max)
			memmove(ids, ids + 1, (--n) * sizeof(*ids));
		ids[n++] = arena_span(a, id);
	}
	*ids_r = ids;
	return n;
}
