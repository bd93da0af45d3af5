/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "lib/base/mem.h"
#include "lib/base/pack.h"
#include "lib/store/index.h"
#include "lib/store/maildir-int.h"
#include "lib/store/mbox-int.h"

/* A record as it is in the file: copied, not packed, because there may be a million. No holes. */
struct disk_rec {
	uint64_t keywords, size, modseq, cache_off, off, end;
	int64_t date, saved;
	uint32_t uid, flags, cache_len, from_hash, from_len, block_size, keyword_room, base_room, base_len;
	int32_t zone;
	uint16_t name_len, extra_len;
	uint8_t old, dirty, has_base, unsynced, in_new, zero[7];
};
_Static_assert(sizeof(struct disk_rec) == 120, "a record has holes");

enum { HIDDEN_MAX = 100000 };

static bool is_maildir(const struct folder *f)
{
	return f->ops == &maildir_ops;
}

static struct span span_or_none(const char *s)
{
	return s ? span_cstr(s) : SPAN_NONE;
}

static void put_mbox(struct disk_rec *d, const struct mbox_pos *p)
{
	d->off = p->off;
	d->end = p->end;
	d->from_hash = p->from_hash;
	d->from_len = p->from_len;
	d->block_size = p->block_size;
	d->keyword_room = p->keyword_room;
	d->base_room = p->base_room;
	d->has_base = p->has_base;
	d->unsynced = p->unsynced;
}

uint32_t index_put_rec(struct buf *b, const struct folder *f, const struct rec *r)
{
	struct disk_rec d = { .keywords = r->m.keywords, .size = r->m.size, .modseq = r->m.modseq, .date = r->m.internal_date,
			      .saved = r->m.save_date, .uid = r->m.uid, .flags = r->m.flags, .zone = r->m.zone_minutes,
			      .cache_off = r->cache_off, .cache_len = r->cache_len };
	struct span name = SPAN_NONE, extra = SPAN_NONE;
	size_t start = b->len;
	uint32_t sum;

	d.old = r->old && !(r->dirty & DIRTY_OLD); /* as the files have it */
	d.dirty = r->dirty & DIRTY_UID;
	if (is_maildir(f)) {
		name = span_or_none(r->maildir.name);
		extra = span_head(span_or_none(r->maildir.extra), UINT16_MAX);
		d.name_len = (uint16_t)name.len;
		d.extra_len = (uint16_t)extra.len;
		d.base_len = r->maildir.base_len;
		d.in_new = r->maildir.in_new;
	} else {
		put_mbox(&d, &r->mbox);
	}
	buf_add(b, &d, sizeof d);
	buf_add_span(b, name);
	buf_add_span(b, extra);
	if (b->overflow)
		return 1;
	sum = (uint32_t)crc32_z(0, (const unsigned char *)b->ptr + start, b->len - start);
	return sum ? sum : 1;
}

static bool take_strings(struct span *rest, const struct disk_rec *d, struct maildir_pos *p)
{
	struct span name = span_head(*rest, d->name_len), extra;

	extra = span_head(span_skip(*rest, name.len), d->extra_len);
	if (name.len != d->name_len || extra.len != d->extra_len || name.len == 0 || name.len >= MAILDIR_NAME_MAX)
		return false;
	if (name.ptr[0] == '.' || span_chr(name, '/') >= 0 || span_chr(name, '\0') >= 0 || d->base_len > name.len ||
	    span_chr(extra, '\n') >= 0)
		return false;
	*rest = span_skip(*rest, name.len + extra.len);
	p->name = mem_strndup(name.ptr, name.len);
	p->extra = extra.len > 0 ? mem_strndup(extra.ptr, extra.len) : NULL;
	p->base_len = d->base_len;
	p->in_new = d->in_new;
	return true;
}

