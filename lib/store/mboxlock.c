/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/store/mboxlock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/list.h"
#include "lib/base/mem.h"
#include "lib/base/span.h"
#include "lib/store/dotlock.h"

enum {
	POLL_FIRST_MS = 2,
	POLL_MAX_MS = 50,
	HOLD_DOTLOCK_MS = 1500, /* longest wait for the kernel's lock while holding the dotlock */
};

enum { USE_FCNTL = 1, USE_DOTLOCK = 2, USE_FLOCK = 4 };

/* One file that a thread of this process has locked. */
struct inode {
	struct list_node node;
	dev_t dev;
	ino_t ino;
	bool held;
	int waiters;
	int *orphans; /* descriptors that must stay open until the holder is done */
	size_t norphans;
	pthread_cond_t freed;
};

static pthread_mutex_t inodes_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list inodes = LIST_INIT(inodes);

static struct inode *inode_find(const struct stat *st)
{
	list_for_each(n, &inodes) {
		struct inode *i = list_entry(n, struct inode, node);

		if (i->dev == st->st_dev && i->ino == st->st_ino)
			return i;
	}
	return NULL;
}

static void inode_drop_unused(struct inode *i)
{
	if (i->held || i->waiters > 0)
		return;
	list_remove(&i->node);
	pthread_cond_destroy(&i->freed);
	free(i->orphans);
	free(i);
}

static struct inode *inode_new(const struct stat *st)
{
	struct inode *i = mem_zalloc(sizeof *i);
	pthread_condattr_t attr;

	i->dev = st->st_dev;
	i->ino = st->st_ino;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&i->freed, &attr);
	pthread_condattr_destroy(&attr);
	list_append(&inodes, &i->node);
	return i;
}

/* Close fd, or leave that to the thread that holds a lock on the same file: closing would drop it. */
static void close_unlocked(int fd, const struct stat *st)
{
	struct inode *i = inode_find(st);

	if (i == NULL || !i->held) {
		close(fd);
		return;
	}
	i->orphans = mem_realloc_array(i->orphans, i->norphans + 1, sizeof(int));
	i->orphans[i->norphans++] = fd;
}

static struct timespec timespec_of(int64_t mono_ms)
{
	return (struct timespec){ .tv_sec = mono_ms / 1000, .tv_nsec = mono_ms % 1000 * 1000000 };
}

/* Become the only thread of this process that uses the file. On failure fd is dealt with. */
static struct inode *inode_acquire(int fd, const struct stat *st, int64_t deadline_ms)
{
	struct inode *i;
	int err = 0;

	pthread_mutex_lock(&inodes_lock);
	i = inode_find(st);
	if (i == NULL)
		i = inode_new(st);
	i->waiters++;
	while (i->held && err != ETIMEDOUT) {
		struct timespec ts = timespec_of(deadline_ms);

		if (deadline_ms == CLOCK_NEVER)
			pthread_cond_wait(&i->freed, &inodes_lock);
		else
			err = pthread_cond_timedwait(&i->freed, &inodes_lock, &ts);
	}
	i->waiters--;
	if (i->held) {
		close_unlocked(fd, st);
		i = NULL;
	} else {
		i->held = true;
	}
	pthread_mutex_unlock(&inodes_lock);
	if (i == NULL)
		errno = EAGAIN;
	return i;
}

static void inode_release(struct inode *i, int fd)
{
	pthread_mutex_lock(&inodes_lock);
	close(fd);
	for (size_t n = 0; n < i->norphans; n++)
		close(i->orphans[n]);
	i->norphans = 0;
	i->held = false;
	pthread_cond_signal(&i->freed);
	inode_drop_unused(i);
	pthread_mutex_unlock(&inodes_lock);
}

static unsigned parse_methods(const char *methods)
{
	struct span rest = span_cstr(methods), word;
	unsigned use = 0;

	while (span_word(&rest, " \t,", &word)) {
		if (span_iis(word, "fcntl"))
			use |= USE_FCNTL;
		else if (span_iis(word, "dotlock"))
			use |= USE_DOTLOCK;
		else if (span_iis(word, "flock"))
			use |= USE_FLOCK;
	}
	return use ? use : USE_FCNTL | USE_DOTLOCK;
}

static void pause_ms(int64_t ms)
{
	struct timespec ts = timespec_of(ms);

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		continue;
}

