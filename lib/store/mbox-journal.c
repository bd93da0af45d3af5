/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replacing the end of an mbox, from START on, so that a crash at any instant loses and doubles nothing, although the
 * file is rewritten where it stands (a spool directory lets no user put a new file there).
 *
 * The new bytes go to CTL/posthouse-journal first. Header (one block of HEADER bytes), then the bytes:
 *
 *	phase		the mbox meanwhile
 *	(none, or damaged)	untouched; the journal is thrown away
 *	EXTEND		untouched up to OLD, the file's size; perhaps longer, with NULs and LFs (only when NEW > OLD)
 *	COPY		[START, max(OLD, NEW)) is being overwritten; nothing was cut off
 *	CUT		[START, NEW) is right, MARK stands at NEW; then the file is cut off there (only when NEW < OLD)
 *
 * Every phase is durable before the next one begins. Deliverers know nothing of this: what they append in between
 * stands behind all of it and is found by replay: behind max(OLD, NEW); in phase CUT behind OLD while MARK is there, else
 * behind NEW. As deliverers take NULs behind the last letter for the remains of a power failure and cut them off, there
 * are none while that matters.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/pack.h"
#include "lib/store/fs.h"
#include "lib/store/mbox-int.h"

enum { HEADER = 128, MAGIC = 0x314a5048 /* "HPJ1" */, CHUNK = 256 * 1024, PREFIX = 4096 };
static const char MARK[] = "\001"; /* no letter begins so */
enum phase { PHASE_EXTEND = 1, PHASE_COPY, PHASE_CUT };

struct header {
	uint32_t phase;
	uint64_t dev, ino;
	uint64_t start, old_size, new_size;
	uint32_t prefix_crc; /* of the bytes in front of start */
	uint32_t crc;        /* of the new bytes */
};

struct mbox_journal {
	char *path, *ctl;
	int fd;
	struct header h;
	struct buf out;
	uint64_t written; /* with what is in out */
	bool failed;
};

static uint32_t crc_add(uint32_t crc, const void *p, size_t n)
{
	return (uint32_t)crc32(crc, p, (unsigned)n);
}

static int header_write(int fd, const struct header *h)
{
	struct buf b;
	int rc;

	buf_init(&b, HEADER);
	pack_u32(&b, MAGIC);
	pack_u32(&b, h->phase);
	pack_u64(&b, h->dev);
	pack_u64(&b, h->ino);
	pack_u64(&b, h->start);
	pack_u64(&b, h->old_size);
	pack_u64(&b, h->new_size);
	pack_u32(&b, h->prefix_crc);
	pack_u32(&b, h->crc);
	pack_u32(&b, crc_add(0, b.ptr, b.len));
	rc = fs_pwrite_all(fd, buf_span(&b), 0);
	buf_free(&b);
	return rc == 0 ? fdatasync(fd) : rc;
}

static bool header_read(int fd, struct header *h)
{
	char text[HEADER];
	struct unpack u = { .rest = { text, sizeof text } };
	size_t used;
	ssize_t n = fs_pread_all(fd, text, sizeof text, 0);

	if (n < 64)
		return false;
	u.rest.len = (size_t)n;
	if (unpack_u32(&u) != MAGIC)
		return false;
	h->phase = unpack_u32(&u);
	h->dev = unpack_u64(&u);
	h->ino = unpack_u64(&u);
	h->start = unpack_u64(&u);
	h->old_size = unpack_u64(&u);
	h->new_size = unpack_u64(&u);
	h->prefix_crc = unpack_u32(&u);
	h->crc = unpack_u32(&u);
	used = (size_t)n - u.rest.len;
	return unpack_u32(&u) == crc_add(0, text, used) && !u.bad && h->phase >= PHASE_EXTEND && h->phase <= PHASE_CUT &&
	       h->start <= h->old_size && h->start <= h->new_size;
}

