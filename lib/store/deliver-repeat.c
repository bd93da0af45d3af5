/* SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/base/mem.h"
#include "lib/store/deliver-int.h"
#include "lib/store/fs.h"

enum {
	WINDOW = 32 << 20,   /* bytes at the end of a mailbox that are looked at */
	TAIL_FIRST = 8192,   /* as many at first for its last letter, then ... */
	TAIL_MORE = 16,      /* times as many */
	KEYS_MAX = 8192,     /* remembered per mailbox */
	MAILBOXES_MAX = 256, /* remembered per process */
	READ_CHUNK = 256 * 1024,
};

struct seen {
	uint64_t key;
	uint64_t from_at, block_at;
};

struct repeat {
	struct deliver_file file;
	bool busy;
	bool touched;        /* by others since the keys were read: they may be elsewhere now */
	uint64_t stamp;      /* of the last use */
	uint64_t end;        /* of the file, when it was known that it ends in a whole letter */
	uint64_t scanned_to; /* the keys before are known, as far as they are remembered */
	struct seen *seen;
	size_t nseen;
};

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct repeat table[MAILBOXES_MAX];
static uint64_t uses;

static const char mark[] = "\nX-Posthouse: ";

static void forget(struct repeat *r)
{
	free(r->seen);
	r->seen = NULL;
	r->nseen = 0;
	r->scanned_to = r->end = 0;
	r->touched = false;
}

/* The entry of this file, else the one used longest ago. */
static struct repeat *table_get(const struct deliver_file *file)
{
	struct repeat *oldest = NULL;

	for (size_t i = 0; i < MAILBOXES_MAX; i++) {
		struct repeat *r = &table[i];

		if (r->busy)
			continue;
		if (r->stamp != 0 && r->file.dev == file->dev && r->file.ino == file->ino)
			return r;
		if (oldest == NULL || r->stamp < oldest->stamp)
			oldest = r;
	}
	if (oldest != NULL) {
		forget(oldest);
		oldest->file = *file;
	}
	return oldest;
}

static void remember(struct repeat *r, uint64_t key, uint64_t from_at, uint64_t block_at)
{
	if (r->nseen == KEYS_MAX) {
		memmove(r->seen, r->seen + KEYS_MAX / 2, KEYS_MAX / 2 * sizeof *r->seen);
		r->nseen = KEYS_MAX / 2;
	}
	if (r->nseen % 256 == 0)
		r->seen = mem_realloc_array(r->seen, r->nseen + 256, sizeof *r->seen);
	r->seen[r->nseen++] = (struct seen){ key, from_at, block_at };
}

void repeat_note(struct repeat *r, uint64_t key, uint64_t before, uint64_t from_at, uint64_t block_at, uint64_t size)
{
	if (r == NULL)
		return;
	while (r->nseen > 0 && r->seen[r->nseen - 1].from_at >= before) /* cut off since */
		r->nseen--;
	if (r->scanned_to >= before) { /* else what is between is not known either: it is read when a key is looked for */
		if (key)
			remember(r, key, from_at, block_at);
		r->scanned_to = size;
	}
	r->end = size;
}

/* p: the LF in front of a block. The From_ line before it, as an offset from base, or -1. */
static int64_t from_before(const char *base, const char *p)
{
	const char *start = memrchr(base, '\n', (size_t)(p - base));

	start = start ? start + 1 : base;
	return span_starts(span_of(start, (size_t)(p - start)), "From ") ? start - base : -1;
}

/* The next block of ours at or after p; *p_r: the LF in front of it. False: no more. */
static bool next_block(const char *base, const char *end, const char *p, const char **p_r, struct seen *s_r, struct mbox_block *m_r)
{
	for (; (p = memmem(p, (size_t)(end - p), mark, sizeof mark - 1)) != NULL; p += sizeof mark - 1) {
		int64_t from = from_before(base, p);

		if (from < 0 || mbox_block_parse(span_of(p + 1, (size_t)(end - p) - 1), m_r) == 0)
			continue;
		*s_r = (struct seen){ m_r->key, (uint64_t)from, (uint64_t)(p - base) + 1 };
		*p_r = p;
		return true;
	}
	return false;
}

