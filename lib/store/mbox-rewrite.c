/* SPDX-License-Identifier: BSD-2-Clause */
/* Rewriting the end of an mbox: without the messages that go, and with blocks for those that had none or too small a one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/store/mbox-int.h"

enum { CHUNK = 256 * 1024, LAZY_BASE_MAX = 64 * 1024 * 1024 };

struct rewrite {
	struct folder *f;
	int fd;
	const uint32_t *drop;
	size_t ndrop;
	uint64_t start;
	struct mbox_journal *j;
	struct mbox_pos *pos; /* of each kept record, new */
	size_t nkept;
	struct buf kw, base_kw, block;
};

static bool is_dropped(const struct rewrite *w, uint32_t uid)
{
	size_t low = 0, high = w->ndrop;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (w->drop[mid] < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < w->ndrop && w->drop[low] == uid;
}

static bool needs_block(const struct rewrite *w, const struct rec *r)
{
	return r->dirty != 0 && !mbox_fits(w->f, r);
}

/* Should this one, the first that stays, get the X-IMAPbase? */
static bool needs_base(const struct rewrite *w, const struct rec *r, bool first)
{
	return first && !w->f->mbox->pseudo && !r->mbox.has_base;
}

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Where the file begins to change; UINT64_MAX: nowhere. */
static uint64_t find_start(const struct rewrite *w)
{
	const struct folder *f = w->f;
	uint64_t start = UINT64_MAX;
	bool first = true;

	for (size_t i = 0; i < f->mbox->nhidden; i++)
		if (!f->mbox->hidden[i].keep)
			start = lower(start, f->mbox->hidden[i].off);
	for (size_t i = 0; i < f->n; i++) {
		const struct rec *r = &f->recs[i];
		bool gone = is_dropped(w, r->m.uid);

		if (gone || needs_block(w, r))
			start = lower(start, r->mbox.off);
		if (!gone && needs_base(w, r, first) && (start != UINT64_MAX || f->mbox->ident.size <= LAZY_BASE_MAX))
			start = lower(start, r->mbox.off);
		first &= gone;
	}
	return start;
}

static int copy(struct rewrite *w, uint64_t at, uint64_t end)
{
	char *text = mem_alloc(CHUNK);
	int rc = 0;

	while (at < end && rc == 0) {
		size_t n = end - at < CHUNK ? (size_t)(end - at) : CHUNK;

		if (fs_pread_all(w->fd, text, n, at) != (ssize_t)n)
			rc = -1;
		else
			rc = mbox_journal_write(w->j, span_of(text, n));
		at += n;
	}
	free(text);
	return rc;
}

/* What the old block said that a new one must say, too. */
static int read_block(struct rewrite *w, const struct rec *r, struct mbox_block *b)
{
	char text[MBOX_BLOCK_MAX];
	struct mbox_block old;
	size_t n = r->mbox.block_size;

	if (n == 0 || n > sizeof text)
		return 0;
	if (fs_pread_all(w->fd, text, n, r->mbox.off + r->mbox.from_len) != (ssize_t)n)
		return -1;
	if (mbox_block_parse(span_of(text, n), &old) == n) {
		b->key = old.key;
		b->crc = old.crc;
	}
	return 0;
}

/* Append the header of a message of another program to out, without the mailbox's fields; returns its size in the file. */
static size_t plain_header(struct span text, struct buf *out)
{
	struct span rest = text;
	bool dropping = false;

	while (rest.len > 0) {
		ptrdiff_t lf = span_chr(rest, '\n');
		struct span line = span_head(rest, lf < 0 ? rest.len : (size_t)lf + 1), value;

		if (span_trim(line).len == 0)
			break;
		rest = span_skip(rest, line.len);
		if (line.ptr[0] != ' ' && line.ptr[0] != '\t')
			dropping = mbox_field_of(line, &value) != MBOX_FIELD_NONE;
		if (!dropping)
			buf_add_span(out, line);
	}
	return text.len - rest.len;
}

/* A message with a block of ours in front: From_ line, block, header of rest, rest of the file's bytes. */
static int emit(struct rewrite *w, const struct rec *r, struct mbox_block *b, struct span header, uint64_t body)
{
	struct mbox_pos p = { .off = w->start + mbox_journal_written(w->j),
			      .from_hash = r->mbox.from_hash,
			      .from_len = r->mbox.from_len,
			      .block_size = (uint32_t)mbox_block_size(b),
			      .keyword_room = b->keyword_room,
			      .base_room = b->base_room,
			      .has_base = b->has_base };

	p.end = p.off + p.from_len + p.block_size + header.len + (r->mbox.end - body);
	b->length = p.end - p.off;
	buf_reset(&w->block);
	mbox_block_make(&w->block, b);
	w->pos[w->nkept++] = p;
	if (copy(w, r->mbox.off, r->mbox.off + r->mbox.from_len) < 0 || mbox_journal_write(w->j, buf_span(&w->block)) < 0 ||
	    mbox_journal_write(w->j, header) < 0)
		return -1;
	return copy(w, body, r->mbox.end);
}

static int emit_foreign(struct rewrite *w, const struct rec *r, struct mbox_block *b)
{
	uint64_t from = r->mbox.off + r->mbox.from_len;
	size_t n = (size_t)(r->mbox.end - from);
	char *text = mem_alloc(n + 1);
	struct buf header;
	int rc = -1;

	buf_init(&header, n + 1);
	if (fs_pread_all(w->fd, text, n, from) == (ssize_t)n) {
		size_t used = plain_header(span_of(text, n), &header);

		rc = emit(w, r, b, buf_span(&header), from + used);
	}
	buf_free(&header);
	free(text);
	return rc;
}

static int emit_rec(struct rewrite *w, const struct rec *r, bool first)
{
	struct mbox_block b;
	bool base = needs_base(w, r, first);

	if (!base && !needs_block(w, r)) {
		struct mbox_pos p = r->mbox;

		p.off = w->start + mbox_journal_written(w->j);
		p.end = p.off + (r->mbox.end - r->mbox.off);
		w->pos[w->nkept++] = p;
		return copy(w, r->mbox.off, r->mbox.end);
	}
	mbox_block_of(w->f, r, &w->kw, &b);
	if (base || b.has_base) {
		mbox_base_of(w->f, &w->base_kw, &b);
		if (b.base_room < b.base_keywords.len || b.base_room == 0)
			b.base_room = (uint32_t)b.base_keywords.len + MBOX_BASE_ROOM;
	}
	if (r->mbox.block_size == 0)
		return emit_foreign(w, r, &b);
	if (read_block(w, r, &b) < 0)
		return -1;
	return emit(w, r, &b, SPAN_NONE, r->mbox.off + r->mbox.from_len + r->mbox.block_size);
}

/* Pieces of the file in order: what is hidden and kept comes first in it, if at all. */
static int emit_all(struct rewrite *w)
{
	struct folder *f = w->f;
	bool first = true;

	for (size_t i = 0; i < f->mbox->nhidden; i++)
		if (f->mbox->hidden[i].keep && f->mbox->hidden[i].off >= w->start &&
		    copy(w, f->mbox->hidden[i].off, f->mbox->hidden[i].end) < 0)
			return -1;
	for (size_t i = 0; i < f->n; i++) {
		const struct rec *r = &f->recs[i];

		if (is_dropped(w, r->m.uid))
			continue;
		if (r->mbox.off < w->start)
			w->pos[w->nkept++] = r->mbox;
		else if (emit_rec(w, r, first) < 0)
			return -1;
		first = false;
	}
	return 0;
}

/* The table follows the file. */
static void settle(struct rewrite *w)
{
	struct folder *f = w->f;
	struct mbox *m = f->mbox;
	size_t n = 0, hidden = 0;

	for (size_t i = 0; i < f->n; i++) {
		if (is_dropped(w, f->recs[i].m.uid))
			continue;
		if (f->recs[i].mbox.off >= w->start && needs_block(w, &f->recs[i]))
			f->recs[i].dirty = 0;
		f->recs[n] = f->recs[i];
		f->recs[n].mbox = w->pos[n];
		n++;
	}
	if (n < f->n)
		folder_touch(f);
	f->n = n;
	for (size_t i = 0; i < m->nhidden; i++)
		if (m->hidden[i].keep)
			m->hidden[hidden++] = m->hidden[i];
	m->nhidden = hidden;
	if (!m->pseudo)
		m->base_validity = 0; /* written again below, where there is one */
	m->want_rewrite = m->must_rewrite = false;
	f->generation++;
}

static enum store_status failed(struct rewrite *w, const char *what)
{
	enum store_status s = folder_errno(w->f, what, errno);

	if (w->j != NULL)
		mbox_journal_abort(w->j);
	w->f->mbox->ident = (struct ident){ 0 };
	return s;
}

static bool all_dropped_behind(const struct rewrite *w)
{
	const struct folder *f = w->f;

	for (size_t i = 0; i < f->mbox->nhidden; i++)
		if (f->mbox->hidden[i].keep && f->mbox->hidden[i].off >= w->start)
			return false;
	for (size_t i = 0; i < f->n; i++)
		if (f->recs[i].mbox.off >= w->start && !is_dropped(w, f->recs[i].m.uid))
			return false;
	return true;
}

static enum store_status run(struct rewrite *w)
{
	int rc;

	if (all_dropped_behind(w)) { /* one system call, nothing to go wrong in between */
		if (ftruncate(w->fd, (off_t)w->start) < 0)
			return failed(w, "truncate");
		for (size_t i = 0; i < w->f->n; i++)
			if (!is_dropped(w, w->f->recs[i].m.uid))
				w->pos[w->nkept++] = w->f->recs[i].mbox;
		settle(w);
		return STORE_OK;
	}
	w->j = mbox_journal_begin(w->f->ctl, w->start);
	if (w->j == NULL)
		return failed(w, "journal");
	if (emit_all(w) < 0)
		return failed(w, "rewrite");
	rc = mbox_journal_commit(w->j, w->fd);
	w->j = NULL;
	if (rc < 0)
		return failed(w, "rewrite");
	settle(w);
	return STORE_OK;
}

/*
 * An unfinished delivery at the end goes first: a deliverer that found it there, in the middle of our work, would cut it off.
 */
static int cut_unfinished(struct folder *f, int fd)
{
	struct mbox *m = f->mbox;
	struct mbox_hidden *last = m->nhidden ? &m->hidden[m->nhidden - 1] : NULL;
	struct stat st;

	if (last == NULL || last->keep || fstat(fd, &st) < 0 || last->end != (uint64_t)st.st_size)
		return 0;
	if (ftruncate(fd, (off_t)last->off) < 0)
		return -1;
	m->nhidden--;
	mbox_note_ident(f, fd);
	return 0;
}

enum store_status mbox_rewrite(struct folder *f, struct mboxlock *l, const uint32_t *drop, size_t ndrop)
{
	struct rewrite w = { .f = f, .fd = l->fd, .drop = drop, .ndrop = ndrop };
	enum store_status s;

	if (cut_unfinished(f, l->fd) < 0)
		return folder_errno(f, "truncate", errno);
	w.start = find_start(&w);
	if (w.start == UINT64_MAX)
		return STORE_OK;
	mboxlock_touch(l);
	w.pos = mem_realloc_array(NULL, f->n + 1, sizeof *w.pos);
	buf_init(&w.block, 64 * 1024);
	s = run(&w);
	if (s == STORE_OK) {
		s = mbox_write_in_place(f, l->fd);
		if (s == STORE_OK && fdatasync(l->fd) < 0)
			s = folder_errno(f, "fdatasync", errno);
		if (s == STORE_OK)
			mbox_synced(f);
		mbox_save_state(f);
		mbox_note_ident(f, l->fd);
	}
	free(w.pos);
	buf_free(&w.kw);
	buf_free(&w.base_kw);
	buf_free(&w.block);
	return s;
}
