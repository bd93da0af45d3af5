/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/store/index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/pack.h"
#include "lib/store/cache.h"
#include "lib/store/fs.h"
#include "lib/store/index-file.h"
#include "lib/store/maildir-int.h"
#include "lib/store/mbox-int.h"
#include <zlib.h>

static const size_t FILE_MAX = (size_t)1 << 30;
enum {
	CHUNK_MAX = 1 << 20,   /* records in one chunk */
	SLACK = 64 * 1024,     /* appended before the file is written anew, beside as much as it was */
	STATE_MAX = 8 << 20,
	BOOT_ID = 36,
};

/* Files of a mailbox that were not synced may be something else after a crash, with the same size and times. */
static struct span boot_id(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static char id[BOOT_ID + 1];
	static bool tried;

	pthread_mutex_lock(&lock);
	if (!tried) {
		int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

		if (fd >= 0 && fs_pread_all(fd, id, BOOT_ID, 0) != BOOT_ID)
			id[0] = '\0';
		tried = true;
		if (fd >= 0)
			close(fd);
	}
	pthread_mutex_unlock(&lock);
	return span_cstr(id);
}

/* --- loading -------------------------------------------------------------------------------------------------------------- */

static struct rec *place_of(struct folder *f, uint32_t uid)
{
	size_t low = 0, high = f->n;
	struct rec *r;

	if (f->n == 0 || uid > f->recs[f->n - 1].m.uid)
		return folder_add(f);
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (f->recs[mid].m.uid < uid)
			low = mid + 1;
		else
			high = mid;
	}
	r = &f->recs[low];
	if (r->m.uid == uid) {
		index_drop_rec(f, r);
		return r;
	}
	folder_add(f);
	r = &f->recs[low];
	memmove(r + 1, r, (f->n - 1 - low) * sizeof *r);
	return r;
}

static bool take_recs(struct folder *f, struct span payload)
{
	struct rec r;

	while (payload.len > 0) {
		if (!index_take_rec(f, &payload, &r))
			return false;
		*place_of(f, r.m.uid) = r;
	}
	return true;
}

/* Ascending. */
static bool take_gone(struct folder *f, struct span payload)
{
	struct unpack u = { .rest = payload };
	size_t kept = 0;
	uint32_t uid = unpack_u32(&u);

	for (size_t i = 0; i < f->n; i++) {
		while (uid < f->recs[i].m.uid && u.rest.len >= 4)
			uid = unpack_u32(&u);
		if (uid == f->recs[i].m.uid)
			index_drop_rec(f, &f->recs[i]);
		else
			f->recs[kept++] = f->recs[i];
	}
	f->n = kept;
	return !u.bad && u.rest.len < 4;
}

static bool take_all(struct folder *f, struct span text, size_t *n)
{
	struct span rest = span_skip(text, INDEX_HEADER), payload, state = SPAN_NONE, boot;
	enum index_type type;
	struct unpack u;
	bool ok = true;

	while (ok && index_next(&rest, &type, &payload)) {
		if (type == INDEX_RECS)
			ok = take_recs(f, payload);
		else if (type == INDEX_GONE)
			ok = take_gone(f, payload);
		else if (type == INDEX_STATE)
			state = payload;
	}
	u = (struct unpack){ .rest = state };
	boot = unpack_span(&u);
	if (!ok || u.bad || !index_take_state(f, u.rest, n))
		return false;
	f->index.other_boot = !span_eq(boot, boot_id());
	return true;
}

/* What a mailbox that nobody has looked at yet is like. */
static void start_afresh(struct folder *f)
{
	folder_clear(f);
	for (unsigned i = 0; i < f->nkeywords; i++)
		free(f->keywords[i]);
	f->nkeywords = 0;
	f->uidvalidity = 0;
	f->uidnext = 1;
	f->modseq = 0;
	f->dirty = false;
	f->cache.id = 0;
	f->index.end = 0;
	f->index.marked = false;
	if (f->ops == &mbox_ops) {
		free(f->mbox->hidden);
		*f->mbox = (struct mbox){ 0 };
	} else {
		*f->maildir = (struct maildir){ .watch_new = f->maildir->watch_new, .watch_cur = f->maildir->watch_cur };
	}
}

/* It is the index of this file or directory, and not of another one in its place. */
static bool is_of(const struct folder *f, const char *path, const struct ident *known)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return f->ops == &mbox_ops && !known->exists;
	return known->exists && known->dev == st.st_dev && known->ino == st.st_ino;
}

