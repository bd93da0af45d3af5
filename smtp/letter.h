/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One message over one connection: MAIL, RCPT for everybody it still has to reach, DATA, content, dot. With PIPELINING
 * the whole envelope leaves in one write and its answers are read as they come; without, each command waits for its
 * answer. DATA is not sent, or ended with a lone dot, when no recipient was accepted (RFC 2920 3.1).
 */
#pragma once
#include <stdbool.h>

#include "lib/queue/outcome.h"
#include "lib/queue/queue.h"
#include "smtp/peer.h"

enum letter_state {
	LETTER_OPEN = 0, /* to be told to the next server */
	LETTER_ACCEPTED, /* RCPT was answered with 2xx; the content decides */
	LETTER_SOFT,     /* failed here for now: another server may be asked */
	LETTER_DECIDED,
};

struct letter_rcpt {
	const struct job_rcpt *rcpt;
	enum letter_state state;
};

struct letter {
	struct arena *a; /* of the verdicts */
	const struct job_message *m;
	struct queue_message *content;
	struct letter_rcpt *rcpts; /* m->nrcpts of them */
	struct outcome *outcomes;  /* the same; verdict is valid unless OPEN */
	char *room;                /* LETTER_ROOM_BYTES to encode content in */
	int64_t start_us;
};

enum { LETTER_ROOM_BYTES = 65536 };

/*
 * Send l to everybody who is OPEN. Afterwards nobody is OPEN or ACCEPTED, unless false is returned: the connection,
 * used before, had gone stale; nothing was decided and a fresh one should be tried.
 */
bool letter_send(struct letter *l, struct peer *p);
/* Everybody who is OPEN gets this verdict; final: also when it is a temporary one (DECIDED rather than SOFT). */
void letter_fail(struct letter *l, struct verdict v, struct span relay, bool final);
bool letter_has(const struct letter *l, enum letter_state state);
