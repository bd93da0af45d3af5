/* SPDX-License-Identifier: BSD-2-Clause */
/* One session's view of a folder: sequence numbers, and what was told about each message. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/crlf.h"
#include "lib/base/mem.h"
#include "lib/base/pack.h"
#include "lib/store/cache.h"
#include "lib/store/index.h"
#include "lib/store/view.h"

enum { READ_ATTEMPTS = 4, ITEMS_MAX = 256 * 1024 };
static const size_t MESSAGE_MAX = (size_t)1 << 31;

static struct vmsg *view_add(struct mailbox *mb)
{
	if (mb->n == mb->cap) {
		mb->cap = mb->cap ? mb->cap * 2 : 64;
		mb->v = mem_realloc_array(mb->v, mb->cap, sizeof *mb->v);
	}
	return &mb->v[mb->n++];
}

/* A message new to the view. It is recent for the first session that may say so. */
static void view_new(struct mailbox *mb, struct rec *r)
{
	struct vmsg *v = view_add(mb);

	*v = (struct vmsg){ .m = r->m };
	if (r->old)
		return;
	v->m.flags |= STORE_RECENT;
	if (mb->read_only)
		return;
	r->old = true;
	r->dirty |= DIRTY_OLD;
	mb->told_recent = true;
}

static void view_changed(struct mailbox *mb, size_t i, const struct rec *r, const struct mailbox_events *ev)
{
	struct vmsg *v = &mb->v[i];
	uint32_t recent = v->m.flags & STORE_RECENT;
	bool changed = (v->m.flags & ~(uint32_t)STORE_RECENT) != r->m.flags || v->m.keywords != r->m.keywords;

	v->m = r->m;
	v->m.flags |= recent;
	if (changed && ev != NULL && ev->changed != NULL)
		ev->changed((uint32_t)i + 1, ev->arg);
}

/* Both lists ascend by UID. */
static void view_merge(struct mailbox *mb, const struct mailbox_events *ev)
{
	struct folder *f = mb->f;
	size_t n = mb->n, j = 0;

	if (mb->uidvalidity != f->uidvalidity)
		for (size_t i = 0; i < n; i++)
			mb->v[i].gone = true;
	mb->uidvalidity = f->uidvalidity;
	for (size_t i = 0; i < n; i++) {
		if (mb->v[i].gone)
			continue;
		while (j < f->n && f->recs[j].m.uid < mb->v[i].m.uid)
			j++;
		if (j == f->n || f->recs[j].m.uid != mb->v[i].m.uid)
			mb->v[i].gone = true;
		else
			view_changed(mb, i, &f->recs[j++], ev);
	}
	for (; j < f->n; j++)
		if (mb->n == 0 || f->recs[j].m.uid > mb->last_uid)
			view_new(mb, &f->recs[j]);
	if (f->n > 0 && f->recs[f->n - 1].m.uid > mb->last_uid)
		mb->last_uid = f->recs[f->n - 1].m.uid;
	if (mb->told_recent)
		f->ops->told(f);
	mb->told_recent = false;
	mb->uidnext = f->uidnext;
	mb->modseq = f->modseq;
	mb->generation = f->generation;
}

static void tell_gone(struct mailbox *mb, const struct mailbox_events *ev)
{
	size_t kept = 0;

	for (size_t i = mb->n; i-- > 0;)
		if (mb->v[i].gone && ev != NULL && ev->gone != NULL)
			ev->gone((uint32_t)i + 1, mb->v[i].m.uid, ev->arg);
	for (size_t i = 0; i < mb->n; i++)
		if (!mb->v[i].gone)
			mb->v[kept++] = mb->v[i];
	mb->n = kept;
}

/* Under the folder's mutex. */
static void view_update(struct mailbox *mb, bool may_expunge, const struct mailbox_events *ev)
{
	if (mb->generation != mb->f->generation || mb->uidvalidity != mb->f->uidvalidity)
		view_merge(mb, ev);
	if (may_expunge)
		tell_gone(mb, ev);
}

enum store_status store_select(struct store *s, struct span name, bool read_only, struct mailbox **mb_r)
{
	struct mailbox *mb;
	struct folder *f;
	enum store_status st = folder_named(s, name, &f);

	if (st != STORE_OK)
		return st;
	mb = mem_zalloc(sizeof *mb);
	mb->f = f;
	mb->read_only = read_only;
	mb->watch_fd = -1;
	st = mailbox_sync(mb, true, NULL);
	pthread_mutex_lock(&mb->f->mu);
	mb->read_only |= st == STORE_OK && mb->f->unwritable;
	pthread_mutex_unlock(&mb->f->mu);
	if (st == STORE_OK) {
		*mb_r = mb;
		return st;
	}
	mb->read_only = true;
	mailbox_close(mb);
	return st;
}