/* An mbox has its UIDs from elsewhere, too; the two have to agree. Of files that were not synced before a crash little is
 * believed. */
static bool agrees(struct folder *f)
{
	AUTO_FREE char *cur = fs_join(f->path, "cur");

	if (f->ops == &mbox_ops ? !is_of(f, f->path, &f->mbox->ident) : !is_of(f, cur, &f->maildir->cur_ident))
		return false;
	if (f->ops == &mbox_ops) {
		mbox_state_load(f->ctl, &f->mbox->state);
		if (f->mbox->state.sequence == 0 || f->mbox->state.uidvalidity != f->uidvalidity)
			return false;
		if (f->mbox->state.uidnext > f->uidnext)
			f->uidnext = f->mbox->state.uidnext;
		if (f->index.other_boot)
			f->mbox->ident.mtime_ns = -1; /* each message is looked at again */
	} else if (f->index.other_boot) {
		f->maildir->racy = true;
	}
	return true;
}

static void note_saved(struct folder *f)
{
	struct index *x = &f->index;

	x->uids = mem_realloc_array(x->uids, f->n + 1, sizeof *x->uids);
	x->nuids = f->n;
	for (size_t i = 0; i < f->n; i++)
		x->uids[i] = f->recs[i].m.uid;
}

/* What was told before may not be what the index says. */
static void renew_modseqs(struct folder *f)
{
	uint64_t modseq = folder_touch(f);

	for (size_t i = 0; i < f->n; i++)
		f->recs[i].m.modseq = modseq;
	f->generation++;
}

static bool load(struct folder *f, int fd)
{
	struct stat st;
	char *text = NULL;
	size_t size = 0, n = 0;
	ssize_t got = -1;
	bool ok = false;

	if (fstat(fd, &st) == 0 && st.st_size > 0 && (uint64_t)st.st_size < FILE_MAX) {
		size = (size_t)st.st_size;
		text = mem_alloc(size);
		got = fs_pread_all(fd, text, size, 0);
	}
	if (got > 0) {
		struct span all = span_of(text, (size_t)got);
		size_t good = index_good(all);

		ok = good > 0 && take_all(f, span_head(all, good), &n) && n == f->n && agrees(f) && index_plausible(f);
		f->index.end = good;
		f->index.whole = good;
		f->index.dev = st.st_dev;
		f->index.ino = st.st_ino;
		f->index.marked = ok && index_is_marked(all);
	}
	free(text);
	return ok;
}

void index_load(struct folder *f)
{
	int fd;

	if (f->index.loaded)
		return;
	f->index.loaded = true;
	if (f->index.dir == NULL || f->uidvalidity != 0)
		return;
	fd = index_file_open(f, INDEX_FILE, O_RDONLY);
	if (fd < 0)
		return;
	if (load(f, fd)) {
		note_saved(f);
		cache_open(f);
		if (f->index.marked || f->index.other_boot)
			renew_modseqs(f);
	} else {
		log_debug("%s: the index is damaged or of another mailbox: made anew", f->path);
		start_afresh(f);
	}
	close(fd);
}

void index_mark(struct folder *f)
{
	int fd;

	if (f->index.marked || f->index.end == 0)
		return;
	fd = index_file_open(f, INDEX_FILE, O_WRONLY);
	if (fd < 0)
		return;
	f->index.marked = fs_pwrite_all(fd, SPAN(INDEX_MARK), INDEX_MARK_AT) == 0;
	close(fd);
}

/* --- saving --------------------------------------------------------------------------------------------------------------- */

/* What a client changed and the files do not have yet is not for the index; it would pass for what the files say. */
static bool waits_for_files(const struct folder *f)
{
	for (size_t i = 0; f->dirty && i < f->n; i++)
		if (f->recs[i].dirty & DIRTY_FLAGS)
			return true;
	return false;
}

