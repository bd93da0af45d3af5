/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing the log. A session reserves the place of its record under the lock and joins the round that is gathering; when nobody is
 * writing, one of the round becomes its leader, closes the round, writes the records of all of it in one go and syncs, while the
 * next round gathers. So under load there is one write and one fdatasync after the other, each for as many letters as came
 * meanwhile. The others sleep on the round's word, without a lock, and wake when their letter is durable.
 */
#include "lib/queue/log.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/queue/format.h"
#include "lib/queue/segment.h"

enum { OWN_MAX = 32, OWN_KEPT = 2, IOV_RECORD_MAX = 8, IOV_WRITE_MAX = 128, SEALED_SYNC_MS = 1000 };

/* What a session waits with, on its stack. */
struct waiter {
	struct waiter *next;
	char header[RECORD_HEADER];
	const struct iovec *iov;
	int n;
	size_t len;
};

enum round_state { ROUND_OPEN, ROUND_WANTS_LEADER, ROUND_LED, ROUND_DONE };

/* Sessions that one fdatasync serves. */
struct round {
	_Atomic uint32_t state;  /* enum round_state, and what its members sleep on */
	_Atomic unsigned members;
	struct segment *segment; /* of the records that are not written yet */
	uint64_t at;             /* where they begin */
	struct waiter *first, *last;
	int err;
};

static struct {
	pthread_mutex_t lock;
	uint64_t segment_bytes;
	size_t message_max;
	struct segment *own[OWN_MAX]; /* locked by this process */
	size_t nown;
	struct segment *current;
	uint64_t generation, used;
	struct round *gathering;      /* the round that takes members, or NULL */
	struct round *leading;        /* the one that is being written and synced */
	struct segment *sealed;       /* filled last: its DONE marks should become durable before long */
	int64_t sealed_synced_ms;
} w = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- segments ----------------------------------------------------------------------------------------------------- */

/*
 * The kernel reports a lost write to one of those that sync a file at the same time, and never again. So everybody who has not been
 * told 250 yet is told the failure, and nothing is written into the segment any more. It stays locked.
 */
static void segment_failed(struct segment *s, int err)
{
	log_error("queue log segment %03x: %s", s->number, strerrordesc_np(err));
	s->bad = true;
	if (w.current == s)
		w.current = NULL;
	if (w.leading)
		w.leading->err = err;
	if (w.gathering)
		w.gathering->err = err;
	if (w.gathering && w.gathering->segment == s)
		w.gathering->first = w.gathering->last = NULL;
}

/* A number that nobody can foresee: what letters of an earlier use hold must not pass for records of this one. */
static uint64_t new_generation(void)
{
	uint64_t generation = 0;

	while (generation == 0)
		if (getrandom(&generation, sizeof generation, 0) != (ssize_t)sizeof generation)
			generation = 0;
	return generation;
}

static bool use(struct segment *s)
{
	w.generation = new_generation();
	if (segment_set_generation(s, w.generation) < 0)
		return false;
	w.current = s;
	w.used = SEGMENT_HEADER;
	return true;
}

static bool is_bad(const struct segment *s)
{
	return s->bad || atomic_load(&s->cut);
}

static bool use_own(void)
{
	for (size_t i = 0; i < w.nown; i++)
		if (!is_bad(w.own[i]) && segment_all_done(w.own[i]) && use(w.own[i]))
			return true;
	return false;
}

static bool is_own(const struct segment *s)
{
	for (size_t i = 0; i < w.nown; i++)
		if (w.own[i] == s)
			return true;
	return false;
}

/* One that a process left behind which is no more, with nothing in it. */
static bool adopt(void)
{
	DIR *d = opendir("log");
	struct dirent *entry;
	bool got = false;

	while (d && !got && (entry = readdir(d)) != NULL) {
		uint32_t number = segment_number(entry->d_name);
		struct segment *s = number ? segment_get_fresh(number) : NULL;

		if (s == NULL || s->bad || is_own(s) || s->size < w.segment_bytes || flock(s->fd, LOCK_EX | LOCK_NB) < 0)
			continue;
		got = segment_all_done(s) && (!segment_is_blank(s) || segment_take_space(s) == 0) && use(s);
		if (got)
			w.own[w.nown++] = s;
		else
			flock(s->fd, LOCK_UN);
	}
	if (d)
		closedir(d);
	return got;
}

