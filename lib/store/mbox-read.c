/* SPDX-License-Identifier: BSD-2-Clause */
/* The text of messages. Clients ask for one after the other, so that a large piece of the file is read at once. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "lib/store/mbox-int.h"

enum { AHEAD_MIN = 64 * 1024, AHEAD_MAX = 1024 * 1024 };

void mbox_rest(struct folder *f)
{
	piece_free(&f->mbox->piece);
}

/* Twice as much each time, while what is asked for stands behind the piece. */
static size_t how_far_ahead(const struct mbox *m, uint64_t from, size_t n)
{
	uint64_t end = m->piece.off + m->piece.text.len;

	if (n > AHEAD_MAX)
		return 0;
	if (m->piece.text.len == 0 || from > end || end - from > n)
		return AHEAD_MIN;
	return m->ahead * 2 < AHEAD_MAX ? m->ahead * 2 : AHEAD_MAX;
}

static enum store_status read_piece(struct folder *f, int fd, uint64_t from, size_t n)
{
	struct mbox *m = f->mbox;
	struct stat st;
	struct ident now;

	if (fstat(fd, &st) < 0)
		return folder_errno(f, "fstat", errno);
	now = ident_of(&st);
	if (!ident_same(&now, &m->ident))
		return STORE_EXPUNGED;
	m->ahead = how_far_ahead(m, from, n);
	if (!piece_read(&m->piece, fd, from, n, m->ahead))
		return folder_errno(f, "read", errno ? errno : EIO);
	m->piece_ident = now;
	return STORE_OK;
}

/* From the piece that was read when the table was made, or last; else with the lock, which says that it is of one writing. */
enum store_status mbox_read(struct folder *f, const struct rec *r, struct buf *out)
{
	uint64_t from = r->mbox.off + r->mbox.from_len;
	size_t n = (size_t)(r->mbox.end - from);
	struct mboxlock l;
	struct span text;
	enum store_status s;

	if (ident_same(&f->mbox->piece_ident, &f->mbox->ident) && piece_has(&f->mbox->piece, from, n, &text))
		return mbox_decode(text, out) ? STORE_OK : STORE_TOOBIG;
	if (mboxlock_open(&l, f->path, O_RDONLY, 0, MBOXLOCK_READ, store_lock_methods(), store_lock_deadline()) < 0)
		return errno == ENOENT ? STORE_EXPUNGED : folder_errno(f, "open", errno);
	s = read_piece(f, l.fd, from, n);
	mboxlock_close(&l);
	if (s == STORE_OK && (!piece_has(&f->mbox->piece, from, n, &text) || !mbox_decode(text, out)))
		s = STORE_TOOBIG;
	if (n > AHEAD_MAX)
		mbox_rest(f);
	return s;
}
