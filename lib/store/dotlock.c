/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/store/dotlock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/list.h"
#include "lib/base/mem.h"
#include "lib/base/span.h"

enum { POLL_FIRST_MS = 2, POLL_MAX_MS = 50, HOST_MAX = 65, EMPTY_STALE_MS = 3000 };

static _Atomic int64_t stale_ms = 500000;

/* Lock files that this process holds. */
struct held {
	struct list_node node;
	char *path;
};
static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list held = LIST_INIT(held);

static struct held *held_find(const char *path)
{
	list_for_each(n, &held) {
		struct held *h = list_entry(n, struct held, node);

		if (strcmp(h->path, path) == 0)
			return h;
	}
	return NULL;
}

static void held_add(const char *path)
{
	struct held *h = mem_zalloc(sizeof *h);

	h->path = mem_strdup(path);
	pthread_mutex_lock(&held_lock);
	list_append(&held, &h->node);
	pthread_mutex_unlock(&held_lock);
}

static bool is_held(const char *path)
{
	bool yes;

	pthread_mutex_lock(&held_lock);
	yes = held_find(path) != NULL;
	pthread_mutex_unlock(&held_lock);
	return yes;
}

/* One of the entries of this path: they are counted, not told apart. */
static void held_remove(const char *path)
{
	struct held *h;

	pthread_mutex_lock(&held_lock);
	h = held_find(path);
	if (h != NULL)
		list_remove(&h->node);
	pthread_mutex_unlock(&held_lock);
	if (h != NULL) {
		free(h->path);
		free(h);
	}
}

void dotlock_release(const char *path)
{
	unlink(path);
	held_remove(path);
}

void dotlock_set_stale_ms(int64_t ms)
{
	stale_ms = ms;
}

char *dotlock_name(const char *path)
{
	size_t len = strlen(path);
	char *name = mem_alloc(len + sizeof ".lock");

	memcpy(name, path, len);
	memcpy(name + len, ".lock", sizeof ".lock");
	return name;
}

static void own_host(char host[HOST_MAX])
{
	if (gethostname(host, HOST_MAX) < 0)
		host[0] = '\0';
	host[HOST_MAX - 1] = '\0';
}

static int64_t age_ms(const struct stat *st)
{
	return clock_wall_us() / 1000 - (st->st_mtim.tv_sec * INT64_C(1000) + st->st_mtim.tv_nsec / 1000000);
}

static bool is_old(const struct stat *st)
{
	return age_ms(st) > stale_ms;
}

/*
 * The process named in a lock file of this host is no more, or is this one, which knows better. Other programs write other things:
 * then only age counts. An empty one was left by one of ours that was killed before it could write its name (or found the disk
 * full); a foreign program that leaves its lock files empty is protected by the kernel's lock, which is taken next.
 */
static bool holder_is_gone(int fd, const char *path, const struct stat *st)
{
	char text[128], host[HOST_MAX];
	struct span rest, pid;
	uint64_t n;
	ssize_t got = pread(fd, text, sizeof text, 0);

	if (got <= 0)
		return got == 0 && age_ms(st) > EMPTY_STALE_MS;
	own_host(host);
	rest = span_trim(span_of(text, (size_t)got));
	pid = span_cut(&rest, ':');
	if (!span_u64(pid, 0x7fffffff, &n) || n == 0 || host[0] == '\0' || !span_is(rest, host))
		return false;
	if ((pid_t)n == getpid())
		return !is_held(path);
	return kill((pid_t)n, 0) < 0 && errno == ESRCH;
}

/*
 * Remove a stale lock file. Somebody else may do the same at this moment and then make a new one: so it is moved aside first,
 * and put back when it turns out to be another file than the one looked at.
 */
static void remove_stale(const char *path)
{
	struct stat st, moved;
	bool stale;
	char *aside;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0) {
		/* unreadable for us: age alone decides */
		if (fd >= 0 || lstat(path, &st) < 0)
			return;
	}
	stale = is_old(&st) || (fd >= 0 && holder_is_gone(fd, path, &st));
	if (fd >= 0)
		close(fd);
	if (!stale)
		return;
	aside = mem_alloc(strlen(path) + 48);
	snprintf(aside, strlen(path) + 48, "%s.%ld.%lx", path, (long)getpid(), (unsigned long)pthread_self());
	if (rename(path, aside) == 0) {
		if (lstat(aside, &moved) == 0 && moved.st_ino != st.st_ino && link(aside, path) < 0)
			errno = 0; /* a third one was faster; nothing better can be done */
		unlink(aside);
	}
	free(aside);
}

static int make_lock(const char *path)
{
	char host[HOST_MAX], text[128];
	int n, fd;

	held_add(path); /* before the file can be seen */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0) {
		held_remove(path);
		return -1;
	}
	own_host(host);
	n = snprintf(text, sizeof text, "%ld:%s\n", (long)getpid(), host);
	if (write(fd, text, (size_t)n) != n)
		errno = 0; /* a full disk: the file is there, and that is the lock */
	close(fd);
	return 0;
}

int dotlock_take(const char *lock_path, int64_t deadline_ms)
{
	int64_t wait = POLL_FIRST_MS;

	while (make_lock(lock_path) < 0) {
		struct timespec ts;

		if (errno != EEXIST)
			return -1;
		remove_stale(lock_path);
		if (clock_mono_ms() >= deadline_ms) {
			if (make_lock(lock_path) == 0)
				return 0;
			errno = EAGAIN;
			return -1;
		}
		ts = (struct timespec){ .tv_nsec = wait * 1000000 };
		nanosleep(&ts, NULL);
		wait = wait * 2 > POLL_MAX_MS ? POLL_MAX_MS : wait * 2;
	}
	return 0;
}
