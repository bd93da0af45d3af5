/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/deliver-int.h"
#include "lib/store/fs.h"

enum { LOCK_WAIT_MS = 20000, COMPLETION_BYTES = 21 };

/* Why the mailbox was not opened, in the words that administrators know. */
static struct verdict open_failed(const struct deliver_batch *b, struct arena *a, int err)
{
	const char *path = b->t.path;

	switch (err) {
	case EAGAIN:
	case ETIMEDOUT:
		return verdict_make(a, "4.2.0", "cannot update mailbox %s: unable to lock for exclusive access", path);
	case ELOOP:
		return verdict_make(a, "4.2.0", "cannot update mailbox %s: file is a symbolic link", path);
	case EISDIR:
		return verdict_make(a, "4.2.0", "cannot update mailbox %s: file is a directory", path);
	case EINVAL:
	case ENXIO:
		return verdict_make(a, "4.2.0", "cannot update mailbox %s: file is not a regular file", path);
	case ENOSPC:
	case EDQUOT:
		return verdict_make(a, "4.2.2", "cannot update mailbox %s: %s", path, strerrordesc_np(err));
	default:
		return verdict_make(a, "4.2.0", "cannot update mailbox %s: cannot open file: %s", path,
				    strerrordesc_np(err) ? strerrordesc_np(err) : "unknown error");
	}
}

static int64_t lock_deadline(const struct deliver_batch *b)
{
	return b->t.lock_deadline_ms ? b->t.lock_deadline_ms : clock_deadline(LOCK_WAIT_MS);
}

static int open_mailbox(struct deliver_batch *b)
{
	int64_t deadline = lock_deadline(b);
	int rc = mboxlock_open(&b->lock, b->t.path, O_RDWR, 0, MBOXLOCK_WRITE, b->t.lock_methods, deadline);

	if (rc < 0 && errno == ENOENT) {
		b->created = true;
		rc = mboxlock_open(&b->lock, b->t.path, O_RDWR | O_CREAT, 0600, MBOXLOCK_WRITE, b->t.lock_methods, deadline);
	}
	return rc;
}

