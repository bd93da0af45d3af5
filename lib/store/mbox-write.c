/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing flags and UIDs into the blocks where they stand: small writes that never move a line end. */
#include <errno.h>
#include <unistd.h>

#include "lib/store/mbox-int.h"

enum { KEYWORD_NAMES_MAX = STORE_KEYWORDS_MAX * 101 };

void mbox_block_of(struct folder *f, const struct rec *r, struct buf *kw, struct mbox_block *b)
{
	uint32_t room = r->mbox.block_size > 0 ? r->mbox.keyword_room : MBOX_KEYWORD_ROOM;

	if (kw->max == 0)
		buf_init(kw, KEYWORD_NAMES_MAX);
	folder_keyword_names(f, r->m.keywords, kw);
	if (kw->len > room)
		room = (uint32_t)kw->len + MBOX_KEYWORD_ROOM;
	*b = (struct mbox_block){
		.uid = r->m.uid, .flags = r->m.flags, .old = r->old, .keywords = buf_span(kw), .keyword_room = room
	};
	if (r->mbox.has_base) {
		b->has_base = true;
		b->base_room = r->mbox.base_room;
	}
}

void mbox_base_of(struct folder *f, struct buf *kw, struct mbox_block *b)
{
	if (kw->max == 0)
		buf_init(kw, KEYWORD_NAMES_MAX);
	folder_keyword_names(f, UINT64_MAX, kw);
	b->has_base = true;
	b->uidvalidity = f->uidvalidity;
	b->lastuid = f->uidnext - 1;
	b->base_keywords = buf_span(kw);
}

bool mbox_fits(struct folder *f, const struct rec *r)
{
	size_t len = 0;

	if (r->mbox.block_size == 0)
		return false;
	for (unsigned i = 0; i < f->nkeywords; i++)
		if (r->m.keywords & UINT64_C(1) << i)
			len += span_cstr(f->keywords[i]).len + (len > 0);
	return len <= r->mbox.keyword_room;
}

static int write_base(struct folder *f, int fd)
{
	struct rec *r = &f->recs[0];
	struct mbox_block b;
	struct buf kw = { 0 }, base_kw = { 0 }, out;
	struct span line;
	int rc;

	if (f->mbox->base_validity == f->uidvalidity && f->mbox->base_lastuid == f->uidnext - 1 &&
	    f->mbox->base_keywords == f->nkeywords)
		return 0;
	buf_init(&out, MBOX_BLOCK_MAX + 2 * KEYWORD_NAMES_MAX);
	mbox_block_of(f, r, &kw, &b);
	b.keyword_room = r->mbox.keyword_room;
	mbox_base_of(f, &base_kw, &b);
	mbox_block_make(&out, &b);
	line = span_skip(buf_span(&out), mbox_block_base_at(&b));
	rc = fs_pwrite_all(fd, line, r->mbox.off + r->mbox.from_len + mbox_block_base_at(&b));
	if (rc == 0) {
		f->mbox->base_validity = f->uidvalidity;
		f->mbox->base_lastuid = f->uidnext - 1;
		f->mbox->base_keywords = f->nkeywords;
	}
	buf_free(&kw);
	buf_free(&base_kw);
	buf_free(&out);
	return rc;
}

static int write_block(struct folder *f, int fd, struct rec *r, struct buf *kw, struct buf *out)
{
	struct mbox_block b;
	struct span lines;

	mbox_block_of(f, r, kw, &b);
	buf_reset(out);
	mbox_block_make(out, &b);
	lines = span_of(out->ptr + mbox_block_uid_at(), mbox_block_base_at(&b) - mbox_block_uid_at());
	return fs_pwrite_all(fd, lines, r->mbox.off + r->mbox.from_len + mbox_block_uid_at());
}

enum store_status mbox_write_in_place(struct folder *f, int fd)
{
	struct mbox *m = f->mbox;
	struct buf kw = { 0 }, out;
	int rc = 0;

	buf_init(&out, MBOX_BLOCK_MAX + 2 * KEYWORD_NAMES_MAX);
	m->want_rewrite = m->must_rewrite = false;
	if (f->n > 0 && f->recs[0].mbox.has_base)
		rc = write_base(f, fd);
	else if (f->n > 0 && !m->pseudo)
		m->want_rewrite = true;
	for (size_t i = 0; i < f->n && rc == 0; i++) {
		struct rec *r = &f->recs[i];

		if (r->dirty == 0)
			continue;
		if (!mbox_fits(f, r)) {
			m->want_rewrite = true;
			m->must_rewrite |= (r->dirty & DIRTY_FLAGS) != 0;
			continue;
		}
		rc = write_block(f, fd, r, &kw, &out);
		if (rc == 0) {
			r->mbox.unsynced |= (r->dirty & DIRTY_UID) != 0;
			r->dirty = 0;
		}
	}
	buf_free(&kw);
	buf_free(&out);
	if (rc < 0)
		return folder_errno(f, "write", errno);
	f->dirty = false;
	return STORE_OK;
}