bool index_take_rec(const struct folder *f, struct span *rest, struct rec *r)
{
	struct disk_rec d;
	struct span start = *rest;

	if (rest->len < sizeof d)
		return false;
	memcpy(&d, rest->ptr, sizeof d);
	*rest = span_skip(*rest, sizeof d);
	*r = (struct rec){ .m = { .uid = d.uid, .flags = d.flags & (STORE_RECENT - 1), .keywords = d.keywords,
				  .internal_date = d.date, .save_date = d.saved, .zone_minutes = d.zone,
				  .size = d.size, .modseq = d.modseq },
			   .old = d.old, .dirty = d.dirty & DIRTY_UID, .cache_off = d.cache_off, .cache_len = d.cache_len };
	if (is_maildir(f)) {
		r->dirty = 0;
		if (!take_strings(rest, &d, &r->maildir))
			return false;
	} else {
		r->mbox = (struct mbox_pos){ .off = d.off, .end = d.end, .from_hash = d.from_hash, .from_len = d.from_len,
					     .block_size = d.block_size, .keyword_room = d.keyword_room, .base_room = d.base_room,
					     .has_base = d.has_base, .unsynced = d.unsynced };
	}
	r->saved_sum = (uint32_t)crc32_z(0, (const unsigned char *)start.ptr, start.len - rest->len);
	if (r->saved_sum == 0)
		r->saved_sum = 1;
	return true;
}

void index_drop_rec(const struct folder *f, struct rec *r)
{
	if (!is_maildir(f))
		return;
	free(r->maildir.name);
	free(r->maildir.extra);
	r->maildir.name = r->maildir.extra = NULL;
}

static bool mbox_plausible(const struct folder *f, const struct rec *r, uint64_t from)
{
	const struct mbox_pos *p = &r->mbox;
	struct mbox_block b = { .keyword_room = p->keyword_room, .has_base = p->has_base, .base_room = p->base_room };

	return p->off >= from && p->from_len > 0 && p->from_len <= MBOX_BLOCK_MAX && p->block_size <= MBOX_BLOCK_MAX &&
	       p->end <= (uint64_t)f->mbox->ident.size && p->off < p->end && p->end - p->off >= p->from_len + p->block_size &&
	       (p->block_size == 0 || (p->keyword_room <= MBOX_BLOCK_MAX && p->base_room <= MBOX_BLOCK_MAX &&
				       mbox_block_size(&b) == p->block_size));
}

bool index_plausible(const struct folder *f)
{
	uint64_t keywords = f->nkeywords < 64 ? (UINT64_C(1) << f->nkeywords) - 1 : UINT64_MAX, at = 0;
	uint32_t prev = 0;

	for (size_t i = 0; i < f->n; i++) {
		const struct rec *r = &f->recs[i];

		if (r->m.uid <= prev || r->m.uid >= f->uidnext || (r->m.keywords & ~keywords) != 0 || r->m.modseq > f->modseq)
			return false;
		if (!is_maildir(f) && !mbox_plausible(f, r, at))
			return false;
		prev = r->m.uid;
		at = is_maildir(f) ? 0 : r->mbox.end;
	}
	return true;
}

/* --- the state of the folder ---------------------------------------------------------------------------------------------- */

static void put_ident(struct buf *b, const struct ident *i)
{
	pack_u8(b, i->exists);
	pack_u64(b, i->dev);
	pack_u64(b, i->ino);
	pack_u64(b, (uint64_t)i->size);
	pack_u64(b, (uint64_t)i->mtime_s);
	pack_u64(b, (uint64_t)i->mtime_ns);
	pack_u64(b, (uint64_t)i->ctime_s);
	pack_u64(b, (uint64_t)i->ctime_ns);
}

static struct ident take_ident(struct unpack *u)
{
	struct ident i = { .exists = unpack_u8(u) != 0 };

	i.dev = (dev_t)unpack_u64(u);
	i.ino = (ino_t)unpack_u64(u);
	i.size = (int64_t)unpack_u64(u);
	i.mtime_s = (int64_t)unpack_u64(u);
	i.mtime_ns = (int64_t)unpack_u64(u);
	i.ctime_s = (int64_t)unpack_u64(u);
	i.ctime_ns = (int64_t)unpack_u64(u);
	return i;
}