/* CRC of the bytes just in front of start. */
static int prefix_crc(int fd, uint64_t start, uint32_t *crc_r)
{
	char text[PREFIX];
	size_t n = start < PREFIX ? (size_t)start : PREFIX;

	if (fs_pread_all(fd, text, n, start - n) != (ssize_t)n)
		return -1;
	*crc_r = crc_add(0, text, n);
	return 0;
}

/* --- writing the new bytes -------------------------------------------------------------------------------------- */

static struct mbox_journal *journal_new(const char *ctl, const char *name, uint64_t start)
{
	struct mbox_journal *j = mem_zalloc(sizeof *j);
	int flags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;

	j->ctl = mem_strdup(ctl);
	j->path = fs_join(ctl, name);
	j->h.start = start;
	buf_init(&j->out, 2 * CHUNK);
	j->fd = open(j->path, flags, 0600);
	if (j->fd < 0 && errno == ENOENT && fs_make_dirs(ctl, 0700) == 0)
		j->fd = open(j->path, flags, 0600);
	if (j->fd >= 0)
		return j;
	mbox_journal_abort(j);
	return NULL;
}

struct mbox_journal *mbox_journal_begin(const char *ctl, uint64_t start)
{
	return journal_new(ctl, "posthouse-journal", start);
}

static int journal_flush(struct mbox_journal *j)
{
	uint64_t at = HEADER + j->written - j->out.len;

	j->h.crc = crc_add(j->h.crc, j->out.ptr, j->out.len);
	if (j->failed || fs_pwrite_all(j->fd, buf_span(&j->out), at) < 0) {
		j->failed = true;
		return -1;
	}
	buf_reset(&j->out);
	return 0;
}

int mbox_journal_write(struct mbox_journal *j, struct span s)
{
	while (s.len > 0) {
		struct span part = span_head(s, CHUNK);

		buf_add_span(&j->out, part);
		j->written += part.len;
		s = span_skip(s, part.len);
		if (j->out.len >= CHUNK && journal_flush(j) < 0)
			return -1;
	}
	return 0;
}

uint64_t mbox_journal_written(const struct mbox_journal *j)
{
	return j->written;
}

static void journal_free(struct mbox_journal *j)
{
	int err = errno;

	if (j->fd >= 0)
		close(j->fd);
	buf_free(&j->out);
	free(j->path);
	free(j->ctl);
	free(j);
	errno = err;
}

void mbox_journal_abort(struct mbox_journal *j)
{
	int err = errno;

	if (j->fd >= 0)
		unlink(j->path);
	errno = err;
	journal_free(j);
}

/* --- doing it --------------------------------------------------------------------------------------------------- */

static int set_phase(int jfd, struct header *h, enum phase phase)
{
	h->phase = phase;
	return header_write(jfd, h);
}

static int copy_into(int jfd, int fd, const struct header *h)
{
	uint64_t left = h->new_size - h->start, at = 0;
	char *text = mem_alloc(CHUNK);
	int rc = 0;

	while (left > 0 && rc == 0) {
		size_t n = left < CHUNK ? (size_t)left : CHUNK;

		if (fs_pread_all(jfd, text, n, HEADER + at) != (ssize_t)n)
			rc = -1;
		else
			rc = fs_pwrite_all(fd, span_of(text, n), h->start + at);
		at += n;
		left -= n;
	}
	free(text);
	return rc;
}

/* From phase COPY (or CUT, again) to the end; the file is at least as long as its old size, and nothing is behind that. */
static int finish(int jfd, int fd, struct header *h, const char *path)
{
	if (copy_into(jfd, fd, h) < 0)
		return -1;
	if (h->new_size < h->old_size) {
		if (fs_pwrite_all(fd, span_of(MARK, 1), h->new_size) < 0 || fdatasync(fd) < 0 || set_phase(jfd, h, PHASE_CUT) < 0 ||
		    ftruncate(fd, (off_t)h->new_size) < 0)
			return -1;
	}
	if (fsync(fd) < 0)
		return -1;
	return unlink(path);
}

