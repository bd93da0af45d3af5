/* SPDX-License-Identifier: BSD-2-Clause */
/* The message that is being delivered here, into a mailbox or to a command: trace header, loop guard, content. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/queue/job.h"

enum { LETTER_HEADER_MAX = 256 * 1024, LETTER_TRACE_MAX = 100 }; /* bytes searched for, number of Delivered-To: */

struct letter {
	const struct job_message *m;
	struct queue_message *message;
	int64_t start_us;
	struct span delivered_to[LETTER_TRACE_MAX]; /* the addresses of its Delivered-To: fields */
	size_t ndelivered_to;
	size_t hops;     /* number of its Received: fields */
	uint64_t offset; /* letter_next: how far it has come */
};

/* Open the message and read its header. Anything but QUEUE_OK: logged; nothing to close. */
enum queue_status letter_open(struct letter *l, struct arena *a, const struct job_message *m);
void letter_close(struct letter *l);
/* Has it been delivered to this address before? */
bool letter_looped(const struct letter *l, struct span address);
/* Does prepend_delivered_header name this kind of delivery: "command", "file", "forward"? */
bool letter_prepends(const char *kind);
/* The line that separates letters in an mbox, with the time of now. In a. */
struct span letter_from_line(struct arena *a, struct span sender);
/* One header field with an address. */
void letter_put_field(struct buf *b, struct arena *a, const char *name, struct span address, bool brackets);
/* Return-Path:, X-Original-To: and, when delivered is not empty, Delivered-To:. In a. */
struct span letter_headers(struct arena *a, struct span sender, struct span original, struct span delivered);
/* Content in chunks from the beginning, for deliver_add and others: letter_rewind, then next(l, &chunk) until it is
 * empty. */
void letter_rewind(struct letter *l);
bool letter_next(void *letter, struct span *chunk_r);
