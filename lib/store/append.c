/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * APPEND and COPY. Bytes come at a client's pace, so they are collected in an unnamed file first, and the folder is
 * locked only when all of them are there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/store/fs.h"
#include "lib/store/mbox-format.h"
#include "lib/store/store-int.h"

enum { CHUNK = 64 * 1024, MESSAGES_MAX = 1000000 };

struct store_append {
	struct folder *f;
	struct arena arena;
	struct append_msg *v;
	size_t n, cap;
	bool open;                /* the last message still takes bytes */
	struct mbox_encoder enc;
	struct buf out;
	int fd;
	uint64_t size;            /* written to fd */
	enum store_status failed;
};

unsigned append_count(const struct store_append *ap)
{
	return (unsigned)ap->n;
}

const struct append_msg *append_get(const struct store_append *ap, size_t i)
{
	return &ap->v[i];
}

int append_copy(const struct store_append *ap, size_t i, int fd, int64_t at)
{
	uint64_t from = ap->v[i].off, left = ap->v[i].len;
	char *text = mem_alloc(CHUNK);
	int rc = 0;

	while (left > 0 && rc == 0) {
		size_t n = left < CHUNK ? (size_t)left : CHUNK;

		if (fs_pread_all(ap->fd, text, n, from) != (ssize_t)n)
			rc = -1;
		else if (at >= 0)
			rc = fs_pwrite_all(fd, span_of(text, n), (uint64_t)at);
		else
			rc = fs_write_all(fd, span_of(text, n));
		from += n;
		left -= n;
		at += at >= 0 ? (int64_t)n : 0;
	}
	free(text);
	return rc;
}

static int open_spool(const struct store *s)
{
	int fd = open(s->root, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = memfd_create("append", MFD_CLOEXEC);
	return fd;
}

enum store_status store_append_begin(struct store *s, struct span name, struct store_append **ap_r)
{
	struct store_append *ap;
	struct folder *f;
	enum store_status st = folder_named(s, name, &f);

	if (st != STORE_OK)
		return st;
	ap = mem_zalloc(sizeof *ap);
	ap->f = f;
	ap->fd = open_spool(s);
	buf_init(&ap->out, 4 * CHUNK);
	if (ap->fd < 0) {
		st = folder_errno(ap->f, "open a temporary file", errno);
		store_append_abort(ap);
		return st;
	}
	*ap_r = ap;
	return STORE_OK;
}

static enum store_status fail(struct store_append *ap, enum store_status s)
{
	ap->failed = s;
	return s;
}

static enum store_status spool(struct store_append *ap)
{
	struct append_msg *m = &ap->v[ap->n - 1];

	if (fs_pwrite_all(ap->fd, buf_span(&ap->out), ap->size) < 0)
		return fail(ap, folder_errno(ap->f, "write a temporary file", errno));
	m->crc = (uint32_t)crc32(m->crc, (unsigned char *)ap->out.ptr, (unsigned)ap->out.len);
	for (size_t i = 0; i < ap->out.len; i++)
		m->lines += ap->out.ptr[i] == '\n';
	m->len += ap->out.len;
	ap->size += ap->out.len;
	buf_reset(&ap->out);
	return STORE_OK;
}

static enum store_status end_message(struct store_append *ap)
{
	if (!ap->open)
		return STORE_OK;
	ap->open = false;
	if (!mbox_encode_end(&ap->enc, &ap->out))
		return fail(ap, STORE_ERROR);
	return spool(ap);
}

enum store_status store_append_message(struct store_append *ap, uint32_t flags, const struct span *keywords, size_t nkeywords,
				       int64_t internal_date, int32_t zone_minutes)
{
	struct append_msg *m;
	enum store_status s = ap->failed ? ap->failed : end_message(ap);

	if (s != STORE_OK)
		return s;
	if (ap->n == MESSAGES_MAX)
		return fail(ap, STORE_TOOBIG);
	if (ap->n == ap->cap) {
		ap->cap = ap->cap ? ap->cap * 2 : 8;
		ap->v = mem_realloc_array(ap->v, ap->cap, sizeof *ap->v);
	}
	m = &ap->v[ap->n++];
	*m = (struct append_msg){ .off = ap->size, .flags = flags & 31u, .date = internal_date ? internal_date : clock_wall(),
				  .zone = zone_minutes, .nkeywords = nkeywords };
	m->keywords = arena_array(&ap->arena, nkeywords + 1, sizeof *m->keywords);
	for (size_t i = 0; i < nkeywords; i++)
		m->keywords[i] = arena_span(&ap->arena, keywords[i]);
	mbox_encoder_init(&ap->enc, ap->f->ops == &mbox_ops);
	ap->open = true;
	return STORE_OK;
}

enum store_status store_append_write(struct store_append *ap, struct span bytes)
{
	if (ap->failed)
		return ap->failed;
	must(ap->open);
	while (bytes.len > 0) {
		struct span part = span_head(bytes, CHUNK);

		if (!mbox_encode(&ap->enc, part, &ap->out))
			return fail(ap, STORE_ERROR);
		bytes = span_skip(bytes, part.len);
		if (ap->out.len >= CHUNK && spool(ap) != STORE_OK)
			return ap->failed;
	}
	return STORE_OK;
}

void store_append_abort(struct store_append *ap)
{
	folder_put(ap->f);
	if (ap->fd >= 0)
		close(ap->fd);
	buf_free(&ap->out);
	arena_free(&ap->arena);
	free(ap->v);
	free(ap);
}

enum store_status store_append_commit(struct store_append *ap, struct arena *a, uint32_t *uidvalidity_r,
				      uint32_t **uids_r, size_t *n_r)
{
	enum store_status s = ap->failed ? ap->failed : end_message(ap);
	uint32_t *uids = arena_array(a, ap->n + 1, sizeof *uids);

	*uids_r = uids;
	*n_r = ap->n;
	if (s == STORE_OK && ap->n > 0) {
		pthread_mutex_lock(&ap->f->mu);
		s = ap->f->ops->append(ap->f, ap, uids);
		*uidvalidity_r = ap->f->uidvalidity;
		pthread_mutex_unlock(&ap->f->mu);
	}
	store_append_abort(ap);
	return s;
}
