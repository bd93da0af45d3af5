/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/cache.h"
#include "lib/store/fs.h"
#include "lib/store/index.h"
#include "lib/store/mbox-int.h"
#include "lib/store/store-int.h"

enum { IDLE_FOLDERS_MAX = 12 /* kept after their last use, so that the next look is cheap */ };

static pthread_mutex_t folders_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list folders = LIST_INIT(folders);
static uint64_t uses;

static _Atomic(const char *) lock_methods = "fcntl, dotlock";
static _Atomic int64_t lock_timeout_ms = 300000;

void store_set_locking(const char *methods, int64_t timeout_ms, int64_t stale_ms)
{
	lock_methods = methods;
	lock_timeout_ms = timeout_ms;
	mboxlock_set_stale_ms(stale_ms);
}

const char *store_lock_methods(void)
{
	return lock_methods;
}

int64_t store_lock_deadline(void)
{
	return clock_deadline(lock_timeout_ms);
}

const char *store_status_str(enum store_status s)
{
	static const char *const text[] = {
		[STORE_OK] = "ok",
		[STORE_NOTFOUND] = "no such mailbox",
		[STORE_EXISTS] = "mailbox exists already",
		[STORE_BADNAME] = "not an acceptable mailbox name",
		[STORE_REFUSED] = "not allowed",
		[STORE_EXPUNGED] = "message is gone",
		[STORE_NOSPACE] = "no space left",
		[STORE_LOCKED] = "mailbox is locked by another program",
		[STORE_TOOBIG] = "too big",
		[STORE_ERROR] = "internal error",
	};

	return s < sizeof text / sizeof *text && text[s] ? text[s] : "unknown status";
}

enum store_status folder_errno(const struct folder *f, const char *what, int err)
{
	if (err == EAGAIN || err == ETIMEDOUT) {
		log_warn("%s: cannot lock: held by another program", f->path);
		return STORE_LOCKED;
	}
	log_error("%s: %s: %s", f->path, what, strerrordesc_np(err) ? strerrordesc_np(err) : "unknown error");
	return err == ENOSPC || err == EDQUOT || err == EFBIG ? STORE_NOSPACE : STORE_ERROR;
}

struct ident ident_of(const struct stat *st)
{
	return (struct ident){ .dev = st->st_dev, .ino = st->st_ino, .size = st->st_size, .mtime_s = st->st_mtim.tv_sec,
			       .mtime_ns = st->st_mtim.tv_nsec, .ctime_s = st->st_ctim.tv_sec,
			       .ctime_ns = st->st_ctim.tv_nsec, .exists = true };
}

bool ident_same(const struct ident *a, const struct ident *b)
{
	return a->exists == b->exists && a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime_s == b->mtime_s &&
	       a->mtime_ns == b->mtime_ns && a->ctime_s == b->ctime_s && a->ctime_ns == b->ctime_ns;
}

static void folder_free(struct folder *f)
{
	f->ops->free(f);
	cache_free(f);
	folder_clear(f);
	free(f->index.dir);
	free(f->index.uids);
	free(f->recs);
	for (unsigned i = 0; i < f->nkeywords; i++)
		free(f->keywords[i]);
	for (size_t i = 0; i < f->nretired; i++)
		free(f->retired[i]);
	free(f->retired);
	free(f->path);
	free(f->ctl);
	free(f->validity_file);
	pthread_mutex_destroy(&f->mu);
	free(f);
}

static char *join(const char *dir, const char *name)
{
	return *name ? fs_join(dir, name) : mem_strdup(dir);
}

static char *ctl_path(const char *root, const char *rel)
{
	const char *slash = strrchr(rel, '/'), *last = slash ? slash + 1 : rel;

	return mem_printf("%s/%.*s.imap/%s", root, (int)(last - rel), rel, last);
}

char *mbox_ctl_path(const struct store *s, const char *rel)
{
	return ctl_path(s->index, rel);
}