/* Empty lines: they do no harm, whoever looks, and nobody cuts them off. */
static int fill(int fd, uint64_t at, uint64_t end)
{
	char text[4096];

	memset(text, '\n', sizeof text);
	while (at < end) {
		size_t n = end - at < sizeof text ? (size_t)(end - at) : sizeof text;

		if (fs_pwrite_all(fd, span_of(text, n), at) < 0)
			return -1;
		at += n;
	}
	return 0;
}

int mbox_journal_commit(struct mbox_journal *j, int fd)
{
	struct header *h = &j->h;
	struct stat st;
	int rc = -1;

	if (journal_flush(j) < 0 || fstat(fd, &st) < 0 || prefix_crc(fd, h->start, &h->prefix_crc) < 0) {
		mbox_journal_abort(j);
		return -1;
	}
	h->dev = st.st_dev;
	h->ino = st.st_ino;
	h->old_size = (uint64_t)st.st_size;
	h->new_size = h->start + j->written;
	if (set_phase(j->fd, h, h->new_size > h->old_size ? PHASE_EXTEND : PHASE_COPY) < 0 || fs_sync_dir(AT_FDCWD, j->ctl) < 0) {
		mbox_journal_abort(j);
		return -1;
	}
	if (h->new_size > h->old_size) {
		rc = posix_fallocate(fd, (off_t)h->old_size, (off_t)(h->new_size - h->old_size));
		if (rc != 0) {
			int err = rc;

			if (ftruncate(fd, (off_t)h->old_size) == 0) {
				errno = err;
				mbox_journal_abort(j);
				return -1;
			}
			errno = err;
			journal_free(j); /* replay sees to it */
			return -1;
		}
		if (fill(fd, h->old_size, h->new_size) < 0 || fdatasync(fd) < 0 ||
		    set_phase(j->fd, h, PHASE_COPY) < 0) {
			journal_free(j);
			return -1;
		}
	}
	rc = finish(j->fd, fd, h, j->path);
	journal_free(j);
	return rc;
}

/* --- after a crash ---------------------------------------------------------------------------------------------- */

/* What extending puts there: NULs, then LFs. */
static bool is_extension(int fd, uint64_t at, uint64_t end)
{
	char text[4096];

	while (at < end) {
		size_t n = end - at < sizeof text ? (size_t)(end - at) : sizeof text;

		if (fs_pread_all(fd, text, n, at) != (ssize_t)n)
			return false;
		for (size_t i = 0; i < n; i++)
			if (text[i] != '\0' && text[i] != '\n')
				return false;
		at += n;
	}
	return true;
}

/* Are the new bytes in the journal whole? */
static bool content_whole(int jfd, const struct header *h)
{
	uint64_t left = h->new_size - h->start, at = HEADER;
	char *text = mem_alloc(CHUNK);
	uint32_t crc = 0;

	while (left > 0) {
		size_t n = left < CHUNK ? (size_t)left : CHUNK;

		if (fs_pread_all(jfd, text, n, at) != (ssize_t)n)
			break;
		crc = crc_add(crc, text, n);
		at += n;
		left -= n;
	}
	free(text);
	return left == 0 && crc == h->crc;
}

static int copy_range(struct mbox_journal *j, int fd, uint64_t at, uint64_t end)
{
	char *text = mem_alloc(CHUNK);
	int rc = 0;

	while (at < end && rc == 0) {
		size_t n = end - at < CHUNK ? (size_t)(end - at) : CHUNK;

		rc = fs_pread_all(fd, text, n, at) == (ssize_t)n ? mbox_journal_write(j, span_of(text, n)) : -1;
		at += n;
	}
	free(text);
	return rc;
}

/* Empty lines that a deliverer put in front of its letter because it saw something unfinished. */
static uint64_t skip_separators(int jfd, int fd, const struct header *h, uint64_t at, uint64_t end)
{
	char tail[2] = { 0 }, c;

	if (h->new_size - h->start >= 2 && fs_pread_all(jfd, tail, 2, HEADER + h->new_size - h->start - 2) != 2)
		return at;
	if (h->new_size > h->start && memcmp(tail, "\n\n", 2) != 0)
		return at;
	while (at < end && fs_pread_all(fd, &c, 1, at) == 1 && c == '\n')
		at++;
	return at;
}

