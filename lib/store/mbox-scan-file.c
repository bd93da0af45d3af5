/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/htab.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/mbox-int.h"
#include <zlib.h>

enum { FIRST_READ = 1 << 20 };

/* A window on the file that grows to the largest message and slides from one to the next. */
struct window {
	struct folder *f;
	int fd;
	uint64_t base, size; /* of buf[0] in the file; of the file */
	char *buf;
	size_t len, cap, pos; /* pos: the current message */
	bool eof;
};

static int read_more(struct window *w)
{
	ssize_t n;
	size_t want;

	memmove(w->buf, w->buf + w->pos, w->len - w->pos);
	w->base += w->pos;
	w->len -= w->pos;
	w->pos = 0;
	if (w->len == w->cap) {
		w->cap *= 2;
		w->buf = mem_realloc_array(w->buf, w->cap, 1);
	}
	want = w->cap - w->len;
	if (want > w->size - w->base - w->len)
		want = (size_t)(w->size - w->base - w->len);
	n = fs_pread_all(w->fd, w->buf + w->len, want, w->base + w->len);
	if (n < 0)
		return -1;
	w->len += (size_t)n;
	w->eof = (size_t)n < want || w->base + w->len >= w->size;
	return 0;
}

static struct span window_text(const struct window *w)
{
	return span_of(w->buf + w->pos, w->len - w->pos);
}

/* The next separator at or after `from` of the current text, reading on as needed. -1: none; -2: errno. */
static ptrdiff_t next_from(struct window *w, size_t from, bool begins, struct span *line, int64_t *date)
{
	for (;;) {
		struct span text = window_text(w);
		ptrdiff_t at = text.len > from ? mbox_find_from(text, from, begins, w->eof, line, date) : -1;

		if (at >= 0 || w->eof)
			return at;
		if (text.len > from + MBOX_FROM_MAX + 8)
			from = text.len - MBOX_FROM_MAX - 8;
		if (read_more(w) < 0)
			return -2;
	}
}

static int32_t local_zone(int64_t date)
{
	time_t t = date;
	struct tm tm;

	return localtime_r(&t, &tm) ? (int32_t)(tm.tm_gmtoff / 60) : 0;
}

static void add_hidden(struct mbox *m, uint64_t off, uint64_t end, bool keep)
{
	m->hidden = mem_realloc_array(m->hidden, m->nhidden + 1, sizeof *m->hidden);
	m->hidden[m->nhidden++] = (struct mbox_hidden){ off, end, keep };
}

static void take_base(struct folder *f, const struct mbox_block *b, bool pseudo)
{
	f->mbox->base_validity = b->lastuid <= UINT32_MAX - 65536 ? b->uidvalidity : 0;
	f->mbox->base_lastuid = b->lastuid;
	f->mbox->pseudo = pseudo;
	folder_keyword_words(f, b->base_keywords);
	f->mbox->base_keywords = f->nkeywords;
}

/*
 * When a message came. The From_ line of a letter says so; what a client appended has another date there, and the time in place of
 * a key. What another program wrote may have been anywhere before.
 */
static int64_t save_date_of(const struct mbox_block *b, size_t block_size, int64_t date)
{
	if (block_size == 0 || b->key == 0)
		return 0;
	return b->key <= UINT32_MAX ? (int64_t)b->key : date;
}

static void add_message(struct window *w, struct span line, int64_t date, struct span text)
{
	struct folder *f = w->f;
	uint64_t off = w->base + w->pos, end = off + line.len + text.len;
	bool first = f->n == 0 && f->mbox->nhidden == 0;
	struct mbox_meta meta;
	struct rec *r;

	mbox_meta_parse(text, &meta);
	if (first || (f->n == 0 && !f->mbox->pseudo))
		take_base(f, &meta.block, meta.pseudo && first);
	if ((meta.pseudo && first) || meta.unfinished) {
		add_hidden(f->mbox, off, end, !meta.unfinished);
		return;
	}
	r = folder_add(f);
	r->m.uid = meta.block.uid;
	r->m.flags = meta.block.flags;
	r->m.keywords = folder_keyword_words(f, meta.block.keywords);
	r->m.internal_date = date;
	r->m.zone_minutes = local_zone(date);
	r->m.save_date = save_date_of(&meta.block, meta.block_size, date);
	mbox_measure(text, &r->m.size);
	r->old = meta.block.old;
	r->mbox = (struct mbox_pos){ .off = off,
				     .end = end,
				     .from_len = (uint32_t)line.len,
				     .block_size = (uint32_t)meta.block_size,
				     .keyword_room = meta.block.keyword_room,
				     .base_room = meta.block.base_room,
				     .has_base = meta.block.has_base };
	r->mbox.from_hash = (uint32_t)crc32(0, (const unsigned char *)line.ptr, (unsigned)line.len);
}

static bool is_blank(struct span s)
{
	return span_trim(s).len == 0;
}

static enum store_status scan_messages(struct window *w)
{
	struct span line, next_line;
	int64_t date, next_date;
	ptrdiff_t at = next_from(w, 0, true, &line, &date);

	if (at == -1 && is_blank(window_text(w)))
		return STORE_OK;
	if (at < 0 || (at > 0 && !is_blank(span_head(window_text(w), (size_t)at)))) {
		if (at == -2)
			return folder_errno(w->f, "read", errno);
		log_error("%s: not a mailbox: does not begin with a From_ line", w->f->path);
		return STORE_ERROR;
	}
	w->pos += (size_t)at;
	for (;;) {
		size_t line_len = line.len;
		struct span text;

		at = next_from(w, line_len, false, &next_line, &next_date);
		if (at == -2)
			return folder_errno(w->f, "read", errno);
		text = window_text(w);
		if (at >= 0)
			text.len = (size_t)at;
		add_message(w, span_head(text, line_len), date, span_skip(text, line_len));
		if (at < 0)
			return STORE_OK;
		w->pos += (size_t)at;
		line = next_line;
		date = next_date;
	}
}

enum store_status mbox_scan(struct folder *f, int fd, uint64_t from, uint64_t size)
{
	struct window w = { .f = f, .fd = fd, .base = from, .size = size, .cap = FIRST_READ, .eof = from >= size };
	enum store_status s;

	w.buf = mem_alloc(w.cap);
	s = scan_messages(&w);
	free(w.buf);
	return s;
}
