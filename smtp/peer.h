/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection to another mail server that is ready for letters: connected, greeted, introduced. What the server says
 * is read here and nowhere else.
 *
 *	stage		sent		good answer	then
 *	CONNECT		(TCP)				GREETING
 *	GREETING			220		EHLO
 *	EHLO		EHLO		250		letters; anything else but 421: HELO
 *	HELO		HELO		250		letters
 *	LHLO		LHLO		250		letters (LMTP: in place of EHLO and HELO)
 *	MAIL ... DOT	see letter.h
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/verdict.h"
#include "lib/io/stream.h"
#include "lib/proto/smtp_reply.h"
#include "smtp/site.h"

enum peer_stage {
	PEER_GREETING,
	PEER_EHLO,
	PEER_HELO,
	PEER_LHLO,
	PEER_RSET,
	PEER_MAIL,
	PEER_RCPT,
	PEER_DATA,
	PEER_BODY,
	PEER_DOT,
};

struct letter;

struct peer {
	struct arena a; /* for as long as the connection lasts */
	struct stream *stream;
	struct smtp_reply_parser parser; /* parser.reply: the answer read last */
	struct span name;                /* "mx.example.com[192.0.2.1]" */
	struct span relay;               /* "mx.example.com[192.0.2.1]:25" */
	struct smtp_ehlo ehlo;           /* nothing offered after HELO */
	int owner_fd;                    /* the queue manager's: long waits end when it is gone */
	int64_t opened_ms;
	unsigned letters; /* begun on this connection */
	const struct letter *ahead; /* its envelope was sent, and not one answer to it was read */
	bool unfinished;  /* a transaction is open: RSET before the next letter */
	bool dead;        /* nothing more can be said */
};

/*
 * Connect and introduce ourselves. probing: a site that was down, so smtp_probe_connect_timeout counts. NULL: *trouble_r says
 * why, in a; *relay_r (in a) is the server's relay text when it was connected to, else untouched.
 */
struct peer *peer_open(struct arena *a, const struct site_host *host, bool probing, int owner_fd,
		       struct verdict *trouble_r, struct span *relay_r);
/* Say QUIT when there is still somebody to hear it, without waiting for an answer. NULL is fine. */
void peer_close(struct peer *p);

/*
 * Before a command when no answer is outstanding: nothing may have come that nobody asked for. It would be taken for the answer,
 * and a letter be counted as delivered that was not. False: p is dead and *trouble_r, in a, says so.
 */
bool peer_in_step(struct peer *p, enum peer_stage stage, struct arena *a, struct verdict *trouble_r)
    __attribute__((warn_unused_result));

/*
 * Flush, and read one answer into p->parser.reply; the deadline is that of stage. False: p is dead and *trouble_r, in
 * a, says why: lost connection, time over, garbage, or a 421, which ends the connection whatever it answers.
 */
bool peer_answer(struct peer *p, enum peer_stage stage, struct arena *a, struct verdict *trouble_r)
    __attribute__((warn_unused_result));
/* The trouble for a failed write in PEER_BODY; p is dead. */
struct verdict peer_lost(struct peer *p, enum peer_stage stage, enum io_status status, struct arena *a);
/* The verdict in the answer just read; anything but 2xx and 5xx is temporary. */
struct verdict peer_verdict(const struct peer *p, enum peer_stage stage, struct arena *a);
int64_t peer_timeout_ms(enum peer_stage stage);
