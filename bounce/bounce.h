/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of bounce(8).
 *
 *	main.c      jobs of qmgr, results
 *	select.c    who is to be told what about which recipients
 *	notice.c    one notice: composed, put into the queue, announced
 *	template.c  bounce_template_file
 */
#pragma once
#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/proto/dsn.h"
#include "lib/queue/job.h"

enum { NOTICE_RCPTS_MAX = 500 }; /* recipients that one notice reports on */

struct notice {
	enum dsn_kind kind;
	struct span to;     /* whom it goes to */
	struct span sender; /* envelope sender: empty, or double-bounce@... */
	const char *what;   /* for the log: "sender non-delivery notification" */
	bool headers_only;
	time_t retry_until;    /* delay notices */
	const uint32_t *rcpts; /* indexes in the envelope */
	size_t nrcpts;
	bool expired; /* PENDING recipients have failed because the time is over */
};

/* Write the notice about m into the queue; it is durable on true. Logs either way. */
bool notice_send(struct queue_message *m, const struct notice *n);

/* --- template.c --- */
void template_read(void); /* bounce_template_file, once, while it can be opened */
const struct dsn_template *template_of(enum dsn_kind kind); /* NULL: the built-in text */

/* All that a job says about one message: notices, then the journal. False: to be done again later; logged. */
bool bounce_message(enum job_kind kind, const struct job_message *jm);