/* Of an mbox beside its other files; of a Maildir in it, or where INDEX= says, as Dovecot would name it. */
static char *index_dir(const struct store *s, const char *path, const char *rel)
{
	bool inbox = strcmp(rel, "INBOX") == 0;

	if (s->index_root == NULL)
		return NULL;
	if (s->kind == STORE_MBOX)
		return ctl_path(s->index_root, rel);
	if (strcmp(s->index_root, s->root) == 0)
		return mem_strdup(path);
	return fs_join(s->index_root, inbox ? ".INBOX" : rel);
}

static struct folder *folder_new(struct store *s, const char *path, const char *rel)
{
	struct folder *f = mem_zalloc(sizeof *f);

	pthread_mutex_init(&f->mu, NULL);
	f->path = mem_strdup(path);
	f->validity_file = mem_strdup(s->validity_file);
	f->uidnext = 1;
	f->generation = 1;
	f->keywords_max = STORE_KEYWORDS_MAX;
	f->is_inbox = strcmp(rel, "INBOX") == 0;
	f->cache.fd = -1;
	f->index.dir = index_dir(s, path, rel);
	if (s->kind == STORE_MBOX) {
		f->ctl = mbox_ctl_path(s, rel);
		mbox_init(f);
	} else {
		maildir_init(f);
	}
	return f;
}

/* Too many that nobody uses: the one used longest ago goes. Under folders_lock. */
static void trim_idle(void)
{
	struct folder *oldest = NULL;
	int idle = 0;

	list_for_each(n, &folders) {
		struct folder *f = list_entry(n, struct folder, node);

		if (f->refs > 0)
			continue;
		idle++;
		if (oldest == NULL || f->stamp < oldest->stamp)
			oldest = f;
	}
	if (idle > IDLE_FOLDERS_MAX) {
		list_remove(&oldest->node);
		folder_free(oldest);
	}
}

static struct folder *find_path(const char *path)
{
	list_for_each(n, &folders) {
		struct folder *f = list_entry(n, struct folder, node);

		if (!f->dead && strcmp(f->path, path) == 0)
			return f;
	}
	return NULL;
}

static char *path_of(struct store *s, struct arena *a, struct span name, char **rel_r)
{
	char *rel = folder_path(s, a, name);

	*rel_r = rel;
	if (rel == NULL)
		return NULL;
	return names_is_inbox(name) ? mem_strdup(s->inbox) : join(s->root, rel);
}

struct folder *folder_get(struct store *s, struct span name)
{
	struct arena a = ARENA_INIT;
	char *rel, *path = path_of(s, &a, name, &rel);
	struct folder *f = NULL;

	if (path != NULL) {
		pthread_mutex_lock(&folders_lock);
		f = find_path(path);
		if (f == NULL) {
			f = folder_new(s, path, names_is_inbox(name) ? "INBOX" : rel);
			list_append(&folders, &f->node);
		}
		f->refs++;
		f->stamp = ++uses;
		pthread_mutex_unlock(&folders_lock);
	}
	free(path);
	arena_free(&a);
	return f;
}

void folder_put(struct folder *f)
{
	pthread_mutex_lock(&folders_lock);
	f->refs--;
	if (f->refs == 0 && f->dead) {
		list_remove(&f->node);
		folder_free(f);
	} else if (f->refs == 0) {
		trim_idle();
	}
	pthread_mutex_unlock(&folders_lock);
}

/* What follows a folder's path in that of itself or of one below it */
static bool is_or_below(const struct store *s, const char *rest)
{
	if (s->kind == STORE_MAILDIR)
		return *rest == '\0' || *rest == '.';
	return *rest == '\0' || *rest == '/' || strncmp(rest, ".sbd/", 5) == 0;
}

void folder_forget(struct store *s, struct span name)
{
	struct arena a = ARENA_INIT;
	char *rel, *path = path_of(s, &a, name, &rel);
	size_t len = path ? strlen(path) : 0;

	pthread_mutex_lock(&folders_lock);
	list_for_each_safe(n, &folders) {
		struct folder *f = list_entry(n, struct folder, node);

		if (path == NULL || strncmp(f->path, path, len) != 0 || !is_or_below(s, f->path + len))
			continue;
		f->dead = true;
		if (f->refs == 0) {
			list_remove(&f->node);
			folder_free(f);
		}
	}
	pthread_mutex_unlock(&folders_lock);
	free(path);
	arena_free(&a);
}

