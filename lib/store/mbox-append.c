/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/mbox-int.h"

struct adding {
	struct folder *f;
	struct store_append *ap;
	int fd;
	uint64_t at;
	struct mbox_pos *pos;
	struct buf out, kw, base_kw;
};

static int separate(struct adding *w)
{
	char tail[4] = { 0 };
	size_t n = w->at < 4 ? (size_t)w->at : 4;
	struct span end, add;

	if (n == 0)
		return 0;
	if (fs_pread_all(w->fd, tail, n, w->at - n) != (ssize_t)n)
		return -1;
	end = span_of(tail, n);
	if (span_ends(end, "\n\n") || span_ends(end, "\n\r\n"))
		return 0;
	add = span_head(SPAN("\n\n"), span_ends(end, "\n") ? 1 : 2);
	w->at += add.len;
	return fs_pwrite_all(w->fd, add, w->at - add.len);
}

static int add_one(struct adding *w, size_t i, uint32_t uid)
{
	const struct append_msg *msg = append_get(w->ap, i);
	struct rec r = { .m = { .uid = uid, .flags = msg->flags } };
	struct mbox_pos *p = &w->pos[i];
	struct mbox_block b;
	bool first = w->at == 0;

	for (size_t k = 0; k < msg->nkeywords; k++) {
		int bit = folder_keyword(w->f, msg->keywords[k], true);

		if (bit >= 0)
			r.m.keywords |= UINT64_C(1) << bit;
	}
	mbox_block_of(w->f, &r, &w->kw, &b);
	if (first) {
		mbox_base_of(w->f, &w->base_kw, &b);
		b.base_room = (uint32_t)b.base_keywords.len + MBOX_BASE_ROOM;
	}
	b.key = (uint64_t)clock_wall(); /* of no delivery: the save date */
	b.crc = msg->crc;
	buf_reset(&w->out);
	mbox_from_make(&w->out, SPAN("MAILER-DAEMON"), msg->date);
	p->from_len = (uint32_t)w->out.len;
	p->off = w->at;
	p->block_size = (uint32_t)mbox_block_size(&b);
	mbox_block_make(&w->out, &b);
	if (fs_pwrite_all(w->fd, buf_span(&w->out), w->at) < 0)
		return -1;
	w->at += w->out.len;
	if (append_copy(w->ap, i, w->fd, (int64_t)w->at) < 0)
		return -1;
	w->at += msg->len;
	p->end = w->at;
	return 0;
}

/* All are there: now they count. */
static int complete(struct adding *w)
{
	for (size_t i = 0; i < append_count(w->ap); i++) {
		char text[16];
		struct mbox_pos *p = &w->pos[i];
		int n = snprintf(text, sizeof text, "%012llu", (unsigned long long)(p->end - p->off));

		if (fs_pwrite_all(w->fd, span_of(text, (size_t)n), p->off + p->from_len + mbox_block_length_at()) < 0)
			return -1;
	}
	return fdatasync(w->fd);
}

static int add_all(struct adding *w, uint32_t uid, uint32_t *uids)
{
	if (separate(w) < 0)
		return -1;
	for (size_t i = 0; i < append_count(w->ap); i++) {
		uids[i] = uid + (uint32_t)i;
		if (add_one(w, i, uids[i]) < 0)
			return -1;
	}
	return complete(w);
}

static enum store_status append_locked(struct folder *f, struct mboxlock *l, struct store_append *ap, uint32_t *uids)
{
	struct adding w = { .f = f, .ap = ap, .fd = l->fd };
	uint32_t first_uid = f->uidnext;
	enum store_status s = STORE_OK;
	struct stat st;

	if (fstat(l->fd, &st) < 0)
		return folder_errno(f, "fstat", errno);
	w.at = (uint64_t)st.st_size;
	/* the UIDs are used up, whatever happens from here on */
	f->uidnext += append_count(ap);
	mbox_save_state(f);
	w.pos = mem_realloc_array(NULL, append_count(ap) + 1, sizeof *w.pos);
	buf_init(&w.out, 64 * 1024);
	if (add_all(&w, first_uid, uids) < 0) {
		int err = errno;

		if (ftruncate(l->fd, st.st_size) < 0)
			log_error("%s: cannot take back an unfinished message", f->path);
		s = folder_errno(f, "write", err);
	}
	free(w.pos);
	buf_free(&w.out);
	buf_free(&w.kw);
	buf_free(&w.base_kw);
	return s;
}

/* The first mail of a user whose mail directory is not there yet; a failure shows when the file is made. */
static void make_parent(const char *path)
{
	AUTO_FREE char *dir = mem_strdup(path);

	*strrchr(dir, '/') = '\0';
	if (*dir && fs_make_dirs(dir, 0700) < 0)
		log_debug("%s: %s", dir, strerrordesc_np(errno));
}

enum store_status mbox_append(struct folder *f, struct store_append *ap, uint32_t *uids)
{
	struct mboxlock l;
	bool create = f->is_inbox && access(f->path, F_OK) < 0;
	enum store_status s;
	uint64_t before;

	if (create)
		make_parent(f->path);
	s = mbox_lock(f, &l, create);
	if (s == STORE_REFUSED)
		log_error("%s: cannot be written", f->path);
	if (s != STORE_OK)
		return s;
	s = mbox_refresh_locked(f, &l, true);
	before = (uint64_t)f->mbox->ident.size;
	if (s == STORE_OK)
		s = append_locked(f, &l, ap, uids);
	if (s == STORE_OK && create && fs_sync_parent(f->path) < 0)
		s = folder_errno(f, "fsync", errno);
	if (s == STORE_OK) {
		mbox_only_grew(f, l.fd, before); /* the lock was ours all the time */
		s = mbox_refresh_locked(f, &l, true); /* the table learns of them as of anybody's mail */
	}
	mboxlock_close(&l);
	return s;
}
