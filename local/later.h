/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Letters that are in an mbox but not yet durable there. The queue keeps them until their mailbox was synced, which
 * happens once per mailbox_sync_interval for all letters that came meanwhile. A crash before that delivers them again,
 * and deliver.h's keys recognise what is whole in the mailbox and complete what is not.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/queue/job.h"
#include "lib/store/deliver.h"

/* May letters wait (mailbox_sync_interval > 0), and is there room for one more mailbox? */
bool later_allowed(void);
/* Is a descriptor of this file needed to sync it? */
bool later_wants(const struct deliver_file *file);
/* The message is in path, the file of w: remove it from the queue once that is durable. w->fd, when it is one, is ours now. */
void later_add(const char *path, const struct deliver_wait *w, const struct job_message *m);
/* When the oldest of them must be synced: clock_mono_ms() value, CLOCK_NEVER when there is none. */
int64_t later_deadline(void);
/* Sync every mailbox that has some, and remove their letters from the queue. */
void later_sync(void);
/* The same, when it is time. */
void later_run(void);
