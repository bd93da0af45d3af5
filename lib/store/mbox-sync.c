/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/index.h"
#include "lib/store/mbox-int.h"

enum {
	HEAD_READ = 16 * 1024,                 /* bytes of a message read to look at its fields again */
	LAZY_REWRITE_MAX = 64 * 1024 * 1024,   /* most bytes rewritten only to put UIDs into headers */
};

void mbox_note_ident(struct folder *f, int fd)
{
	struct stat st;

	f->mbox->ident = f->mbox->piece_ident = (struct ident){ 0 }; /* a clock may be too coarse to tell our own writing */
	if (fstat(fd, &st) == 0)
		f->mbox->ident = ident_of(&st);
}

void mbox_only_grew(struct folder *f, int fd, uint64_t old_size)
{
	struct stat st;

	f->mbox->grown_from = 0;
	if (f->mbox->ident.exists && (uint64_t)f->mbox->ident.size == old_size && fstat(fd, &st) == 0 &&
	    (uint64_t)st.st_size > old_size)
		f->mbox->grown_from = old_size;
}

enum store_status mbox_lock(struct folder *f, struct mboxlock *l, bool create)
{
	if (mboxlock_open(l, f->path, O_RDWR | (create ? O_CREAT : 0), 0600, MBOXLOCK_WRITE, store_lock_methods(),
			  store_lock_deadline()) < 0) {
		if (errno == ENOENT && !create)
			return STORE_NOTFOUND;
		if (errno == EACCES || errno == EROFS || errno == EPERM) {
			f->unwritable = true;
			return STORE_REFUSED;
		}
		return folder_errno(f, "open", errno);
	}
	f->unwritable = false;
	if (mbox_journal_replay(f->ctl, l->fd, f->path) < 0) {
		enum store_status s = folder_errno(f, "finish an interrupted change", errno);

		mboxlock_close(l);
		return s;
	}
	return STORE_OK;
}

/* A known message again: still there, same UID; flags may have changed. */
static bool recheck_one(struct folder *f, struct rec *r, int fd, char *buf)
{
	size_t want = r->mbox.end - r->mbox.off < HEAD_READ ? (size_t)(r->mbox.end - r->mbox.off) : HEAD_READ;
	struct mbox_meta meta;
	uint64_t keywords;
	ssize_t n;

	if (r->mbox.block_size > 0 && want > r->mbox.from_len + r->mbox.block_size)
		want = r->mbox.from_len + r->mbox.block_size;
	n = fs_pread_all(fd, buf, want, r->mbox.off);
	if (n != (ssize_t)want || want < r->mbox.from_len || crc32(0, (unsigned char *)buf, r->mbox.from_len) != r->mbox.from_hash)
		return false;
	mbox_meta_parse(span_of(buf + r->mbox.from_len, want - r->mbox.from_len), &meta);
	if (meta.block_size != r->mbox.block_size || meta.unfinished || meta.pseudo)
		return false;
	if (meta.block.uid == r->m.uid)
		r->dirty &= (uint8_t)~DIRTY_UID;
	else if (!(r->dirty & DIRTY_UID) || meta.block.uid != 0)
		return false;
	keywords = folder_keyword_words(f, meta.block.keywords);
	r->old |= meta.block.old;
	if (!(r->dirty & DIRTY_FLAGS) && (meta.block.flags != r->m.flags || keywords != r->m.keywords)) {
		r->m.flags = meta.block.flags;
		r->m.keywords = keywords;
		r->m.modseq = folder_touch(f);
		f->generation++;
	}
	return true;
}

/* Everything but the last message is where it was. */
static bool recheck(struct folder *f, int fd, const struct stat *st)
{
	struct mbox *m = f->mbox;
	char *buf;
	bool ok = true;

	if (!m->ident.exists || m->ident.dev != st->st_dev || m->ident.ino != st->st_ino || st->st_size < m->ident.size || f->n < 2)
		return false;
	if (m->nhidden > 0 && m->hidden[m->nhidden - 1].off > f->recs[f->n - 1].mbox.off)
		return false;
	if (m->grown_from != 0 && m->grown_from == (uint64_t)m->ident.size)
		return true;
	buf = mem_alloc(HEAD_READ);
	for (size_t i = 0; i + 1 < f->n && ok; i++)
		ok = recheck_one(f, &f->recs[i], fd, buf);
	free(buf);
	return ok;
}