/* Letters came in behind the old end: a new journal takes them along. */
static int replay_with_tail(const char *ctl, const char *path, int jfd, int fd, struct header *h, uint64_t end)
{
	struct mbox_journal *j = journal_new(ctl, "posthouse-journal.new", h->start);
	int rc;

	if (j == NULL)
		return -1;
	rc = copy_range(j, jfd, HEADER, HEADER + h->new_size - h->start);
	if (rc == 0)
		rc = copy_range(j, fd, skip_separators(jfd, fd, h, h->old_size, end), end);
	if (rc < 0 || journal_flush(j) < 0) {
		mbox_journal_abort(j);
		return -1;
	}
	j->h.dev = h->dev;
	j->h.ino = h->ino;
	j->h.prefix_crc = h->prefix_crc;
	j->h.old_size = end;
	j->h.new_size = h->start + j->written;
	/* with the letters the end is never behind the old one plus them, so there is nothing to extend */
	if (set_phase(j->fd, &j->h, PHASE_COPY) < 0 || rename(j->path, path) < 0 || fs_sync_dir(AT_FDCWD, ctl) < 0) {
		mbox_journal_abort(j);
		return -1;
	}
	rc = finish(j->fd, fd, &j->h, path);
	journal_free(j);
	return rc;
}

static int replay_extend(const char *path, int jfd, int fd, struct header *h, uint64_t size)
{
	uint64_t end = size < h->new_size ? size : h->new_size;

	if (end <= h->old_size || !is_extension(fd, h->old_size, end))
		return unlink(path); /* not extended yet: nothing was changed */
	if (size <= h->new_size)
		return ftruncate(fd, (off_t)h->old_size) == 0 ? unlink(path) : -1;
	/* letters came in behind the extension: go on */
	return set_phase(jfd, h, PHASE_COPY) == 0 ? finish(jfd, fd, h, path) : -1;
}

static int replay_copy(const char *ctl, const char *path, int jfd, int fd, struct header *h, uint64_t size)
{
	char c = 'x';

	if (h->phase == PHASE_CUT && fs_pread_all(fd, &c, 1, h->new_size) == 1 && c != MARK[0]) {
		/* cut off already, and letters came in behind */
		return fsync(fd) == 0 ? unlink(path) : -1;
	}
	if (size > h->old_size && h->new_size < h->old_size)
		return replay_with_tail(ctl, path, jfd, fd, h, size);
	return finish(jfd, fd, h, path);
}

static int replay_opened(const char *ctl, const char *path, int jfd, int fd, const char *mbox)
{
	struct header h;
	struct stat st;
	uint32_t crc;

	if (!header_read(jfd, &h) || !content_whole(jfd, &h))
		return unlink(path); /* killed while it was being written: the mailbox is untouched */
	if (fstat(fd, &st) < 0)
		return -1;
	if (st.st_dev != h.dev || st.st_ino != h.ino || prefix_crc(fd, h.start, &crc) < 0 || crc != h.prefix_crc) {
		AUTO_FREE char *aside = fs_join(ctl, "posthouse-journal.unused");

		log_warn("%s: replaced since an interrupted change; left in %s", mbox, aside);
		return rename(path, aside);
	}
	log_info("%s: finishing an interrupted change", mbox);
	if (h.phase == PHASE_EXTEND)
		return replay_extend(path, jfd, fd, &h, (uint64_t)st.st_size);
	return replay_copy(ctl, path, jfd, fd, &h, (uint64_t)st.st_size);
}

int mbox_journal_replay(const char *ctl, int fd, const char *mbox)
{
	AUTO_FREE char *path = fs_join(ctl, "posthouse-journal");
	int rc, err, jfd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (jfd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -1;
	rc = replay_opened(ctl, path, jfd, fd, mbox);
	err = errno;
	close(jfd);
	errno = err;
	return rc < 0 ? -1 : 1;
}
