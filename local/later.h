/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Letters that are in an mbox but not yet durable there. The queue keeps them until their mailbox was synced, which
 * happens once per mailbox_sync_interval for all letters that came meanwhile. A crash before that delivers them again,
 * and deliver.h's keys recognise what is whole in the mailbox and complete what is not.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "lib/queue/job.h"

/* May letters wait at all (mailbox_sync_interval > 0)? */
bool later_allowed(void);
/* The message is in path, of which fd is a descriptor that is now ours: remove it from the queue once that is durable. fd -1: the
 * mailbox given with the call before. */
void later_add(const char *path, int fd, const struct job_message *m);
/* When the oldest of them must be synced: clock_mono_ms() value, CLOCK_NEVER when there is none. */
int64_t later_deadline(void);
/* Sync every mailbox that has some, and remove their letters from the queue. */
void later_sync(void);
/* The same, when it is time. */
void later_run(void);