/* A device that an alias names. Nothing there to lock or to make durable. */
static bool open_special(struct deliver_batch *b)
{
	struct stat st;

	if (!b->t.allow_special || lstat(b->t.path, &st) < 0 || !S_ISCHR(st.st_mode))
		return false;
	b->lock.fd = open(b->t.path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	b->special = b->lock.fd >= 0;
	return b->special;
}

/* What another program or a crash left at the end: a letter of ours that was never completed goes away. */
static int tidy_end(struct deliver_batch *b, uint64_t size)
{
	int64_t unfinished;

	b->end = size;
	b->repeat = repeat_open(b->lock.fd, &b->file, size, &unfinished);
	if (unfinished < 0)
		return 0;
	log_info("%s: removing an unfinished delivery of %lld bytes", b->t.path, (long long)(size - (uint64_t)unfinished));
	if (ftruncate(b->lock.fd, unfinished) < 0)
		return -1;
	b->end = (uint64_t)unfinished;
	return 0;
}

struct verdict deliver_mbox_begin(struct deliver_batch *b, struct arena *a)
{
	struct stat st;

	if (open_special(b))
		return deliver_ok();
	if (open_mailbox(b) < 0)
		return open_failed(b, a, errno);
	if (fstat(b->lock.fd, &st) < 0)
		return open_failed(b, a, errno);
	if (st.st_nlink != 1)
		return verdict_make(a, "4.2.0", "cannot update mailbox %s: file has %lu hard links", b->t.path,
				    (unsigned long)st.st_nlink);
	if (b->t.check_owner && st.st_uid != b->t.uid)
		return verdict_make(a, "4.2.0", "destination %s is not owned by recipient", b->t.path);
	b->file = (struct deliver_file){ st.st_dev, st.st_ino };
	if (tidy_end(b, (uint64_t)st.st_size) < 0)
		return open_failed(b, a, errno);
	b->start = b->end;
	return deliver_ok();
}

/* A letter on its way into the file. */
struct writing {
	struct deliver_batch *b;
	struct mbox_encoder enc;
	uint64_t at;        /* where the buffer goes */
	uint64_t from_at;   /* the From_ line */
	uint64_t block_at;
	size_t block_size;
	uLong crc;
	bool completed;     /* length and checksum are in the block */
	size_t crc_from;    /* bytes of the buffer that are not part of the CRC */
};

enum fed { FED_OK, FED_WRITE, FED_READ, FED_LIMIT };

static enum fed flush_out(struct writing *w)
{
	struct buf *out = &w->b->out;
	int64_t limit = w->b->t.size_limit;

	if (!w->b->special && limit > 0 && w->at + out->len > (uint64_t)limit)
		return FED_LIMIT;
	w->crc = crc32(w->crc, (unsigned char *)out->ptr + w->crc_from, (unsigned)(out->len - w->crc_from));
	w->crc_from = 0;
	if (w->b->special ? fs_write_all(w->b->lock.fd, buf_span(out)) < 0 : fs_pwrite_all(w->b->lock.fd, buf_span(out), w->at) < 0)
		return FED_WRITE;
	w->at += out->len;
	buf_reset(out);
	return FED_OK;
}

static enum fed feed(struct writing *w, struct span bytes)
{
	while (bytes.len > 0) {
		struct span part = span_head(bytes, DELIVER_CHUNK);
		enum fed f;

		if (!mbox_encode(&w->enc, part, &w->b->out))
			return FED_WRITE;
		bytes = span_skip(bytes, part.len);
		f = w->b->out.len >= DELIVER_CHUNK ? flush_out(w) : FED_OK;
		if (f != FED_OK)
			return f;
	}
	return FED_OK;
}

static void put_completion(char text[COMPLETION_BYTES + 1], uint64_t length, uLong crc)
{
	snprintf(text, COMPLETION_BYTES + 1, "%012llu %08x", (unsigned long long)length, (unsigned)crc);
}

/* Nothing of the letter is in the file yet: length and checksum go out with it, in one write. */
static void complete_in_buffer(struct writing *w)
{
	struct buf *out = &w->b->out;
	uLong crc = crc32(w->crc, (unsigned char *)out->ptr + w->crc_from, (unsigned)(out->len - w->crc_from));
	char text[COMPLETION_BYTES + 1];

	put_completion(text, w->at + out->len - w->from_at, crc);
	memcpy(out->ptr + (w->block_at - w->at) + mbox_block_length_at(), text, COMPLETION_BYTES);
	w->completed = true;
}

static enum fed feed_all(struct writing *w, const struct deliver_letter *l)
{
	enum fed f = feed(w, l->headers);
	struct span chunk;

	while (f == FED_OK) {
		if (!l->next(l->arg, &chunk))
			return FED_READ;
		if (chunk.len == 0)
			break;
		f = feed(w, chunk);
	}
	if (f == FED_OK && !mbox_encode_end(&w->enc, &w->b->out))
		return FED_WRITE;
	if (f == FED_OK && w->at == w->b->end && !w->b->special)
		complete_in_buffer(w);
	return f == FED_OK ? flush_out(w) : f;
}

/* Whatever stands at the end, the letter begins after an empty line. */
static int separate(struct writing *w)
{
	char tail[4] = { 0 };
	size_t n = w->at < 4 ? (size_t)w->at : 4;
	struct span end;

	if (w->at == 0)
		return 0;
	if (pread(w->b->lock.fd, tail, n, (off_t)(w->at - n)) != (ssize_t)n)
		return -1;
	end = span_of(tail, n);
	if (!span_ends(end, "\n"))
		buf_adds(&w->b->out, "\n\n");
	else if (!span_ends(end, "\n\n") && !span_ends(end, "\n\r\n"))
		buf_adds(&w->b->out, "\n");
	return 0;
}

static void begin_letter(struct writing *w, const struct deliver_letter *l)
{
	struct buf *out = &w->b->out;
	bool first = w->at == 0 && out->len == 0;
	struct mbox_block m = { .key = l->key.len ? deliver_key_hash(l->key) : 0, .keyword_room = MBOX_KEYWORD_ROOM,
				.has_base = first, .base_room = MBOX_BASE_ROOM };

	w->from_at = w->at + out->len;
	mbox_from_make(out, l->sender, clock_wall());
	w->block_at = w->at + out->len;
	w->block_size = mbox_block_size(&m);
	if (!w->b->special)
		mbox_block_make(out, &m);
	w->crc_from = out->len;
	w->crc = crc32(0, NULL, 0);
	mbox_encoder_init(&w->enc, true);
}

/* The letter is whole: from now on it counts. */
static int complete_letter(struct writing *w)
{
	char text[COMPLETION_BYTES + 1];

	put_completion(text, w->at - w->from_at, w->crc);
	return fs_pwrite_all(w->b->lock.fd, span_of(text, COMPLETION_BYTES), w->block_at + mbox_block_length_at());
}

static struct verdict undo(struct writing *w, struct arena *a, enum fed f, int err)
{
	struct deliver_batch *b = w->b;
	uint64_t letter = w->at + b->out.len - w->from_at;

	buf_reset(&b->out);
	if (!b->special && ftruncate(b->lock.fd, (off_t)b->end) < 0)
		log_error("%s: cannot take back an unfinished delivery: %s", b->t.path, strerrordesc_np(errno));
	if (f == FED_READ)
		return verdict_make(a, "4.3.0", "message content cannot be read");
	if (f == FED_LIMIT && letter > (uint64_t)b->t.size_limit)
		return verdict_make(a, "5.2.2", "message is larger than the mailbox size limit of %lld bytes",
				    (long long)b->t.size_limit);
	if (f == FED_LIMIT)
		return verdict_make(a, "4.2.2", "cannot update mailbox %s: mailbox is full", b->t.path);
	return verdict_make(a, err == ENOSPC || err == EDQUOT || err == EFBIG ? "4.2.2" : "4.3.0",
			    "cannot update mailbox %s: error writing file: %s", b->t.path,
			    strerrordesc_np(err) ? strerrordesc_np(err) : "unknown error");
}

/* Is it there from an earlier attempt, or was it? A torn copy at the end is removed. */
static bool is_repeat(struct deliver_batch *b, const struct deliver_letter *l)
{
	struct span key = l->key;
	enum repeat_found found;
	int64_t torn;

	if (b->special || key.len == 0 || !l->again)
		return false;
	found = repeat_find(b->repeat, b->lock.fd, b->end, deliver_key_hash(key), &torn);
	if (found == REPEAT_WHOLE || (l->kept && found == REPEAT_ABSENT)) {
		log_info("%s: already delivered%s, not again: " SPAN_FMT, b->t.path,
			 found == REPEAT_WHOLE ? "" : " and taken out", SPAN_ARG(key));
		b->added = true; /* the earlier attempt may not have got as far as making it durable */
		return true;
	}
	if (torn >= 0 && ftruncate(b->lock.fd, torn) == 0)
		b->end = (uint64_t)torn;
	return false;
}

struct verdict deliver_mbox_add(struct deliver_batch *b, struct arena *a, const struct deliver_letter *l)
{
	struct writing w = { .b = b };
	enum fed f = FED_OK;

	if (is_repeat(b, l))
		return deliver_ok();
	w.at = b->end;
	buf_reset(&b->out);
	if (!b->special && separate(&w) < 0)
		return undo(&w, a, FED_WRITE, errno);
	begin_letter(&w, l);
	f = feed_all(&w, l);
	if (f == FED_OK && !b->special && !w.completed && complete_letter(&w) < 0)
		f = FED_WRITE;
	if (f != FED_OK)
		return undo(&w, a, f, errno);
	if (!b->special)
		repeat_note(b->repeat, l->key.len ? deliver_key_hash(l->key) : 0, b->end, w.from_at, w.block_at, w.at);
	b->end = w.at;
	b->added = true;
	return deliver_ok();
}

struct verdict deliver_mbox_commit(struct deliver_batch *b, struct arena *a)
{
	if (b->special || !b->added)
		return deliver_ok();
	if (fdatasync(b->lock.fd) < 0 || (b->created && fs_sync_parent(b->t.path) < 0)) {
		int err = errno;

		/* The kernel reports a lost write once; the next fsync would succeed. So the letters must be written anew, not
		 * be found here and taken for delivered. */
		if (b->end > b->start && ftruncate(b->lock.fd, (off_t)b->start) < 0)
			log_error("%s: cannot take back a failed delivery: %s", b->t.path, strerrordesc_np(errno));
		return verdict_make(a, "4.3.0", "cannot update mailbox %s: error writing file: %s", b->t.path,
				    strerrordesc_np(err) ? strerrordesc_np(err) : "unknown error");
	}
	return deliver_ok();
}
