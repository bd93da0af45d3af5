/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/store/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/pack.h"
#include "lib/store/fs.h"
#include "lib/store/index-file.h"

enum {
	HEADER = 32,
	ENTRY_HEADER = 12,          /* checksum, UID, length */
	ENTRY_MAX = 256 * 1024,
	AHEAD = 256 * 1024,         /* messages are mostly asked for in order */
	PENDING_MAX = 1024 * 1024,
	SMALL = 256 * 1024,         /* not worth writing anew */
};
static const char magic[16] = "posthouse-cch 1\n";

/* --- entries ------------------------------------------------------------------------------------------------------------ */

static uint32_t sum_of(const struct folder *f, uint32_t uid, struct span entry)
{
	uint32_t head[3] = { f->uidvalidity, uid, (uint32_t)entry.len };
	uLong sum = crc32(0, (const unsigned char *)head, sizeof head);

	return (uint32_t)crc32_z(sum, (const unsigned char *)entry.ptr, entry.len);
}

bool cache_find(struct span entry, struct span name, struct span *value)
{
	struct unpack u = { .rest = entry };

	while (u.rest.len > 0 && !u.bad) {
		struct span have = unpack_span(&u), v = unpack_span(&u);

		if (!u.bad && span_eq(have, name)) {
			*value = v;
			return true;
		}
	}
	return false;
}

/* text: from the entry's header on. */
static bool entry_good(const struct folder *f, const struct rec *r, struct span text, struct span *entry)
{
	struct unpack u = { .rest = text };
	uint32_t sum = unpack_u32(&u), uid = unpack_u32(&u), len = unpack_u32(&u);

	if (u.bad || uid != r->m.uid || len != r->cache_len || len > u.rest.len)
		return false;
	*entry = span_head(u.rest, len);
	return sum == sum_of(f, uid, *entry);
}

/* n bytes of the file from off on. */
static bool read_text(struct cache *c, uint64_t off, size_t n, struct span *text)
{
	if (piece_has(&c->piece, off, n, text))
		return true;
	return c->fd >= 0 && piece_read(&c->piece, c->fd, off, n, AHEAD) && piece_has(&c->piece, off, n, text);
}

bool cache_get(struct folder *f, const struct rec *r, struct span *entry)
{
	struct cache *c = &f->cache;
	uint64_t off = r->cache_off;
	size_t n = ENTRY_HEADER + (size_t)r->cache_len;
	struct span text;

	if (r->cache_len == 0 || r->cache_len > ENTRY_MAX)
		return false;
	if (off >= c->size) {
		if (off - c->size >= c->pending.len)
			return false;
		return entry_good(f, r, span_skip(buf_span(&c->pending), (size_t)(off - c->size)), entry);
	}
	return read_text(c, off, n, &text) && entry_good(f, r, text, entry);
}

void cache_put(struct folder *f, struct rec *r, struct span entry)
{
	struct cache *c = &f->cache;

	if (f->index.dir == NULL || entry.len == 0 || entry.len > ENTRY_MAX)
		return;
	if (c->pending.max == 0)
		buf_init(&c->pending, PENDING_MAX + 2 * ENTRY_MAX);
	if (c->pending.len > PENDING_MAX)
		cache_save(f);
	if (c->pending.len > PENDING_MAX) /* it cannot be written: forget it */
		return;
	c->live += entry.len + ENTRY_HEADER - (r->cache_len ? r->cache_len + ENTRY_HEADER : 0);
	r->cache_off = c->size + c->pending.len;
	r->cache_len = (uint32_t)entry.len;
	pack_u32(&c->pending, sum_of(f, r->m.uid, entry));
	pack_u32(&c->pending, r->m.uid);
	pack_u32(&c->pending, (uint32_t)entry.len);
	buf_add_span(&c->pending, entry);
	f->index.changed = true;
}

/* --- the file ------------------------------------------------------------------------------------------------------------- */

static void forget_all(struct folder *f)
{
	struct cache *c = &f->cache;

	for (size_t i = 0; i < f->n; i++) {
		f->recs[i].cache_off = 0;
		f->recs[i].cache_len = 0;
	}
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->size = c->live = c->id = 0;
	piece_free(&c->piece);
	buf_reset(&c->pending);
}

/* The id of the file in fd, 0 when it is none. */
static uint64_t id_of(const struct folder *f, int fd)
{
	char text[HEADER];
	struct unpack u = { .rest = span_of(text + sizeof magic, HEADER - sizeof magic) };
	uint64_t id;
	uint32_t sum;

	if (fs_pread_all(fd, text, sizeof text, 0) != sizeof text || memcmp(text, magic, sizeof magic) != 0)
		return 0;
	id = unpack_u64(&u);
	sum = unpack_u32(&u);
	return sum == sum_of(f, 0, span_of(text, sizeof magic + 8)) ? id : 0;
}

