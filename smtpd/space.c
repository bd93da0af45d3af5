/* SPDX-License-Identifier: BSD-2-Clause */
/* Free space of the queue's file system, blocks and inodes, looked at no more than once a second. */
#include <stdatomic.h>
#include <sys/statvfs.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "smtpd/session.h"

enum { INODES_MIN = 16 };

static _Atomic int64_t looked_at_ms = INT64_MIN / 2;
static _Atomic uint64_t free_bytes;

static uint64_t look(void)
{
	struct statvfs fs;

	if (statvfs(".", &fs) < 0) {
		log_warn("cannot look at the free space of the queue: %m");
		return UINT64_MAX; /* not knowing is no reason to refuse mail: a write that fails is answered 4xx anyway */
	}
	if (fs.f_files > 0 && fs.f_favail < INODES_MIN)
		return 0;
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

bool space_left(uint64_t message_bytes)
{
	uint64_t need = conf->queue_minfree > 0 ? (uint64_t)conf->queue_minfree
						: (uint64_t)conf->message_size_limit + (uint64_t)conf->message_size_limit / 2;
	int64_t now = clock_mono_ms();

	if (now - atomic_load(&looked_at_ms) >= 1000) {
		atomic_store(&free_bytes, look());
		atomic_store(&looked_at_ms, now);
	}
	return atomic_load(&free_bytes) > need && atomic_load(&free_bytes) > message_bytes;
}