/* Chunks of records that are not saved as they are. all: every one. */
static bool put_recs(struct folder *f, struct buf *out, bool all)
{
	struct buf b;
	bool ok = true;

	buf_init(&b, CHUNK_MAX + 128 * 1024);
	for (size_t i = 0; i < f->n && ok; i++) {
		struct rec *r = &f->recs[i];
		size_t start = b.len;
		uint32_t sum = index_put_rec(&b, f, r);

		if (!all && sum == r->saved_sum)
			buf_truncate(&b, start);
		r->saved_sum = sum;
		ok = !b.overflow;
		if (b.len > CHUNK_MAX) {
			index_put_chunk(out, INDEX_RECS, buf_span(&b));
			buf_reset(&b);
		}
	}
	if (b.len > 0)
		index_put_chunk(out, INDEX_RECS, buf_span(&b));
	buf_free(&b);
	return ok && !out->overflow;
}

static void put_gone(const struct folder *f, struct buf *out)
{
	const struct index *x = &f->index;
	struct buf b;
	size_t j = 0;

	buf_init(&b, x->nuids * 4 + 4);
	for (size_t i = 0; i < x->nuids; i++) {
		while (j < f->n && f->recs[j].m.uid < x->uids[i])
			j++;
		if (j == f->n || f->recs[j].m.uid != x->uids[i])
			pack_u32(&b, x->uids[i]);
	}
	if (b.len > 0)
		index_put_chunk(out, INDEX_GONE, buf_span(&b));
	buf_free(&b);
}

/* All of it, in a new file. */
static bool write_whole(struct folder *f, struct buf *state)
{
	struct index_new to;
	struct buf out;
	bool ok;

	if (!index_new_begin(f, INDEX_FILE, &to))
		return false;
	buf_init(&out, FILE_MAX);
	index_put_header(&out);
	ok = put_recs(f, &out, true);
	index_put_chunk(&out, INDEX_STATE, buf_span(state));
	ok = ok && !out.overflow && fs_write_all(to.fd, buf_span(&out)) == 0;
	if (ok) {
		struct stat st;
		int fd = to.fd;

		ok = fstat(fd, &st) == 0 && index_new_commit(f, INDEX_FILE, &to);
		if (ok) {
			f->index.dev = st.st_dev;
			f->index.ino = st.st_ino;
			f->index.end = f->index.whole = out.len;
			f->index.marked = false;
			close(fd);
		}
	} else {
		index_new_abort(&to);
	}
	buf_free(&out);
	return ok;
}

/* What changed, behind what this process read or wrote. False: it is not that file any more, or nothing is to be gained. */
static bool append(struct folder *f, struct buf *state)
{
	struct index *x = &f->index;
	int fd = x->end > 0 ? index_file_open(f, INDEX_FILE, O_RDWR) : -1;
	struct buf out;
	struct stat st;
	bool ok;

	if (fd < 0)
		return false;
	buf_init(&out, x->whole + SLACK);
	/* Who has to wait writes a file of its own instead. */
	ok = flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_dev == x->dev && st.st_ino == x->ino &&
	     (uint64_t)st.st_size == x->end;
	if (ok) {
		put_gone(f, &out);
		ok = put_recs(f, &out, false);
		index_put_chunk(&out, INDEX_STATE, buf_span(state));
		ok = ok && !out.overflow && x->end + out.len <= 2 * x->whole + SLACK &&
		     fs_pwrite_all(fd, buf_span(&out), x->end) == 0;
	}
	if (ok) {
		x->end += out.len;
		if (x->marked)
			x->marked = fs_pwrite_all(fd, SPAN(INDEX_NO_MARK), INDEX_MARK_AT) < 0;
	}
	buf_free(&out);
	close(fd);
	return ok;
}

void index_save(struct folder *f)
{
	struct index *x = &f->index;
	struct buf state;
	uint32_t sum;

	if (x->dir == NULL || !x->loaded || x->failed || f->dead || f->uidvalidity == 0)
		return;
	if (f->ops == &mbox_ops && f->mbox->ctl_failed) /* logged; an index has no business there either */
		return;
	cache_save(f);
	buf_init(&state, STATE_MAX);
	pack_span(&state, boot_id());
	index_put_state(&state, f);
	sum = (uint32_t)crc32_z(0, (const unsigned char *)state.ptr, state.len);
	if (sum == x->state_sum && f->generation == x->generation && !x->changed) {
		buf_free(&state);
		return;
	}
	if (!state.overflow && !waits_for_files(f)) {
		if (append(f, &state) || write_whole(f, &state)) {
			x->state_sum = sum;
			x->generation = f->generation;
			x->changed = false;
			note_saved(f);
		} else {
			index_file_failed(f, INDEX_FILE, errno);
		}
	}
	buf_free(&state);
}
