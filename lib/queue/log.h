/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The group-commit log, for lib/queue alone. Small fresh messages are appended to a preallocated segment, and one fdatasync makes
 * those of all sessions of the worker durable that wait for it. Nothing is renamed, created or unlinked per message.
 *
 * A segment, log/NNN (NNN: its number in hexadecimal), belongs to the process that holds its flock.
 *
 *	header    64 bytes: "PHQLOG01", number (32), generation (64), CRC-32 of these
 *	records   each on a multiple of 64 bytes: "PHLR", length (32), generation (64), CRC-32 of these and of the message's header,
 *	          state (32); then the message as in a file of its own (format.h), without a journal
 *
 *	state of a record     what a crash leaves
 *	being written         a record whose checksums do not fit: nobody was told 250
 *	written, not synced   the same, or a whole message (delivered; nobody was told 250)
 *	LIVE, synced          the message, for good
 *	DONE                  nothing: delivered, or moved to a file of its own
 *
 * Records are written in order by one thread at a time, so a durable record has no hole before it. A segment whose records are all
 * DONE is used again with another generation; records of an older one do not count. What a rush left over keeps its name, but gives
 * its space back (trim.c). The number is random: a letter that holds what looks like a record, lying where a later use of the
 * segment ends, must not be taken for one.
 */
#pragma once
#include <sys/uio.h>

#include "lib/queue/queue.h"

enum { LOG_SEGMENTS_MAX = 4096 };

/* --- writing: one log per process, started by queue_log_start --- */
/* Append a message (iov: its header first; len bytes in all) and wait until it is durable. -1 and errno: it is not in
 * the log; ENOSPC also when there is no room now (use a file then). */
int log_append(const char *id, const struct iovec *iov, int n, size_t len, struct queue_place *place_r);
bool log_takes(size_t len); /* the log is started and the message is small enough */

/* --- reading --- */
/* The message at place, when it is LIVE and its id is this; points into shared memory that may change once it is DONE:
 * copy, then check. */
bool log_view(const struct queue_place *place, const char *id, struct span *message_r);
/* Mark it DONE. True: it was LIVE until now. */
bool log_done(const struct queue_place *place, const char *id);
/* Call each for every LIVE message of every segment; *go_on as in queue_scan. A torn end is marked DONE. 0, or -1 and errno. */
int log_scan(bool (*each)(const char *id, const struct queue_place *place, void *arg), void *arg);