void mailbox_close(struct mailbox *mb)
{
	pthread_mutex_lock(&mb->f->mu);
	if (!mb->read_only && mb->f->ops->flush(mb->f, false) != STORE_OK)
		mb->generation = 0; /* logged; nobody is left to be told */
	index_save(mb->f);
	pthread_mutex_unlock(&mb->f->mu);
	folder_put(mb->f);
	if (mb->watch_fd >= 0)
		close(mb->watch_fd);
	free(mb->v);
	free(mb);
}

enum store_status mailbox_sync(struct mailbox *mb, bool may_expunge, const struct mailbox_events *ev)
{
	enum store_status s;

	pthread_mutex_lock(&mb->f->mu);
	s = mb->f->ops->refresh(mb->f);
	if (s == STORE_OK)
		view_update(mb, may_expunge, ev);
	pthread_mutex_unlock(&mb->f->mu);
	return s;
}

uint32_t mailbox_count(const struct mailbox *mb)
{
	return (uint32_t)mb->n;
}

uint32_t mailbox_uidvalidity(const struct mailbox *mb)
{
	return mb->uidvalidity;
}

uint32_t mailbox_uidnext(const struct mailbox *mb)
{
	return mb->uidnext;
}

uint64_t mailbox_modseq(const struct mailbox *mb)
{
	return mb->modseq > 0 ? mb->modseq : 1;
}

/* Under the folder's mutex. */
static struct span id_of(const struct folder *f, struct arena *a)
{
	struct span guid = f->ops->guid ? f->ops->guid(f, a) : SPAN_NONE;

	return span_cstr(arena_printf(a, "M%08x" SPAN_FMT, f->uidvalidity, SPAN_ARG(guid)));
}

struct span mailbox_id(struct mailbox *mb, struct arena *a)
{
	struct span id;

	pthread_mutex_lock(&mb->f->mu);
	id = id_of(mb->f, a);
	pthread_mutex_unlock(&mb->f->mu);
	return id;
}

enum store_status store_id_of(struct store *s, struct span name, struct arena *a, struct span *id_r)
{
	struct folder *f;
	enum store_status st = folder_named(s, name, &f);

	if (st != STORE_OK)
		return st;
	pthread_mutex_lock(&f->mu);
	st = f->ops->refresh(f);
	if (st == STORE_OK)
		*id_r = id_of(f, a);
	pthread_mutex_unlock(&f->mu);
	folder_put(f);
	return st;
}

bool mailbox_read_only(const struct mailbox *mb)
{
	return mb->read_only;
}

bool mailbox_keywords_full(const struct mailbox *mb)
{
	bool full;

	pthread_mutex_lock(&mb->f->mu);
	full = mb->f->nkeywords >= mb->f->keywords_max;
	pthread_mutex_unlock(&mb->f->mu);
	return full;
}

const struct store_msg *mailbox_msg(struct mailbox *mb, uint32_t seq)
{
	return seq >= 1 && seq <= mb->n ? &mb->v[seq - 1].m : NULL;
}

