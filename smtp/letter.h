/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One message over one connection: MAIL, RCPT for everybody it still has to reach, DATA, content, dot. With PIPELINING
 * the whole envelope leaves in one write and its answers are read as they come; without, each command waits for its
 * answer. DATA is not sent, or ended with a lone dot, when no recipient was accepted (RFC 2920 3.1).
 *
 *	client				server
 *	MAIL RCPT... DATA
 *					250 250... 354
 *	content . MAIL RCPT... DATA			the envelope of the next letter goes ahead
 *					250 250 250... 354
 *	content .
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
	enum queue_status opened;
	struct queue_message *content; /* when opened is QUEUE_OK; QUEUE_ERROR: everybody is decided */
	struct letter_rcpt *rcpts; /* m->nrcpts of them */
	struct outcome *outcomes;  /* the same; verdict is valid unless OPEN */
	char *room;                /* LETTER_ROOM_BYTES to encode content in */
	struct envelope *envelope; /* of letter.c: its commands, and how far they got */
	int64_t start_us; /* when its turn came */
};

enum { LETTER_ROOM_BYTES = 65536 };

/*
 * Send l to everybody who is OPEN. next: the letter for which letter_send is called next, if it goes to p, or NULL. Afterwards
 * nobody is OPEN or ACCEPTED, unless false is returned: the connection, used before, had gone stale; nothing was decided and a
 * fresh one should be tried.
 */
bool letter_send(struct letter *l, struct peer *p, struct letter *next);
/* Everybody who is OPEN gets this verdict; final: also when it is a temporary one (DECIDED rather than SOFT). */
void letter_fail(struct letter *l, struct verdict v, struct span relay, bool final);
bool letter_has(const struct letter *l, enum letter_state state);
