/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What posthouse(1) asks of a running master: one request frame on queue_directory/private/master, answered by any
 * number of SERVICE frames and one DONE frame.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/span.h"

#define CONTROL_PATH "private/master"

enum control_verb {
	CONTROL_STATUS = 1,
	CONTROL_RELOAD,    /* DONE comes when the new configuration is in use, or with the reasons why not */
	CONTROL_RESTART,   /* argument: service name */
	CONTROL_STOP,      /* DONE comes at once; master is gone when its lock is free */
	CONTROL_ABORT,     /* the same, without waiting for sessions */
	CONTROL_LOGROTATE, /* reopen the log file everywhere */
};

enum control_type { CONTROL_SERVICE = 1, CONTROL_DONE };

struct control_service {
	struct span name, type, program, listens; /* listens: addresses, separated by spaces */
	uint32_t workers, draining, busy;
	uint32_t limit;    /* sessions that may run at once: maxproc x sessions; 0: no limit or not counted */
	uint32_t maxproc;  /* 0: no limit */
	uint64_t total;    /* sessions since master started */
	uint32_t restarts; /* workers that died badly */
	uint64_t rss_bytes;
	uint32_t generation;
	uint32_t pause_ms; /* not started again before this much time has passed; 0: not throttled */
};

bool control_put_request(struct buf *b, enum control_verb verb, struct span argument);
bool control_get_request(struct span frame, enum control_verb *verb_r, struct span *argument_r);
bool control_put_service(struct buf *b, const struct control_service *s);
bool control_put_done(struct buf *b, bool ok, struct span text);
/* An answer: its type; the fields of that type are set. 0: malformed. */
enum control_type control_get_answer(struct span frame, struct control_service *s_r, bool *ok_r, struct span *text_r);
