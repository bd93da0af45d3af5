/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing a message. A small one goes into the log (log.h), if this process has started it. Else what fits into MEMORY_BYTES goes
 * out in one write, and a larger one is streamed to its temporary file. The name
 * that qmgr looks at appears by rename after fsync(file), and fsync(directory) follows before the caller may say 250.
 *
 *	state of the file              name            what a crash leaves
 *	being written, or synced       mail/x/.ID      nothing anybody was promised: removed by the next scan
 *	renamed, directory not synced  mail/x/ID       a whole message; delivered if it survives, nobody was told 250
 *	directory synced               mail/x/ID       the message, for good
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/queue/format.h"
#include "lib/queue/log.h"
#include "lib/queue/place.h"

enum { MEMORY_BYTES = 64 * 1024 };

struct queue_writer {
	char id[QUEUE_ID_MAX];
	char temp[QUEUE_ID_MAX + 1]; /* ".ID" */
	int dir;
	int fd;              /* -1 until the first byte goes out */
	int err;             /* first errno; then nothing more is written */
	struct buf pending;  /* not written yet */
	struct format_header header;
	size_t size_at;      /* where the content size stands in the envelope */
	struct buf envelope;
};

static void fail(struct queue_writer *w)
{
	if (w->err == 0)
		w->err = errno ? errno : EIO;
}

struct queue_writer *queue_create(const struct queue_envelope *env)
{
	struct queue_writer *w = mem_zalloc(sizeof *w);

	snprintf(w->id, sizeof w->id, "%s", env->id);
	snprintf(w->temp, sizeof w->temp, ".%s", env->id);
	w->fd = -1;
	buf_init(&w->pending, MEMORY_BYTES);
	buf_init(&w->envelope, FORMAT_ENVELOPE_MAX);
	format_put_envelope(&w->envelope, env);
	if (w->envelope.overflow)
		w->err = EMSGSIZE;
	w->size_at = 4 + strlen(env->id) + 8;
	w->dir = place_dir(env->id);
	if (w->dir < 0)
		fail(w);
	return w;
}

uint64_t queue_written(const struct queue_writer *w)
{
	return w->header.content_len;
}

static void write_all(struct queue_writer *w, struct iovec *iov, int n)
{
	while (n > 0 && w->err == 0) {
		ssize_t done = writev(w->fd, iov, n);

		if (done < 0) {
			if (errno != EINTR)
				fail(w);
			continue;
		}
		while (n > 0 && (size_t)done >= iov->iov_len) {
			done -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= (size_t)done;
		}
	}
}

