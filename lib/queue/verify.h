/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is known of addresses that were probed (reject_unverified_sender, reject_unverified_recipient): one cache on disk that all
 * smtpd ask and qmgr fills with the results of probe letters (QUEUE_PROBE). It may be lost at any time: then addresses are probed
 * anew. Safe from any thread and process; opened when it is used for the
 * first time.
 */
#pragma once
#include <stdbool.h>

#include "lib/base/span.h"
#include "lib/base/verdict.h"
#include "lib/queue/queue.h"

enum verify_status { VERIFY_OK = 0, VERIFY_DEFER, VERIFY_BOUNCE, VERIFY_UNKNOWN };

enum { VERIFY_PROBE_SECONDS = 1000 }; /* a probe that has brought no result by then is lost */

struct verify_answer {
	enum verify_status status; /* UNKNOWN: not yet */
	bool probe;                /* the caller is to send a probe: nobody else does */
	char text[QUEUE_REASON_MAX + 1];
};

/* For a process that will be shut into another root directory: open the cache, or make it, as the user that runs it later. */
void verify_open(void);

/* False: the cache cannot be had (logged once a minute), or the address is too long for it. may_probe: r->probe may be set. */
bool verify_query(struct span address, bool may_probe, struct verify_answer *r) __attribute__((warn_unused_result));

/* A result. A failure does not replace a success that has not expired; without address_verify_negative_cache it is not kept. */
void verify_update(struct span address, enum verdict_class class, struct span text);
/* The probe could not be sent. */
void verify_forget(struct span address);