/* Changes of clients that are not in the file yet survive a new look at it. */
static void carry_over(struct folder *f, struct rec *old, size_t nold)
{
	for (size_t i = 0; i < nold; i++) {
		struct rec *r;

		if (!(old[i].dirty & (DIRTY_FLAGS | DIRTY_OLD)))
			continue;
		r = folder_find(f, old[i].m.uid);
		if (r == NULL)
			continue;
		if (old[i].dirty & DIRTY_FLAGS) {
			r->m.flags = old[i].m.flags;
			r->m.keywords = old[i].m.keywords;
		}
		r->old |= old[i].old;
		r->dirty |= old[i].dirty & (DIRTY_FLAGS | DIRTY_OLD);
		f->dirty = true;
	}
}

static enum store_status rescan(struct folder *f, int fd, const struct stat *st)
{
	bool tail = recheck(f, fd, st);
	struct rec *old = f->recs, last;
	size_t nold = f->n;
	uint32_t validity = f->uidvalidity;
	enum store_status s;

	if (tail) {
		size_t first = f->n - 1;

		last = f->recs[first];
		f->n--;
		s = mbox_scan(f, fd, last.mbox.off, (uint64_t)st->st_size);
		if (s != STORE_OK)
			return s;
		mbox_assign_uids(f);
		carry_over(f, &last, 1);
		folder_carry(f, first, &last, validity == f->uidvalidity ? 1 : 0);
		return STORE_OK;
	}
	f->recs = NULL;
	f->n = f->cap = 0;
	f->generation++;
	f->mbox->nhidden = 0;
	f->mbox->base_validity = 0;
	f->mbox->pseudo = false;
	s = mbox_scan(f, fd, 0, (uint64_t)st->st_size);
	if (s == STORE_OK) {
		mbox_assign_uids(f);
		carry_over(f, old, nold);
		folder_carry(f, 0, old, validity == f->uidvalidity ? nold : 0);
	}
	free(old);
	return s;
}

/* Where no file can be kept, what this process remembers is better than nothing. */
static void load_state(struct folder *f)
{
	struct mbox_state s;

	mbox_state_load(f->ctl, &s);
	if (s.sequence > 0 || !f->mbox->ctl_failed)
		f->mbox->state = s;
}

enum store_status mbox_refresh_locked(struct folder *f, struct mboxlock *l, bool write_lock)
{
	struct stat st;
	struct ident now;
	enum store_status s = STORE_OK;

	index_load(f);
	if (fstat(l->fd, &st) < 0)
		return folder_errno(f, "fstat", errno);
	now = ident_of(&st);
	if (!ident_same(&now, &f->mbox->ident)) {
		load_state(f);
		s = rescan(f, l->fd, &st);
		f->mbox->grown_from = 0;
		if (s != STORE_OK) {
			f->mbox->ident = (struct ident){ 0 };
			return s;
		}
		f->mbox->ident = now;
		f->dirty = true; /* at least the base may want writing */
		mbox_save_state(f);
	}
	if (f->dirty && write_lock) {
		s = mbox_write_in_place(f, l->fd);
		/* without a state file the mailbox itself has to hold the numbers before anybody hears of them */
		if (s == STORE_OK && f->mbox->ctl_failed && fdatasync(l->fd) < 0)
			s = folder_errno(f, "fdatasync", errno);
		mbox_note_ident(f, l->fd);
	}
	return s;
}

/* No file: an INBOX that has never had mail, or one that somebody removed. */
static enum store_status refresh_absent(struct folder *f)
{
	struct mbox *m = f->mbox;

	if (!m->ident.exists && f->uidvalidity != 0)
		return STORE_OK;
	if (f->n > 0)
		folder_touch(f);
	folder_clear(f);
	m->nhidden = 0;
	m->base_validity = 0;
	m->pseudo = false;
	m->ident = (struct ident){ 0 };
	load_state(f);
	mbox_assign_uids(f);
	if (f->is_inbox) /* another folder was deleted, and its state with it */
		mbox_save_state(f);
	f->dirty = false;
	return STORE_OK;
}

