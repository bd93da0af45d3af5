/* SPDX-License-Identifier: BSD-2-Clause */
/* What is due for an awake message, and to whom: recipients into tasks, notices, the time of the next attempt. */
#pragma once
#include "qmgr/qmgr.h"

/* Deep copy, strings and recipients, into a. */
void sort_copy_envelope(struct arena *a, const struct queue_envelope *from, struct queue_envelope *to);
/* Route the recipients that are due and hand their tasks to the destinations. Those of a site that is down wait for it. */
void sort_into_tasks(struct message *m);
/* Tasks for the notices that are owed now: failures, expiry, delay, success. False: none. */
bool sort_notices(struct message *m);
/* --- settled.c --- */
/* Does qmgr deal with this recipient itself: error, retry, discard, a transport of defer_transports? True: it has. */
bool settled_here(struct message *m, uint32_t rcpt, struct span transport, struct span nexthop);

/* --- sort.c --- */
/* Is the sender to be told when r is delivered: NOTIFY=SUCCESS, or after a notice of its delay. */
bool sort_owes_success(const struct message *m, const struct queue_rcpt *r);
/* No recipient is pending and no failure is untold. */
bool sort_all_done(const struct queue_envelope *env);
/* No recipient is due now, nothing is to be told and the message has not expired. */
bool sort_nothing_due(const struct message *m);
/* Monotonic time of the next attempt of the recipient that comes first. */
int64_t sort_next_attempt_ms(const struct message *m);
