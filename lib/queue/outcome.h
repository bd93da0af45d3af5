/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a delivery worker (smtp, local) says about a recipient when it is done with it: the line in the log, the journal
 * entry and the RESULT frame for qmgr. All times are wall microseconds. Safe from any thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/verdict.h"
#include "lib/queue/job.h"

struct outcome {
	struct verdict verdict; /* text: what status=sent (...) shows; also the journal's reason */
	struct span relay; /* "mx.example.com[192.0.2.1]:25", "local"; empty: none was reached */
	unsigned conn_use; /* which message of its connection this was, from 1; 0: there is no such thing */
	bool passed_on;    /* see struct job_outcome */
	int64_t start_us;  /* the worker took the message up */
	int64_t ready_us;  /* its connection was ready for the message; 0: none was needed or none came about */
};

/*
 * Log that the worker is done with r, now:
 *	QID: to=<r>, orig_to=<o>, relay=R, conn_use=N, delay=D, delays=a/b/c/d, dsn=X, status=sent (TEXT)
 * a: before qmgr took the message up, b: in qmgr, c: making the connection, d: transmission. conn_use only from 2 on.
 * status is sent, deferred, bounced, or SOFTBOUNCE with a dsn of 4.x.x for a permanent failure under soft_bounce = yes.
 */
void outcome_log(const struct job_message *m, const struct job_rcpt *r, const struct outcome *o);

/* The verdict as it counts: under soft_bounce = yes a permanent failure is a temporary one. */
struct verdict outcome_final(struct verdict v);

/*
 * Journal the outcomes of m's recipients (one in of[] for each of m->rcpts, in their order) as lib/queue/job.h asks for
 * (or remove the message, when it is done), and add the RESULT to frame (maximum FRAME_MAX; empty, or RESULTs of other
 * messages). A journal that cannot be written is logged, and a failure for good is then reported as one for now: else it
 * would be told to nobody. soft_bounce is applied here too. site_down, reason: see struct
 * job_result. False: the frame has no room.
 */
bool outcome_report(const struct job_message *m, const struct outcome *of, bool site_down, struct span reason,
		    struct buf *frame) __attribute__((warn_unused_result));
/* The same for a message that is done but stays in the queue for now: the caller removes it later. qmgr is told. */
bool outcome_report_kept(const struct job_message *m, const struct outcome *of, struct buf *frame)
    __attribute__((warn_unused_result));

/*
 * Append microseconds as seconds, the way delay= and delays= show them: two significant digits, whole seconds from 10 s
 * on, at most decimals (0 to 6) digits after the point, no trailing zeros; a negative time is 0.
 */
void outcome_put_delay(struct buf *b, int64_t us, unsigned decimals);
