/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/base/mem.h"
#include "lib/base/pack.h"
#include "lib/store/fs.h"
#include "lib/store/mbox-int.h"

/*
 * The file has two slots that are written in turn, so that a torn write leaves the older one. A slot: magic, sequence, the
 * state, CRC-32 of all that; padded.
 */
enum { SLOT = 2048, MAGIC = 0x31535048 /* "HPS1" */ };

static uint32_t crc_of(const char *p, size_t n)
{
	return (uint32_t)crc32(crc32(0, NULL, 0), (const unsigned char *)p, (unsigned)n);
}

void mbox_state_make(struct buf *b, const struct mbox_state *s)
{
	pack_u32(b, MAGIC);
	pack_u64(b, s->sequence);
	pack_u32(b, s->uidvalidity);
	pack_u32(b, s->uidnext);
	pack_u32(b, s->nruns);
	for (uint32_t i = 0; i < s->nruns; i++) {
		pack_u64(b, s->runs[i].first_off);
		pack_u64(b, s->runs[i].last_off);
		pack_u32(b, s->runs[i].uid);
		pack_u32(b, s->runs[i].count);
		pack_u32(b, s->runs[i].hash);
	}
	pack_u32(b, crc_of(b->ptr, b->len));
}

bool mbox_state_parse(struct span text, struct mbox_state *s)
{
	struct unpack u = { .rest = text };
	size_t used;
	uint32_t crc;

	*s = (struct mbox_state){ 0 };
	if (unpack_u32(&u) != MAGIC)
		return false;
	s->sequence = unpack_u64(&u);
	s->uidvalidity = unpack_u32(&u);
	s->uidnext = unpack_u32(&u);
	s->nruns = unpack_u32(&u);
	for (uint32_t i = 0; s->nruns <= MBOX_RUNS_MAX && i < s->nruns; i++) {
		s->runs[i].first_off = unpack_u64(&u);
		s->runs[i].last_off = unpack_u64(&u);
		s->runs[i].uid = unpack_u32(&u);
		s->runs[i].count = unpack_u32(&u);
		s->runs[i].hash = unpack_u32(&u);
	}
	used = text.len - u.rest.len;
	crc = unpack_u32(&u);
	if (!u.bad && s->nruns <= MBOX_RUNS_MAX && s->sequence > 0 && s->uidvalidity > 0 && s->uidnext > 0 &&
	    crc == crc_of(text.ptr, used))
		return true;
	*s = (struct mbox_state){ 0 };
	return false;
}

static char *state_path(const char *ctl)
{
	return fs_join(ctl, "posthouse-state");
}

void mbox_state_load(const char *ctl, struct mbox_state *s)
{
	AUTO_FREE char *path = state_path(ctl);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct mbox_state other;
	char text[2 * SLOT];
	ssize_t n;

	*s = (struct mbox_state){ 0 };
	if (fd < 0)
		return;
	n = fs_pread_all(fd, text, sizeof text, 0);
	close(fd);
	if (n <= 0)
		return;
	mbox_state_parse(span_of(text, n < SLOT ? (size_t)n : SLOT), s);
	if (n > SLOT && mbox_state_parse(span_of(text + SLOT, (size_t)n - SLOT), &other) && other.sequence > s->sequence)
		*s = other;
}

int mbox_state_save(const char *ctl, struct mbox_state *s)
{
	AUTO_FREE char *path = state_path(ctl);
	int flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, fd = open(path, flags), rc, err;
	bool created = false;
	struct buf b;

	if (fd < 0 && errno == ENOENT && fs_make_dirs(ctl, 0700) == 0) {
		created = true;
		fd = open(path, flags | O_CREAT, 0600);
	}
	if (fd < 0)
		return -1;
	s->sequence++;
	buf_init(&b, SLOT);
	mbox_state_make(&b, s);
	rc = fs_pwrite_all(fd, buf_span(&b), s->sequence % 2 * SLOT);
	buf_free(&b);
	if (rc == 0)
		rc = fdatasync(fd);
	err = errno;
	close(fd);
	if (rc == 0 && created)
		rc = fs_sync_dir(AT_FDCWD, ctl);
	else
		errno = err;
	return rc;
}