static void put_mbox_state(struct buf *b, const struct mbox *m)
{
	put_ident(b, &m->ident);
	pack_u32(b, m->base_validity);
	pack_u32(b, m->base_lastuid);
	pack_u32(b, m->base_keywords);
	pack_u8(b, m->pseudo);
	pack_u8(b, m->want_rewrite);
	pack_u8(b, m->must_rewrite);
	pack_u32(b, (uint32_t)m->nhidden);
	for (size_t i = 0; i < m->nhidden; i++) {
		pack_u64(b, m->hidden[i].off);
		pack_u64(b, m->hidden[i].end);
		pack_u8(b, m->hidden[i].keep);
	}
}

static void take_mbox_state(struct unpack *u, struct mbox *m)
{
	uint32_t n;

	m->ident = take_ident(u);
	m->base_validity = unpack_u32(u);
	m->base_lastuid = unpack_u32(u);
	m->base_keywords = unpack_u32(u);
	m->pseudo = unpack_u8(u) != 0;
	m->want_rewrite = unpack_u8(u) != 0;
	m->must_rewrite = unpack_u8(u) != 0;
	n = unpack_u32(u);
	u->bad |= n > HIDDEN_MAX;
	m->nhidden = 0;
	for (uint32_t i = 0; i < n && !u->bad; i++) {
		struct mbox_hidden h = { .off = unpack_u64(u), .end = 0 };

		h.end = unpack_u64(u);
		h.keep = unpack_u8(u) != 0;
		u->bad |= h.end < h.off || h.end > (uint64_t)m->ident.size;
		m->hidden = mem_realloc_array(m->hidden, m->nhidden + 1, sizeof *m->hidden);
		m->hidden[m->nhidden++] = h;
	}
}

static void put_maildir_state(struct buf *b, const struct maildir *m)
{
	put_ident(b, &m->new_ident);
	put_ident(b, &m->cur_ident);
	put_ident(b, &m->list_ident);
	put_ident(b, &m->keywords_ident);
	pack_u8(b, m->racy);
	pack_u32(b, m->saved_keywords);
}

static void take_maildir_state(struct unpack *u, struct folder *f)
{
	struct maildir *m = f->maildir;

	m->new_ident = take_ident(u);
	m->cur_ident = take_ident(u);
	m->list_ident = take_ident(u);
	m->keywords_ident = take_ident(u);
	m->racy = unpack_u8(u) != 0;
	m->saved_keywords = unpack_u32(u);
	u->bad |= m->saved_keywords > f->nkeywords;
}

void index_put_state(struct buf *b, const struct folder *f)
{
	pack_u8(b, is_maildir(f));
	pack_u64(b, f->n);
	pack_u32(b, f->uidvalidity);
	pack_u32(b, f->uidnext);
	pack_u64(b, f->modseq);
	pack_u64(b, f->cache.id);
	pack_u8(b, f->dirty);
	pack_u32(b, f->nkeywords);
	for (unsigned i = 0; i < f->nkeywords; i++)
		pack_span(b, span_cstr(f->keywords[i]));
	if (is_maildir(f))
		put_maildir_state(b, f->maildir);
	else
		put_mbox_state(b, f->mbox);
}

static void take_keywords(struct unpack *u, struct folder *f)
{
	uint32_t n = unpack_u32(u);

	u->bad |= n > f->keywords_max;
	for (unsigned i = 0; i < f->nkeywords; i++)
		free(f->keywords[i]);
	f->nkeywords = 0;
	for (uint32_t i = 0; i < n && !u->bad; i++) {
		struct span name = unpack_span(u);

		u->bad |= folder_keyword(f, name, true) != (int)i;
	}
}

bool index_take_state(struct folder *f, struct span payload, size_t *n_r)
{
	struct unpack u = { .rest = payload };

	u.bad |= (unpack_u8(&u) != 0) != is_maildir(f);
	*n_r = (size_t)unpack_u64(&u);
	f->uidvalidity = unpack_u32(&u);
	f->uidnext = unpack_u32(&u);
	f->modseq = unpack_u64(&u);
	f->cache.id = unpack_u64(&u);
	f->dirty = unpack_u8(&u) != 0;
	take_keywords(&u, f);
	if (is_maildir(f))
		take_maildir_state(&u, f);
	else
		take_mbox_state(&u, f->mbox);
	return unpack_done(&u) && f->uidvalidity != 0 && f->uidnext != 0;
}
