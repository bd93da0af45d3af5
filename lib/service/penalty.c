/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/penalty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"

enum { NEIGHBOURS = 8 };

struct place {
	uint64_t key; /* 0: free */
	int64_t last_s;
	uint32_t failures, unused;
};

struct penalty {
	struct place *places; /* PENALTY_PLACES */
	int fd;               /* -1: memory of this process */
};

static const size_t table_bytes = PENALTY_PLACES * sizeof(struct place);

/* A file of another size is from another version: it starts anew. */
static int open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) < 0 || (st.st_size != (off_t)table_bytes && ftruncate(fd, (off_t)table_bytes) < 0))) {
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		log_warn("%s: %s: failed logins are counted by each process alone", path, strerror(errno));
	return fd;
}

struct penalty *penalty_open(const char *path)
{
	struct penalty *p = mem_zalloc(sizeof *p);
	int flags = MAP_SHARED;

	p->fd = open_file(path);
	if (p->fd < 0)
		flags |= MAP_ANONYMOUS;
	/* cppcheck-suppress invalidFunctionArg ; -1 is what MAP_ANONYMOUS wants */
	p->places = mmap(NULL, table_bytes, PROT_READ | PROT_WRITE, flags, p->fd, 0);
	must(p->places != MAP_FAILED);
	return p;
}

void penalty_close(struct penalty *p)
{
	munmap(p->places, table_bytes);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

static void lock(const struct penalty *p, int how)
{
	while (p->fd >= 0 && flock(p->fd, how) < 0 && errno == EINTR)
		;
}

/* The place of key, or the one that it may take: free, forgotten, or quiet for longest. */
static struct place *find(struct penalty *p, uint64_t key)
{
	size_t home = (size_t)(key % PENALTY_PLACES);
	struct place *oldest = &p->places[home];

	for (size_t i = 0; i < NEIGHBOURS; i++) {
		struct place *at = &p->places[(home + i) % PENALTY_PLACES];

		if (at->key == key)
			return at;
		if (at->last_s < oldest->last_s)
			oldest = at;
	}
	return oldest;
}

static uint32_t one_more(struct penalty *p, uint64_t key, int64_t now_s)
{
	struct place *at;

	if (key == 0)
		return 0;
	at = find(p, key);
	if (at->key != key || now_s - at->last_s > PENALTY_FORGET_S || now_s < at->last_s)
		*at = (struct place){ .key = key };
	at->last_s = now_s;
	at->failures += at->failures < UINT32_MAX;
	return at->failures;
}

uint32_t penalty_failure(struct penalty *p, uint64_t network, uint64_t account, int64_t now_s)
{
	uint32_t a, b;

	lock(p, LOCK_EX);
	a = one_more(p, network, now_s);
	b = one_more(p, account, now_s);
	lock(p, LOCK_UN);
	return a > b ? a : b;
}

void penalty_success(struct penalty *p, uint64_t account)
{
	struct place *at;

	lock(p, LOCK_EX);
	at = find(p, account);
	if (account && at->key == account)
		*at = (struct place){ .key = 0 };
	lock(p, LOCK_UN);
}

uint32_t penalty_delay_ms(uint32_t failures, int64_t base_ms)
{
	int64_t delay = base_ms;

	if (base_ms >= PENALTY_MAX_MS)
		return (uint32_t)base_ms;
	for (uint32_t i = PENALTY_FREE; i < failures && delay > 0 && delay < PENALTY_MAX_MS; i++)
		delay *= 2;
	return (uint32_t)(delay < PENALTY_MAX_MS ? delay : PENALTY_MAX_MS);
}
