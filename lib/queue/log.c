/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing the log. A session appends its record under the lock and joins the round that is gathering; when no sync is under way one
 * of the round becomes its leader, closes the round and syncs for all of it, while the next round gathers. So under load there is
 * one fdatasync after the other, each for as many letters as came meanwhile.
 */
#include "lib/queue/log.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/queue/format.h"
#include "lib/queue/segment.h"

enum { OWN_MAX = 32, OWN_KEPT = 2, IOV_MAX_HERE = 8, SEALED_SYNC_MS = 1000 };

/* Sessions that one fdatasync serves. */
struct round {
	pthread_cond_t ended;
	unsigned members;
	bool done;
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
	struct round *leading;        /* the one that is being synced */
	bool syncing;
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

/* What is in the segment that is left must be durable with its round, whose leader will sync another one. */
static void seal(void)
{
	if (w.current == NULL)
		return;
	w.sealed = w.current;
	if (w.gathering && fdatasync(w.current->fd) < 0)
		segment_failed(w.current, errno);
	w.current = NULL;
}

static bool next_segment(void)
{
	seal();
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

static struct round *join(void)
{
	if (w.gathering == NULL) {
		w.gathering = mem_zalloc(sizeof *w.gathering);
		pthread_cond_init(&w.gathering->ended, NULL);
	}
	w.gathering->members++;
	return w.gathering;
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

static void lead(struct round *r)
{
	struct segment *s = w.current; /* NULL: sealed since, and synced with that */
	int err;

	w.syncing = true;
	w.leading = r;
	w.gathering = NULL;
	pthread_mutex_unlock(&w.lock);
	err = s && fdatasync(s->fd) < 0 ? errno : 0;
	pthread_mutex_lock(&w.lock);
	if (err) /* never tried again on the same file */
		segment_failed(s, err);
	sync_sealed();
	w.syncing = false;
	w.leading = NULL;
	r->done = true;
	pthread_cond_broadcast(&r->ended);
	if (w.gathering)
		pthread_cond_signal(&w.gathering->ended); /* one of them leads the next */
}

static int wait_for(struct round *r)
{
	int err;

	while (!r->done) {
		if (!w.syncing && w.gathering == r)
			lead(r);
		else
			pthread_cond_wait(&r->ended, &w.lock);
	}
	err = r->err;
	if (--r->members == 0) {
		pthread_cond_destroy(&r->ended);
		free(r);
	}
	return err;
}

static bool write_record(const struct iovec *iov, int n, size_t len)
{
	char header[RECORD_HEADER];
	struct iovec all[IOV_MAX_HERE];

	must(n + 1 <= IOV_MAX_HERE && iov[0].iov_len == FORMAT_HEADER_BYTES);
	segment_put_record_header(header, w.generation, len, span_of(iov[0].iov_base, iov[0].iov_len));
	all[0] = (struct iovec){ header, sizeof header };
	memcpy(all + 1, iov, (size_t)n * sizeof *iov);
	return pwritev(w.current->fd, all, n + 1, (off_t)w.used) == (ssize_t)(len + RECORD_HEADER);
}

/* What could not be written whole ends the segment. Those who wrote before are synced now: their leader will sync another one. */
static void give_up_segment(void)
{
	struct segment *s = w.current;

	seal();
	s->bad = true;
}

int log_append(const char *id, const struct iovec *iov, int n, size_t len, struct queue_place *place_r)
{
	int err;

	pthread_mutex_lock(&w.lock);
	if (w.current && is_bad(w.current)) /* cut off under our feet: what others of the round wrote is synced with it */
		seal();
	if ((w.current == NULL || w.used + RECORD_HEADER + len > w.current->size) && !next_segment()) {
		pthread_mutex_unlock(&w.lock);
		errno = ENOSPC;
		return -1;
	}
	*place_r = (struct queue_place){ w.current->number, w.used, (uint32_t)len };
	errno = 0;
	if (!write_record(iov, n, len)) {
		err = errno ? errno : EIO;
		give_up_segment();
		pthread_mutex_unlock(&w.lock);
		errno = err;
		return -1;
	}
	w.used = (w.used + RECORD_HEADER + len + SEGMENT_ALIGN - 1) / SEGMENT_ALIGN * SEGMENT_ALIGN;
	err = wait_for(join());
	pthread_mutex_unlock(&w.lock);
	if (err == 0)
		return 0;
	log_done(place_r, id); /* it may be on the disk or not: its sender is told that it is not accepted */
	errno = err;
	return -1;
}
