/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Something read from files that is used by many threads and follows the files: an immutable snapshot, counted by its
 * users and replaced when a file changed. Files are looked at once a second at most; between two looks a use costs a
 * lock and no system call.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/base/buf.h"

enum { FRESH_CHECK_MS = 1000, FRESH_LOG_MS = 60000, FRESH_WHY_MAX = 1024 };

struct snap {
	unsigned refs; /* guarded by the lock of the struct fresh that made it */
	void (*free)(struct snap *s);
};

struct fresh {
	pthread_mutex_t lock;
	/*
	 * Called under the lock: f->now when it is still right, a new snapshot (refs 0), or NULL when it cannot be
	 * read, with the reason in why: one line, logged at most once a minute.
	 */
	struct snap *(*load)(struct fresh *f, struct buf *why);
	struct snap *now;
	int64_t check_at, log_at;
	unsigned generation;
};

void fresh_init(struct fresh *f, struct snap *(*load)(struct fresh *f, struct buf *why));
/* The snapshot, to be given back with fresh_put; NULL when it cannot be read now. */
struct snap *fresh_get(struct fresh *f);
void fresh_put(struct fresh *f, struct snap *s);
/* Every struct fresh looks at its files at its next use: after a reload, in tests. */
void fresh_check_now(void);

/* What tells one state of a file from another. */
struct file_id {
	bool exists;
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};
/* 0 and *id_r, or -1 and errno; then id_r->exists is false. */
int file_id_get(const char *path, struct file_id *id_r);
bool file_id_eq(const struct file_id *a, const struct file_id *b);