static void note_marks(struct repeat *r, const char *base, size_t len, uint64_t offset)
{
	const char *p = base;
	struct mbox_block m;
	struct seen s;

	for (; next_block(base, base + len, p, &p, &s, &m); p += sizeof mark - 1)
		remember(r, s.key, offset + s.from_at, offset + s.block_at);
}

static ssize_t read_at(int fd, void *p, size_t n, uint64_t at)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(fd, (char *)p + done, n - done, (off_t)(at + done));

		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

static bool scan(struct repeat *r, int fd, uint64_t size)
{
	uint64_t from = r->scanned_to < size ? r->scanned_to : size;
	ssize_t n;
	char *text;

	if (size - from > WINDOW) {
		r->nseen = 0;
		from = size - WINDOW;
	}
	if (size == from)
		return true;
	text = mem_alloc(size - from);
	n = read_at(fd, text, size - from, from);
	if (n > 0)
		note_marks(r, text, (size_t)n, from);
	free(text);
	r->scanned_to = size;
	return n >= 0;
}

/* Bytes [at, size) hold no further From_ line behind the first. */
static bool is_last(int fd, uint64_t at, uint64_t size)
{
	size_t n = size - at > 64u << 20 ? 0 : (size_t)(size - at);
	char *text = mem_alloc(n + 1), *p = text;
	bool last = n > 0 && read_at(fd, text, n, at) == (ssize_t)n;

	while (last && (p = memmem(p, n - (size_t)(p - text), "\nFrom ", 6)) != NULL) {
		char *lf = memchr(p + 1, '\n', n - (size_t)(p + 1 - text));
		int64_t date;

		if (lf != NULL && mbox_from_parse(span_of(p + 1, (size_t)(lf - p - 1)), &date))
			last = false;
		p++;
	}
	free(text);
	return last;
}

static bool read_block(int fd, const struct seen *s, char text[static MBOX_BLOCK_MAX], struct mbox_block *m, size_t *size_r)
{
	ssize_t n = read_at(fd, text, 4096, s->block_at);

	*size_r = n > 0 ? mbox_block_parse(span_of(text, (size_t)n), m) : 0;
	return *size_r > 0 && m->key == s->key;
}

/* The last letter of ours in text, the file's bytes from offset on. */
static bool last_block(const char *text, size_t n, uint64_t offset, struct seen *s_r, struct mbox_block *m_r)
{
	const char *p = text;
	struct mbox_block m;
	bool found = false;
	struct seen s;

	for (; next_block(text, text + n, p, &p, &s, &m); p += sizeof mark - 1) {
		*s_r = (struct seen){ s.key, offset + s.from_at, offset + s.block_at };
		*m_r = m;
		found = true;
	}
	return found;
}

/*
 * A file system may make the size of a file durable before the bytes that were appended to its last block: after a power loss they
 * read as NULs. No letter ends in one, or begins with one: they are cut off.
 */
static int64_t judge_tail(int fd, const char *text, size_t n, uint64_t size, const struct seen *last, const struct mbox_block *m)
{
	uint64_t at = size - n;
	size_t len = n;

	while (len > 0 && text[len - 1] == '\0')
		len--;
	if (last) {
		uint64_t end = last->from_at + m->length;

		if (m->length == 0)
			return is_last(fd, last->from_at, size) ? (int64_t)last->from_at : -1;
		if (end < size && end >= at && text[end - at] == '\0' && is_last(fd, last->from_at, size))
			return (int64_t)end;
	}
	return len < n ? (int64_t)(at + len) : -1;
}

/* Where the part of the file begins that a letter left which was never completed, or -1; -2 when it cannot be read. */
static int64_t unfinished_tail(int fd, uint64_t size)
{
	int64_t at = -1;

	for (uint64_t want = TAIL_FIRST; size > 0; want *= TAIL_MORE) {
		size_t n = size < want ? (size_t)size : (size_t)want;
		char *text = mem_alloc(n);
		struct mbox_block m = { 0 };
		struct seen last;
		bool found = false, read = read_at(fd, text, n, size - n) == (ssize_t)n;

		if (read) {
			found = last_block(text, n, size - n, &last, &m);
			at = judge_tail(fd, text, n, size, found ? &last : NULL, &m);
		}
		free(text);
		if (!read)
			return -2;
		if (found || n == size || want * TAIL_MORE > WINDOW)
			break;
	}
	return at;
}

