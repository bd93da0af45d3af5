/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/map/fresh.h"

#include <stdatomic.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/must.h"

static atomic_uint generation = 1;

void fresh_init(struct fresh *f, struct snap *(*load)(struct fresh *f, struct buf *why))
{
	*f = (struct fresh){ .load = load };
	pthread_mutex_init(&f->lock, NULL);
}

static void drop(struct snap *s)
{
	if (s && s->refs == 0)
		s->free(s);
}

static void complain(struct fresh *f, int64_t now, struct buf *why)
{
	if (f->log_at > now)
		return;
	f->log_at = now + FRESH_LOG_MS;
	log_error("%s", buf_cstr(why));
}

static void refresh(struct fresh *f, int64_t now)
{
	struct snap *before = f->now;
	struct buf why;

	buf_init(&why, FRESH_WHY_MAX);
	f->now = f->load(f, &why);
	f->check_at = now + FRESH_CHECK_MS;
	if (f->now == NULL)
		complain(f, now, &why);
	else
		f->log_at = 0;
	if (f->now != before)
		drop(before);
	buf_free(&why);
}

struct snap *fresh_get(struct fresh *f)
{
	int64_t now = clock_mono_ms();
	unsigned current = atomic_load_explicit(&generation, memory_order_relaxed);
	struct snap *s;

	pthread_mutex_lock(&f->lock);
	if (now >= f->check_at || f->generation != current) {
		f->generation = current;
		refresh(f, now);
	}
	s = f->now;
	if (s)
		s->refs++;
	pthread_mutex_unlock(&f->lock);
	return s;
}

void fresh_put(struct fresh *f, struct snap *s)
{
	pthread_mutex_lock(&f->lock);
	must(s->refs > 0);
	s->refs--;
	if (s != f->now)
		drop(s);
	pthread_mutex_unlock(&f->lock);
}

void fresh_check_now(void)
{
	atomic_fetch_add(&generation, 1);
}

int file_id_get(const char *path, struct file_id *id_r)
{
	struct stat st;

	*id_r = (struct file_id){ 0 };
	if (stat(path, &st) < 0)
		return -1;
	*id_r = (struct file_id){ true, st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim };
	return 0;
}

static bool time_eq(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool file_id_eq(const struct file_id *a, const struct file_id *b)
{
	if (a->exists != b->exists)
		return false;
	return !a->exists || (a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
			      time_eq(a->mtime, b->mtime) && time_eq(a->ctime, b->ctime));
}