static bool create(void)
{
	struct segment *s = segment_create(w.segment_bytes);

	if (s == NULL) {
		log_warn("cannot make a segment of the queue log: %m");
		return false;
	}
	w.own[w.nown++] = s;
	return use(s);
}

static bool next_segment(void)
{
	if (use_own())
		return true;
	if (w.nown == OWN_MAX)
		return false;
	return adopt() || create();
}

int queue_log_start(uint64_t segment_bytes, size_t message_max)
{
	bool ok;

	pthread_mutex_lock(&w.lock);
	w.segment_bytes = segment_bytes;
	w.message_max = message_max < segment_bytes / 4 ? message_max : segment_bytes / 4;
	ok = message_max == 0 || next_segment();
	pthread_mutex_unlock(&w.lock);
	return ok ? 0 : -1;
}

bool log_takes(size_t len)
{
	return len <= w.message_max;
}

/* --- rounds ------------------------------------------------------------------------------------------------------- */

static void sleep_on(_Atomic uint32_t *word, uint32_t value)
{
	/* Woken, too late or interrupted: the caller looks again. */
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake_sleepers(_Atomic uint32_t *word, int n)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static struct round *join(struct waiter *wt, uint64_t at)
{
	struct round *r = w.gathering;

	if (r == NULL)
		w.gathering = r = mem_zalloc(sizeof *r);
	if (r->first == NULL) {
		r->segment = w.current;
		r->at = at;
		r->first = wt;
	} else {
		r->last->next = wt;
	}
	r->last = wt;
	atomic_fetch_add(&r->members, 1);
	return r;
}

/* What a rush needed and is done with: who needs a segment next takes it, or its space is given back (log_trim). One at a time. */
static void release_surplus(void)
{
	static size_t next;
	struct segment *s;

	if (w.nown <= OWN_KEPT)
		return;
	next = (next + 1) % w.nown;
	s = w.own[next];
	if (s == w.current || s == w.sealed || is_bad(s) || !segment_all_done(s) || flock(s->fd, LOCK_UN) < 0)
		return;
	w.own[next] = w.own[--w.nown];
}

/* Work for now and then. */
static void sync_sealed(void)
{
	struct segment *s = w.sealed;
	int err;

	if (clock_mono_ms() - w.sealed_synced_ms < SEALED_SYNC_MS)
		return;
	w.sealed_synced_ms = clock_mono_ms();
	release_surplus();
	if (s && segment_all_done(s))
		w.sealed = NULL;
	if (s == NULL)
		return;
	pthread_mutex_unlock(&w.lock);
	err = fdatasync(s->fd) < 0 ? errno : 0;
	pthread_mutex_lock(&w.lock);
	if (err) /* it may be in use again */
		segment_failed(s, err);
}

static bool write_all(struct segment *s, struct iovec *iov, int n, uint64_t *at)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	errno = EIO; /* unless the system says something else */
	if (pwritev(s->fd, iov, n, (off_t)*at) != (ssize_t)len)
		return false;
	*at += len;
	return true;
}

/* The records of a round, as many as possible in one write. False: errno. */
static bool write_records(struct round *r)
{
	static const char blank[SEGMENT_ALIGN];
	struct iovec iov[IOV_WRITE_MAX];
	uint64_t at = r->at;
	int n = 0;

	for (struct waiter *wt = r->first; wt; wt = wt->next) {
		size_t over = (RECORD_HEADER + wt->len) % SEGMENT_ALIGN;

		if (n + wt->n + 2 > IOV_WRITE_MAX) {
			if (!write_all(r->segment, iov, n, &at))
				return false;
			n = 0;
		}
		iov[n++] = (struct iovec){ wt->header, RECORD_HEADER };
		memcpy(iov + n, wt->iov, (size_t)wt->n * sizeof *iov);
		n += wt->n;
		if (over && wt->next)
			iov[n++] = (struct iovec){ (char *)(uintptr_t)blank, SEGMENT_ALIGN - over };
	}
	return n == 0 || write_all(r->segment, iov, n, &at);
}