struct repeat *repeat_open(int fd, const struct deliver_file *file, uint64_t size, int64_t *unfinished_r)
{
	struct repeat *r;

	*unfinished_r = -1;
	pthread_mutex_lock(&table_lock);
	r = table_get(file);
	if (r != NULL) {
		r->busy = true;
		r->stamp = ++uses;
	}
	pthread_mutex_unlock(&table_lock);
	if (r == NULL)
		return NULL;
	if (size == r->end)
		return r;
	r->touched = true;
	*unfinished_r = unfinished_tail(fd, size);
	if (*unfinished_r == -2) {
		*unfinished_r = -1;
		repeat_close(r);
		return NULL;
	}
	return r;
}

static bool crc_matches(int fd, uint64_t at, uint64_t end, uint32_t want)
{
	char *text = mem_alloc(READ_CHUNK);
	uLong crc = crc32(0, NULL, 0);

	while (at < end) {
		size_t n = end - at < READ_CHUNK ? (size_t)(end - at) : READ_CHUNK;

		if (read_at(fd, text, n, at) != (ssize_t)n)
			break;
		crc = crc32(crc, (unsigned char *)text, (unsigned)n);
		at += n;
	}
	free(text);
	return at == end && (uint32_t)crc == want;
}

/*
 * A letter that is found may be one whose sync failed: the kernel then has its bytes in memory, counts them as written, and reports
 * nothing when the file is synced again. So they are written anew, and the sync that follows is about them.
 */
static bool write_anew(int fd, uint64_t at, uint64_t end)
{
	char *text = mem_alloc(READ_CHUNK);
	bool ok = true;

	while (ok && at < end) {
		size_t n = end - at < READ_CHUNK ? (size_t)(end - at) : READ_CHUNK;

		ok = read_at(fd, text, n, at) == (ssize_t)n && fs_pwrite_all(fd, span_of(text, n), at) == 0;
		at += n;
	}
	free(text);
	return ok;
}

enum found { FOUND_NOT, FOUND_WHOLE, FOUND_TORN };

static enum found look(int fd, const struct seen *s, uint64_t size)
{
	char text[MBOX_BLOCK_MAX];
	struct mbox_block m;
	size_t n;

	if (!read_block(fd, s, text, &m, &n))
		return FOUND_NOT;
	if (m.length == 0 || m.length > size - s->from_at)
		return FOUND_TORN;
	if (!crc_matches(fd, s->block_at + n, s->from_at + m.length, m.crc))
		return FOUND_TORN;
	return write_anew(fd, s->from_at, s->from_at + m.length) ? FOUND_WHOLE : FOUND_NOT;
}

enum repeat_found repeat_find(struct repeat *r, int fd, uint64_t size, uint64_t key, int64_t *torn_r)
{
	*torn_r = -1;
	if (r && r->touched)
		forget(r);
	for (int round = 0; r != NULL && round < 2 && scan(r, fd, size); round++) {
		bool moved = false;

		for (size_t i = r->nseen; i-- > 0;) {
			enum found f;

			if (r->seen[i].key != key)
				continue;
			f = look(fd, &r->seen[i], size);
			if (f == FOUND_WHOLE)
				return REPEAT_WHOLE;
			if (f == FOUND_TORN && is_last(fd, r->seen[i].from_at, size))
				*torn_r = (int64_t)r->seen[i].from_at;
			moved |= f == FOUND_NOT;
		}
		if (!moved)
			return REPEAT_ABSENT;
		forget(r); /* the file was rewritten: look again */
	}
	return REPEAT_UNKNOWN;
}

void repeat_close(struct repeat *r)
{
	if (r == NULL)
		return;
	pthread_mutex_lock(&table_lock);
	r->busy = false;
	pthread_mutex_unlock(&table_lock);
}