struct rec *folder_add(struct folder *f)
{
	if (f->n == f->cap) {
		f->cap = f->cap ? f->cap * 2 : 64;
		f->recs = mem_realloc_array(f->recs, f->cap, sizeof *f->recs);
	}
	memset(&f->recs[f->n], 0, sizeof *f->recs);
	f->generation++;
	return &f->recs[f->n++];
}

struct rec *folder_find(struct folder *f, uint32_t uid)
{
	size_t low = 0, high = f->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (f->recs[mid].m.uid < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < f->n && f->recs[low].m.uid == uid ? &f->recs[low] : NULL;
}

void folder_clear(struct folder *f)
{
	if (f->ops == &maildir_ops)
		for (size_t i = 0; i < f->n; i++) {
			free(f->recs[i].maildir.name);
			free(f->recs[i].maildir.extra);
		}
	f->n = 0;
	f->generation++;
}

/* Microseconds, or one more than the last: higher than any that was told before, also when the index was lost since. */
uint64_t folder_touch(struct folder *f)
{
	uint64_t now = (uint64_t)clock_wall_us();

	index_mark(f);
	f->modseq = now > f->modseq ? now : f->modseq + 1;
	return f->modseq;
}

static bool same_message(const struct folder *f, const struct rec *a, const struct rec *b)
{
	if (f->ops == &mbox_ops)
		return a->mbox.from_hash == b->mbox.from_hash && a->m.size == b->m.size;
	return a->maildir.base_len == b->maildir.base_len && memcmp(a->maildir.name, b->maildir.name, a->maildir.base_len) == 0;
}

void folder_carry(struct folder *f, size_t first, const struct rec *old, size_t nold)
{
	uint64_t modseq = 0; /* one for all that changed at once */
	size_t j = 0, known = 0;

	for (size_t i = first; i < f->n; i++) {
		struct rec *r = &f->recs[i];

		while (j < nold && old[j].m.uid < r->m.uid)
			j++;
		if (j < nold && old[j].m.uid == r->m.uid && same_message(f, &old[j], r)) {
			known++;
			r->m.modseq = old[j].m.modseq;
			r->m.save_date = old[j].m.save_date;
			r->cache_off = old[j].cache_off;
			r->cache_len = old[j].cache_len;
			r->saved_sum = old[j].saved_sum;
			if (old[j].m.flags == r->m.flags && old[j].m.keywords == r->m.keywords)
				continue;
		}
		if (modseq == 0)
			modseq = folder_touch(f);
		r->m.modseq = modseq;
	}
	if (known < nold && modseq == 0) /* some are gone */
		folder_touch(f);
}

static bool is_keyword(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] <= 32 || s.ptr[i] == 127 || memchr("(){%*\"\\]", s.ptr[i], 8) != NULL)
			return false;
	return s.len > 0 && s.len <= 100;
}

int folder_keyword(struct folder *f, struct span name, bool add)
{
	for (unsigned i = 0; i < f->nkeywords; i++)
		if (span_iis(name, f->keywords[i]))
			return (int)i;
	if (!add || f->nkeywords == f->keywords_max || !is_keyword(name))
		return -1;
	f->keywords[f->nkeywords] = mem_strndup(name.ptr, name.len);
	return (int)f->nkeywords++;
}

uint64_t folder_keyword_words(struct folder *f, struct span words)
{
	struct span word;
	uint64_t bits = 0;

	while (span_word(&words, " \t\r\n", &word)) {
		int bit = folder_keyword(f, word, true);

		if (bit >= 0)
			bits |= UINT64_C(1) << bit;
	}
	return bits;
}

void folder_keyword_names(const struct folder *f, uint64_t bits, struct buf *out)
{
	buf_reset(out);
	for (unsigned i = 0; i < f->nkeywords; i++)
		if (bits & UINT64_C(1) << i)
			buf_addf(out, "%s%s", out->len ? " " : "", f->keywords[i]);
}