void cache_open(struct folder *f)
{
	struct cache *c = &f->cache;
	uint64_t want = c->id;
	struct stat st;

	c->fd = want != 0 ? index_file_open(f, CACHE_FILE, O_RDWR) : -1;
	if (c->fd < 0 || fstat(c->fd, &st) < 0 || id_of(f, c->fd) != want) {
		forget_all(f);
		return;
	}
	c->size = (uint64_t)st.st_size;
	for (size_t i = 0; i < f->n; i++)
		if (f->recs[i].cache_len > 0)
			c->live += f->recs[i].cache_len + ENTRY_HEADER;
}

static void put_header(const struct folder *f, struct buf *b, uint64_t id)
{
	buf_add(b, magic, sizeof magic);
	pack_u64(b, id);
	pack_u32(b, sum_of(f, 0, buf_span(b)));
	pack_u32(b, 0);
}

/* A new file with what is of use: entries of the old one, and what is waiting. False: errno. */
static bool write_anew(struct folder *f)
{
	struct cache *c = &f->cache;
	uint64_t id = 0, *offs = mem_realloc_array(NULL, f->n + 1, sizeof *offs), at = 0;
	struct index_new to;
	struct buf b;
	bool begun, ok;

	buf_init(&b, HEADER + AHEAD + ENTRY_MAX + 2 * ENTRY_HEADER);
	begun = ok = getrandom(&id, sizeof id, 0) == sizeof id && id != 0 && index_new_begin(f, CACHE_FILE, &to);
	put_header(f, &b, id);
	for (size_t i = 0; i < f->n && ok; i++) {
		struct rec *r = &f->recs[i];
		struct span entry;

		offs[i] = 0;
		if (!cache_get(f, r, &entry))
			continue;
		offs[i] = at + b.len;
		buf_add(&b, entry.ptr - ENTRY_HEADER, entry.len + ENTRY_HEADER);
		if (b.len > AHEAD || b.overflow) {
			ok = !b.overflow && fs_write_all(to.fd, buf_span(&b)) == 0;
			at += b.len;
			buf_reset(&b);
		}
	}
	if (ok)
		ok = fs_write_all(to.fd, buf_span(&b)) == 0;
	at += b.len;
	buf_free(&b);
	if (begun && !ok)
		index_new_abort(&to);
	if (ok && index_new_commit(f, CACHE_FILE, &to)) {
		buf_reset(&c->pending);
		piece_free(&c->piece);
		if (c->fd >= 0)
			close(c->fd);
		c->fd = to.fd;
		c->id = id;
		c->size = at;
		c->live = at - HEADER;
		for (size_t i = 0; i < f->n; i++) {
			f->recs[i].cache_off = offs[i];
			f->recs[i].cache_len = offs[i] ? f->recs[i].cache_len : 0;
		}
	} else {
		ok = false;
	}
	free(offs);
	return ok;
}

/* Behind what is there; another process may have added something since. */
static bool append(struct folder *f)
{
	struct cache *c = &f->cache;
	struct stat st;
	bool ok = flock(c->fd, LOCK_EX) == 0 && fstat(c->fd, &st) == 0 && (uint64_t)st.st_size >= c->size;

	if (ok && (uint64_t)st.st_size > c->size) {
		for (size_t i = 0; i < f->n; i++)
			if (f->recs[i].cache_len > 0 && f->recs[i].cache_off >= c->size)
				f->recs[i].cache_off += (uint64_t)st.st_size - c->size;
		c->size = (uint64_t)st.st_size;
	}
	ok = ok && fs_pwrite_all(c->fd, buf_span(&c->pending), c->size) == 0;
	if (ok) {
		c->size += c->pending.len;
		buf_reset(&c->pending);
	}
	flock(c->fd, LOCK_UN);
	return ok;
}

void cache_save(struct folder *f)
{
	struct cache *c = &f->cache;
	uint64_t whole = c->size + c->pending.len;
	bool ok;

	if (c->pending.len == 0 || f->index.dir == NULL)
		return;
	if (c->fd < 0 || (whole > SMALL && whole / 2 > c->live))
		ok = write_anew(f);
	else
		ok = append(f);
	if (!ok) {
		index_file_failed(f, CACHE_FILE, errno);
		forget_all(f);
	}
}

void cache_free(struct folder *f)
{
	if (f->cache.fd >= 0)
		close(f->cache.fd);
	piece_free(&f->cache.piece);
	buf_free(&f->cache.pending);
}