static int try_kernel_lock(int fd, enum mboxlock_mode mode, unsigned use)
{
	struct flock fl = { .l_type = mode == MBOXLOCK_READ ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	if ((use & USE_FCNTL) && fcntl(fd, F_SETLK, &fl) < 0) {
		if (errno == EACCES)
			errno = EAGAIN;
		return -1;
	}
	if (use & USE_FLOCK)
		return flock(fd, (mode == MBOXLOCK_READ ? LOCK_SH : LOCK_EX) | LOCK_NB);
	return 0;
}

static int kernel_lock(int fd, enum mboxlock_mode mode, unsigned use, int64_t deadline_ms)
{
	int64_t wait = POLL_FIRST_MS;

	while (try_kernel_lock(fd, mode, use) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || clock_mono_ms() >= deadline_ms)
			return -1;
		pause_ms(wait);
		wait = wait * 2 > POLL_MAX_MS ? POLL_MAX_MS : wait * 2;
	}
	return 0;
}

static int refuse_kind(const struct stat *st)
{
	if (S_ISREG(st->st_mode))
		return 0;
	errno = S_ISDIR(st->st_mode) ? EISDIR : EINVAL;
	return -1;
}

/* One attempt with the dotlock settled: 0 locked, 1 the file was replaced meanwhile, -1 errno. */
static int open_and_lock(struct mboxlock *l, const char *path, int flags, unsigned perm, enum mboxlock_mode mode, unsigned use,
			 int64_t deadline_ms)
{
	struct stat st, now;
	struct inode *i;
	int err, fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, perm);

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || refuse_kind(&st) < 0) {
		err = errno;
		close(fd);
		errno = err;
		return -1;
	}
	i = inode_acquire(fd, &st, deadline_ms);
	if (i == NULL)
		return -1;
	if (kernel_lock(fd, mode, use, deadline_ms) < 0) {
		err = errno;
		inode_release(i, fd);
		errno = err;
		return -1;
	}
	if (lstat(path, &now) < 0 || now.st_dev != st.st_dev || now.st_ino != st.st_ino) {
		inode_release(i, fd);
		return 1;
	}
	l->fd = fd;
	l->inode = i;
	return 0;
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void drop_dotlock(struct mboxlock *l)
{
	if (l->dotlocked)
		dotlock_release(l->dotlock_path);
	l->dotlocked = false;
}

/* Contenders that started together must not meet again. */
static void back_off(void)
{
	unsigned char r = 128;

	if (getrandom(&r, 1, GRND_NONBLOCK) < 0)
		r = (unsigned char)clock_wall_us();
	pause_ms(5 + r % 100);
}

static bool may_skip_dotlock(int err, unsigned use)
{
	bool cannot = err == EACCES || err == EPERM || err == EROFS || err == ENOSPC || err == EDQUOT;

	return cannot && (use & (USE_FCNTL | USE_FLOCK)) != 0;
}

int mboxlock_open(struct mboxlock *l, const char *path, int flags, unsigned perm, enum mboxlock_mode mode, const char *methods,
		  int64_t deadline_ms)
{
	unsigned use = parse_methods(methods);
	bool dot = (use & USE_DOTLOCK) && (mode == MBOXLOCK_WRITE || use == USE_DOTLOCK);
	int rc, err;

	*l = (struct mboxlock){ .fd = -1 };
	if (dot)
		l->dotlock_path = dotlock_name(path);
	for (;;) {
		int64_t until = deadline_ms;

		if (dot && dotlock_take(l->dotlock_path, deadline_ms) == 0) {
			l->dotlocked = true;
			until = sooner(deadline_ms, clock_deadline(HOLD_DOTLOCK_MS));
		} else if (dot && !may_skip_dotlock(errno, use)) {
			break;
		}
		rc = open_and_lock(l, path, flags, perm, mode, use, until);
		if (rc == 0)
			return 0;
		err = errno;
		drop_dotlock(l);
		errno = err;
		if (rc < 0 && (err != EAGAIN || clock_mono_ms() >= deadline_ms))
			break;
		if (rc < 0)
			back_off();
	}
	err = errno;
	free(l->dotlock_path);
	*l = (struct mboxlock){ .fd = -1 };
	errno = err;
	return -1;
}

void mboxlock_close(struct mboxlock *l)
{
	if (l->fd >= 0)
		inode_release(l->inode, l->fd);
	drop_dotlock(l);
	free(l->dotlock_path);
	*l = (struct mboxlock){ .fd = -1 };
}

void mboxlock_touch(struct mboxlock *l)
{
	if (l->dotlocked)
		utimensat(AT_FDCWD, l->dotlock_path, NULL, AT_SYMLINK_NOFOLLOW);
}

void mboxlock_set_stale_ms(int64_t ms)
{
	dotlock_set_stale_ms(ms);
}