/* The lock is held at first, not afterwards: who is woken wants it. */
static void lead(struct round *r)
{
	bool write = r->first && !is_bad(r->segment);
	int err = r->first && !write ? EIO : 0;
	struct round *next;

	atomic_store(&r->state, ROUND_LED);
	w.leading = r;
	w.gathering = NULL;
	pthread_mutex_unlock(&w.lock);
	if (write && (!write_records(r) || fdatasync(r->segment->fd) < 0))
		err = errno;
	pthread_mutex_lock(&w.lock);
	if (err) /* never tried again on the same file */
		segment_failed(r->segment, err);
	sync_sealed();
	w.leading = NULL;
	next = w.gathering;
	if (next)
		atomic_store(&next->state, ROUND_WANTS_LEADER);
	atomic_store(&r->state, ROUND_DONE);
	pthread_mutex_unlock(&w.lock);
	if (next) /* it may be gone already: then nobody sleeps there */
		wake_sleepers(&next->state, 1);
	wake_sleepers(&r->state, INT_MAX);
}

static void leave(struct round *r)
{
	if (atomic_fetch_sub(&r->members, 1) == 1)
		free(r);
}

/* The end of a round that somebody else leads. */
static void await(struct round *r)
{
	uint32_t state;

	while ((state = atomic_load(&r->state)) != ROUND_DONE)
		sleep_on(&r->state, state);
}

/* With the lock held at first, not afterwards. */
static int wait_for(struct round *r)
{
	uint32_t state;
	int err;

	if (w.leading == NULL)
		lead(r);
	else
		pthread_mutex_unlock(&w.lock);
	while ((state = atomic_load(&r->state)) != ROUND_DONE) {
		if (state != ROUND_WANTS_LEADER) {
			sleep_on(&r->state, state);
			continue;
		}
		pthread_mutex_lock(&w.lock);
		if (w.leading == NULL && w.gathering == r)
			lead(r);
		else
			pthread_mutex_unlock(&w.lock);
	}
	err = r->err;
	leave(r);
	return err;
}

/*
 * There is no room in the current segment, or somebody cut it off: another one is begun when all that is meant for this one is in
 * it. So a round is about one segment, and what is free in it, or DONE, stays so. The lock is held, but let go of meanwhile.
 */
static bool make_room(size_t len)
{
	while (w.current && (is_bad(w.current) || w.used + RECORD_HEADER + len > w.current->size)) {
		struct round *r = w.leading ? w.leading : w.gathering;

		if (r == NULL) {
			w.sealed = w.current;
			w.current = NULL;
			continue;
		}
		atomic_fetch_add(&r->members, 1);
		if (r == w.gathering)
			lead(r);
		else
			pthread_mutex_unlock(&w.lock);
		await(r);
		leave(r);
		pthread_mutex_lock(&w.lock);
	}
	return w.current || next_segment();
}

int log_append(const char *id, const struct iovec *iov, int n, size_t len, struct queue_place *place_r)
{
	struct waiter wt = { .iov = iov, .n = n, .len = len };
	uint64_t at;
	int err;

	must(n <= IOV_RECORD_MAX && iov[0].iov_len == FORMAT_HEADER_BYTES);
	pthread_mutex_lock(&w.lock);
	if (!make_room(len)) {
		pthread_mutex_unlock(&w.lock);
		errno = ENOSPC;
		return -1;
	}
	at = w.used;
	*place_r = (struct queue_place){ w.current->number, at, (uint32_t)len };
	segment_put_record_header(wt.header, w.generation, len, span_of(iov[0].iov_base, iov[0].iov_len));
	w.used = (at + RECORD_HEADER + len + SEGMENT_ALIGN - 1) / SEGMENT_ALIGN * SEGMENT_ALIGN;
	err = wait_for(join(&wt, at));
	if (err == 0)
		return 0;
	log_done(place_r, id); /* it may be on the disk or not: its sender is told that it is not accepted */
	errno = err;
	return -1;
}