uint32_t mailbox_seq_of_uid(const struct mailbox *mb, uint32_t uid)
{
	size_t low = 0, high = mb->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (mb->v[mid].m.uid < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return (uint32_t)low + 1;
}

const char *mailbox_keyword(const struct mailbox *mb, unsigned bit)
{
	const char *k;

	pthread_mutex_lock(&mb->f->mu);
	k = bit < mb->f->nkeywords ? mb->f->keywords[bit] : NULL; /* keywords never go away while the folder is open */
	pthread_mutex_unlock(&mb->f->mu);
	return k;
}

int mailbox_keyword_bit(struct mailbox *mb, struct span keyword, bool add)
{
	int bit;

	pthread_mutex_lock(&mb->f->mu);
	bit = folder_keyword(mb->f, keyword, add);
	pthread_mutex_unlock(&mb->f->mu);
	return bit;
}

/* The record behind a sequence number, under the mutex; NULL when the message is gone. */
static struct rec *rec_of(struct mailbox *mb, uint32_t seq)
{
	if (seq < 1 || seq > mb->n || mb->v[seq - 1].gone || mb->uidvalidity != mb->f->uidvalidity)
		return NULL;
	return folder_find(mb->f, mb->v[seq - 1].m.uid);
}

enum store_status mailbox_size(struct mailbox *mb, uint32_t seq, uint64_t *size_r)
{
	enum store_status s = STORE_EXPUNGED;
	struct rec *r;

	if (seq >= 1 && seq <= mb->n && mb->v[seq - 1].m.size != 0) {
		*size_r = mb->v[seq - 1].m.size;
		return STORE_OK;
	}
	pthread_mutex_lock(&mb->f->mu);
	for (int i = 0; i < READ_ATTEMPTS && s == STORE_EXPUNGED && (r = rec_of(mb, seq)) != NULL; i++) {
		s = mb->f->ops->size(mb->f, r);
		if (s == STORE_OK)
			*size_r = mb->v[seq - 1].m.size = r->m.size;
		else if (s == STORE_EXPUNGED && mb->f->ops->refresh(mb->f) != STORE_OK)
			break;
	}
	mb->f->index.changed = true;
	pthread_mutex_unlock(&mb->f->mu);
	return s;
}

static bool all_crlf(struct span s)
{
	bool any = false;

	for (ptrdiff_t lf; (lf = span_chr(s, '\n')) >= 0; s = span_skip(s, (size_t)lf + 1)) {
		if (lf == 0 || s.ptr[lf - 1] != '\r')
			return false;
		any = true;
	}
	return any;
}

enum store_status mailbox_view(struct mailbox *mb, uint32_t seq, struct store_view *v)
{
	enum store_status s = STORE_EXPUNGED;
	struct buf *out = mem_alloc(sizeof *out);
	struct rec *r;

	*v = (struct store_view){ 0 };
	buf_init(out, MESSAGE_MAX);
	pthread_mutex_lock(&mb->f->mu);
	for (int i = 0; i < READ_ATTEMPTS && s == STORE_EXPUNGED && (r = rec_of(mb, seq)) != NULL; i++) {
		buf_reset(out);
		s = mb->f->ops->read(mb->f, r, out);
		if (s == STORE_OK && r->m.size == 0) {
			r->m.size = mb->v[seq - 1].m.size = out->len + crlf_missing(buf_span(out), 0);
			mb->f->index.changed = true;
		}
		/* the files have changed: find the message anew */
		if (s == STORE_EXPUNGED && mb->f->ops->refresh(mb->f) != STORE_OK)
			break;
	}
	pthread_mutex_unlock(&mb->f->mu);
	v->hold = out;
	if (s != STORE_OK) {
		store_view_done(v);
		return s;
	}
	v->raw = buf_span(out);
	v->crlf = all_crlf(v->raw);
	return STORE_OK;
}

void store_view_done(struct store_view *v)
{
	if (v->hold != NULL) {
		buf_free(v->hold);
		free(v->hold);
	}
	*v = (struct store_view){ 0 };
}

void mailbox_rest(struct mailbox *mb)
{
	pthread_mutex_lock(&mb->f->mu);
	piece_free(&mb->f->cache.piece);
	if (mb->f->ops->rest != NULL)
		mb->f->ops->rest(mb->f);
	pthread_mutex_unlock(&mb->f->mu);
}

bool mailbox_items(struct mailbox *mb, uint32_t seq, struct store_item *items, size_t n, struct arena *a)
{
	struct span entry;
	struct rec *r;
	bool all;

	pthread_mutex_lock(&mb->f->mu);
	r = rec_of(mb, seq);
	all = r != NULL && cache_get(mb->f, r, &entry);
	for (size_t i = 0; i < n && all; i++)
		all = cache_find(entry, items[i].name, &items[i].value);
	for (size_t i = 0; i < n && all; i++)
		items[i].value = arena_span(a, items[i].value);
	pthread_mutex_unlock(&mb->f->mu);
	return all;
}

static bool is_among(const struct store_item *items, size_t n, struct span name)
{
	for (size_t i = 0; i < n; i++)
		if (span_eq(items[i].name, name))
			return true;
	return false;
}

void mailbox_items_put(struct mailbox *mb, uint32_t seq, const struct store_item *items, size_t n)
{
	struct unpack old = { .rest = SPAN_NONE };
	struct buf b;
	struct rec *r;

	buf_init(&b, ITEMS_MAX);
	pthread_mutex_lock(&mb->f->mu);
	r = rec_of(mb, seq);
	if (r != NULL)
		(void)cache_get(mb->f, r, &old.rest);
	while (old.rest.len > 0 && !old.bad) {
		struct span name = unpack_span(&old), value = unpack_span(&old);

		if (!old.bad && !is_among(items, n, name)) {
			pack_span(&b, name);
			pack_span(&b, value);
		}
	}
	for (size_t i = 0; i < n; i++) {
		pack_span(&b, items[i].name);
		pack_span(&b, items[i].value);
	}
	if (r != NULL && !b.overflow)
		cache_put(mb->f, r, buf_span(&b));
	pthread_mutex_unlock(&mb->f->mu);
	buf_free(&b);
}

enum store_status mailbox_flag(struct mailbox *mb, uint32_t seq, enum store_flag_op op, uint32_t flags, uint64_t keywords)
{
	enum store_status s = STORE_EXPUNGED;
	struct rec *r;
	uint32_t old;
	uint64_t old_keywords;

	if (mb->read_only)
		return STORE_REFUSED;
	flags &= ~(uint32_t)STORE_RECENT;
	pthread_mutex_lock(&mb->f->mu);
	r = rec_of(mb, seq);
	if (r != NULL) {
		old = r->m.flags;
		old_keywords = r->m.keywords;
		flags = op == STORE_FLAGS_SET ? flags : op == STORE_FLAGS_ADD ? old | flags : old & ~flags;
		keywords = op == STORE_FLAGS_SET   ? keywords
			   : op == STORE_FLAGS_ADD ? old_keywords | keywords
						   : old_keywords & ~keywords;
		s = STORE_OK;
		if (flags != old || keywords != old_keywords) {
			r->m.flags = flags;
			r->m.keywords = keywords;
			r->m.modseq = folder_touch(mb->f);
			r->dirty |= DIRTY_FLAGS;
			if (mb->generation == mb->f->generation) {
				mb->generation++; /* this view knows; the others will see */
				mb->modseq = r->m.modseq;
			}
			mb->f->generation++;
			s = mb->f->ops->flagged(mb->f, r); /* r may be gone after this */
			r = rec_of(mb, seq);
		}
		if (s == STORE_OK) {
			if (r != NULL)
				mb->v[seq - 1].m.modseq = r->m.modseq;
			mb->v[seq - 1].m.flags = flags | (mb->v[seq - 1].m.flags & STORE_RECENT);
			mb->v[seq - 1].m.keywords = keywords;
		}
	}
	pthread_mutex_unlock(&mb->f->mu);
	return s;
}

enum store_status mailbox_flush(struct mailbox *mb)
{
	enum store_status s;

	if (mb->read_only)
		return STORE_OK;
	pthread_mutex_lock(&mb->f->mu);
	s = mb->f->ops->flush(mb->f, true);
	index_save(mb->f);
	pthread_mutex_unlock(&mb->f->mu);
	return s;
}

enum store_status mailbox_expunge(struct mailbox *mb, bool (*which)(uint32_t seq, const struct store_msg *m, void *arg), void *arg,
				  const struct mailbox_events *ev)
{
	uint32_t *uids;
	size_t n = 0;
	enum store_status s = STORE_OK;

	if (mb->read_only)
		return STORE_REFUSED;
	uids = mem_realloc_array(NULL, mb->n + 1, sizeof *uids);
	for (size_t i = 0; i < mb->n; i++)
		if (!mb->v[i].gone && which((uint32_t)i + 1, &mb->v[i].m, arg))
			uids[n++] = mb->v[i].m.uid;
	pthread_mutex_lock(&mb->f->mu);
	if (mb->uidvalidity != mb->f->uidvalidity)
		n = 0;
	s = n > 0 ? mb->f->ops->expunge(mb->f, uids, n) : mb->f->ops->refresh(mb->f);
	if (s == STORE_OK)
		view_update(mb, true, ev);
	pthread_mutex_unlock(&mb->f->mu);
	free(uids);
	return s;
}

enum store_status store_status_of(struct store *s, struct span name, struct store_counts *c)
{
	struct folder *f;
	enum store_status st = folder_named(s, name, &f);

	*c = (struct store_counts){ 0 };
	if (st != STORE_OK)
		return st;
	pthread_mutex_lock(&f->mu);
	st = f->ops->refresh(f);
	for (size_t i = 0; st == STORE_OK && i < f->n; i++) {
		c->messages++;
		c->recent += !f->recs[i].old;
		c->unseen += !(f->recs[i].m.flags & STORE_SEEN);
		c->size += f->recs[i].m.size;
	}
	c->uidnext = f->uidnext;
	c->uidvalidity = f->uidvalidity;
	c->modseq = f->modseq > 0 ? f->modseq : 1;
	if (st == STORE_OK)
		index_save(f);
	pthread_mutex_unlock(&f->mu);
	folder_put(f);
	return st;
}
