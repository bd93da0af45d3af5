/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"

/*
 * Who was written to is kept as bits: SEEN_MARKS of SEEN_BITS for each recipient. With SEEN_SURE recipients two of a hundred new
 * ones look like old ones; past that, all count as new.
 */
enum { NEIGHBOURS = 8, SEEN_BITS = 16384, SEEN_MARKS = 5, SEEN_SURE = 2500, DAY_S = 86400, DIGEST_BYTES = 32 };

struct account {
	unsigned char id[DIGEST_BYTES];
	int64_t day;
	uint32_t messages, recipients;
	uint8_t seen[SEEN_BITS / 8];
};

struct accounts {
	pthread_mutex_t lock; /* flock(2) does not part the threads of a process */
	int fd;
	struct account *table; /* ACCOUNTS_PLACES */
};

static const size_t table_bytes = ACCOUNTS_PLACES * sizeof(struct account);

struct accounts *accounts_open(const char *path)
{
	struct accounts *a = NULL;
	void *table = MAP_FAILED;
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_size == (off_t)table_bytes || ftruncate(fd, (off_t)table_bytes) == 0))
		table = mmap(NULL, table_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (table == MAP_FAILED) {
		log_error("%s: %s: what accounts send is not limited", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	a = mem_zalloc(sizeof *a);
	pthread_mutex_init(&a->lock, NULL);
	a->fd = fd;
	a->table = table;
	return a;
}

void accounts_close(struct accounts *a)
{
	if (a == NULL)
		return;
	munmap(a->table, table_bytes);
	close(a->fd);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static void digest(struct span s, unsigned char to[DIGEST_BYTES])
{
	must(EVP_Digest(s.len ? s.ptr : "", s.len, to, NULL, EVP_sha256(), NULL) == 1);
}

static struct account *find(struct accounts *a, struct span name, int64_t day)
{
	unsigned char id[DIGEST_BYTES];
	struct account *oldest = NULL;
	uint32_t home;

	digest(name, id);
	memcpy(&home, id, sizeof home);
	for (uint32_t i = 0; i < NEIGHBOURS; i++) {
		struct account *at = &a->table[(home + i) % ACCOUNTS_PLACES];

		if (memcmp(at->id, id, sizeof id) == 0 && at->day == day)
			return at;
		if (memcmp(at->id, id, sizeof id) == 0) { /* of another day */
			oldest = at;
			break;
		}
		if (oldest == NULL || at->day < oldest->day || (at->day == oldest->day && at->messages < oldest->messages))
			oldest = at;
	}
	memset(oldest, 0, sizeof *oldest);
	memcpy(oldest->id, id, sizeof id);
	oldest->day = day;
	return oldest;
}

/* True: not written to before, as far as the marks tell. */
static bool mark(struct account *at, struct span recipient)
{
	unsigned char id[DIGEST_BYTES];
	bool is_new = at->recipients >= SEEN_SURE;

	digest(recipient, id);
	for (int i = 0; i < SEEN_MARKS; i++) {
		uint32_t bit;

		memcpy(&bit, id + 4 * i, sizeof bit);
		bit %= SEEN_BITS;
		is_new |= !(at->seen[bit / 8] & 1u << bit % 8);
		at->seen[bit / 8] |= (uint8_t)(1u << bit % 8);
	}
	return is_new;
}

struct account_use accounts_count(struct accounts *a, struct span account, const struct span *recipients, size_t n, int64_t now_s)
{
	struct account_use use;
	struct account *at;

	pthread_mutex_lock(&a->lock);
	while (flock(a->fd, LOCK_EX) < 0 && errno == EINTR)
		;
	at = find(a, account, now_s / DAY_S);
	at->messages++;
	for (size_t i = 0; i < n; i++)
		at->recipients += mark(at, recipients[i]);
	use = (struct account_use){ at->messages, at->recipients };
	flock(a->fd, LOCK_UN);
	pthread_mutex_unlock(&a->lock);
	return use;
}