/* Header (blank as long as the content is not complete) and envelope start the file. */
static void start_file(struct queue_writer *w, const char header[FORMAT_HEADER_BYTES], struct span content)
{
	struct iovec iov[] = {
		{ (void *)(uintptr_t)header, FORMAT_HEADER_BYTES },
		{ w->envelope.ptr, w->envelope.len },
		{ (void *)(uintptr_t)content.ptr, content.len },
	};

	w->fd = openat(w->dir, w->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (w->fd < 0)
		fail(w);
	else
		write_all(w, iov, 3);
}

static void flush(struct queue_writer *w, struct span more)
{
	static const char blank[FORMAT_HEADER_BYTES];
	struct iovec iov[] = { { w->pending.ptr, w->pending.len }, { (void *)(uintptr_t)more.ptr, more.len } };

	if (w->fd < 0)
		start_file(w, blank, SPAN_NONE);
	if (w->err == 0)
		write_all(w, iov, 2);
	buf_reset(&w->pending);
}

/* What was written so far follows the new envelope into a file of its own. */
static void move_content(struct queue_writer *w, int from, uint64_t at, uint64_t end)
{
	static const char blank[FORMAT_HEADER_BYTES];
	char *piece = mem_alloc(MEMORY_BYTES);

	if (unlinkat(w->dir, w->temp, 0) < 0)
		fail(w);
	w->fd = -1;
	if (w->err == 0)
		start_file(w, blank, SPAN_NONE);
	while (w->err == 0 && at < end) {
		size_t want = end - at < MEMORY_BYTES ? (size_t)(end - at) : MEMORY_BYTES;
		ssize_t n = pread(from, piece, want, (off_t)at);

		if (n > 0) {
			struct iovec iov = { piece, (size_t)n };

			write_all(w, &iov, 1);
			at += (uint64_t)n;
		} else if (n == 0 || errno != EINTR) {
			errno = n == 0 ? EIO : errno;
			fail(w);
		}
	}
	free(piece);
}

void queue_change_envelope(struct queue_writer *w, const struct queue_envelope *env)
{
	uint64_t at = FORMAT_HEADER_BYTES + w->envelope.len, end = at + w->header.content_len - w->pending.len;
	int from = w->fd;

	buf_reset(&w->envelope);
	format_put_envelope(&w->envelope, env);
	if (w->envelope.overflow && w->err == 0)
		w->err = EMSGSIZE;
	if (from < 0)
		return;
	if (w->err == 0)
		move_content(w, from, at, end);
	if (w->fd != from)
		close(from);
}

void queue_write(struct queue_writer *w, struct span content)
{
	if (w->err)
		return;
	w->header.content_len += content.len;
	w->header.content_crc = format_crc(w->header.content_crc, content);
	if (content.len > MEMORY_BYTES - w->pending.len)
		flush(w, content);
	else
		buf_add_span(&w->pending, content);
}

/* The content's size is known now: put it into the envelope and make the header. */
static void complete_header(struct queue_writer *w, char to[FORMAT_HEADER_BYTES])
{
	for (int i = 0; i < 8; i++)
		w->envelope.ptr[w->size_at + (size_t)i] = (char)(w->header.content_len >> (8 * i));
	w->header.envelope_len = (uint32_t)w->envelope.len;
	w->header.envelope_crc = format_crc(0, buf_span(&w->envelope));
	format_put_header(to, &w->header);
}

static void rewrite_start(struct queue_writer *w, const char header[FORMAT_HEADER_BYTES])
{
	if (pwrite(w->fd, header, FORMAT_HEADER_BYTES, 0) != FORMAT_HEADER_BYTES ||
	    pwrite(w->fd, w->envelope.ptr, w->envelope.len, FORMAT_HEADER_BYTES) != (ssize_t)w->envelope.len)
		fail(w);
}

static void finish_file(struct queue_writer *w)
{
	char header[FORMAT_HEADER_BYTES];

	complete_header(w, header);
	if (w->fd < 0) {
		start_file(w, header, buf_span(&w->pending));
		return;
	}
	flush(w, SPAN_NONE);
	if (w->err == 0)
		rewrite_start(w, header);
}

/* A small message goes into the log, where one sync serves many. False: not this one, or there is no room; a file will do. */
static bool commit_to_log(struct queue_writer *w, struct queue_place *place_r)
{
	size_t len = FORMAT_HEADER_BYTES + w->envelope.len + w->pending.len;
	char header[FORMAT_HEADER_BYTES];
	struct iovec iov[] = {
		{ header, sizeof header },
		{ w->envelope.ptr, w->envelope.len },
		{ w->pending.ptr, w->pending.len },
	};

	if (w->fd >= 0 || w->err || !log_takes(len))
		return false;
	complete_header(w, header);
	if (log_append(w->id, iov, 3, len, place_r) == 0)
		return true;
	if (errno != ENOSPC)
		fail(w);
	return false;
}

static void discard(struct queue_writer *w)
{
	if (w->fd >= 0) {
		close(w->fd);
		unlinkat(w->dir, w->temp, 0);
	}
	buf_free(&w->pending);
	buf_free(&w->envelope);
	free(w);
}

int queue_commit(struct queue_writer *w, struct queue_place *place_r)
{
	int err;

	if (commit_to_log(w, place_r)) {
		discard(w);
		return 0;
	}
	if (w->err == 0)
		finish_file(w);
	if (w->err == 0 && fsync(w->fd) < 0)
		fail(w);
	if (w->err == 0 && renameat2(w->dir, w->temp, w->dir, w->id, RENAME_NOREPLACE) < 0)
		fail(w);
	if (w->err == 0 && fsync(w->dir) < 0) {
		fail(w); /* never tried again: it is not known what is on the disk now */
		unlinkat(w->dir, w->id, 0);
	}
	err = w->err;
	if (err == 0) {
		*place_r = (struct queue_place){ 0 };
		close(w->fd);
		w->fd = -1;
	}
	discard(w);
	errno = err;
	return err ? -1 : 0;
}

void queue_abort(struct queue_writer *w)
{
	discard(w);
}