enum store_status mbox_refresh(struct folder *f)
{
	struct mboxlock l;
	struct stat st;
	struct ident now;
	enum store_status s;

	index_load(f);
	if (stat(f->path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? refresh_absent(f) : folder_errno(f, "stat", errno);
	now = ident_of(&st);
	if (ident_same(&now, &f->mbox->ident) && (!f->dirty || f->unwritable))
		return STORE_OK;
	s = mbox_lock(f, &l, false);
	if (s == STORE_NOTFOUND)
		return refresh_absent(f);
	if (s == STORE_REFUSED) {
		if (mboxlock_open(&l, f->path, O_RDONLY, 0, MBOXLOCK_READ, store_lock_methods(), store_lock_deadline()) < 0)
			return folder_errno(f, "open", errno);
		s = mbox_refresh_locked(f, &l, false);
	} else if (s == STORE_OK) {
		s = mbox_refresh_locked(f, &l, true);
	} else {
		return s;
	}
	mboxlock_close(&l);
	return s;
}

/* Bytes that a rewriting would have to move, when all it has to do is to find room for numbers. */
static uint64_t rewrite_size(const struct folder *f)
{
	if (f->n > 0 && !f->recs[0].mbox.has_base && !f->mbox->pseudo)
		return (uint64_t)f->mbox->ident.size;
	for (size_t i = 0; i < f->n; i++)
		if (f->recs[i].dirty)
			return (uint64_t)f->mbox->ident.size - f->recs[i].mbox.off;
	return 0;
}

static enum store_status mbox_flush(struct folder *f, bool durable)
{
	struct mboxlock l;
	enum store_status s;

	if (!f->dirty && !f->mbox->want_rewrite && !durable)
		return STORE_OK;
	s = mbox_lock(f, &l, false);
	if (s == STORE_NOTFOUND || s == STORE_REFUSED)
		return STORE_OK;
	if (s != STORE_OK)
		return s;
	s = mbox_refresh_locked(f, &l, true);
	if (s == STORE_OK && f->mbox->want_rewrite && (f->mbox->must_rewrite || rewrite_size(f) <= LAZY_REWRITE_MAX))
		s = mbox_rewrite(f, &l, NULL, 0);
	if (s == STORE_OK && durable) {
		if (fdatasync(l.fd) < 0)
			s = folder_errno(f, "fdatasync", errno);
		else
			mbox_synced(f);
	}
	mboxlock_close(&l);
	return s;
}

static enum store_status mbox_expunge(struct folder *f, const uint32_t *uids, size_t n)
{
	struct mboxlock l;
	enum store_status s = mbox_lock(f, &l, false);

	if (s == STORE_NOTFOUND)
		return refresh_absent(f);
	if (s != STORE_OK)
		return s;
	s = mbox_refresh_locked(f, &l, true);
	if (s == STORE_OK)
		s = mbox_rewrite(f, &l, uids, n);
	mboxlock_close(&l);
	return s;
}

static enum store_status mbox_flagged(struct folder *f, struct rec *r)
{
	(void)r;
	f->dirty = true;
	return STORE_OK;
}

static void mbox_told(struct folder *f)
{
	f->dirty = true;
}

static enum store_status mbox_size(struct folder *f, struct rec *r)
{
	(void)f;
	(void)r;
	return STORE_OK; /* known since the scan */
}

static unsigned mbox_watch(const struct folder *f, const char *paths[2])
{
	paths[0] = f->path;
	return 1;
}

static void mbox_free(struct folder *f)
{
	mbox_rest(f);
	free(f->mbox->hidden);
	free(f->mbox);
}

const struct folder_ops mbox_ops = {
	.refresh = mbox_refresh, .read = mbox_read, .flush = mbox_flush, .expunge = mbox_expunge, .append = mbox_append,
	.flagged = mbox_flagged, .told = mbox_told, .size = mbox_size, .rest = mbox_rest, .watch = mbox_watch, .free = mbox_free,
};

void mbox_init(struct folder *f)
{
	f->ops = &mbox_ops;
	f->mbox = mem_zalloc(sizeof *f->mbox);
}
