/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A message on its way in, from DATA or from BDAT chunks. Content goes from the stream's buffer to the queue file: it is never in
 * memory as a whole. Hangs on the transaction, whose end is its end.
 */
#pragma once
#include "lib/proto/smtp_data.h"
#include "smtpd/session.h"

struct intake {
	struct smtp_data_decoder decoder;
	struct queue_writer *writer;
	struct buf head;      /* the header, as far as header_size_limit, for the checks at the end */
	bool head_complete;
	bool completed;       /* missing fields were added: these */
	struct span added;
	uint64_t ours;        /* bytes that the client did not send: they do not count against message_size_limit */
	bool too_big;
	unsigned changes;     /* those of the transaction's actions that the envelope knows */
	char *out;            /* decoded piece */
	uint64_t chunks, received; /* BDAT */
};

enum { INTAKE_OUT_BYTES = STREAM_IN_BYTES + 8 };

/* Start: fixes the recipients, opens the queue file and writes the trace header. */
struct intake *intake_begin(struct smtpd_session *s);
/* Stored form (LF line ends). Past message_size_limit it is counted and dropped. */
void intake_piece(struct smtpd_session *s, struct intake *in, struct span piece);
/* The whole message is there: the last checks, then the queue. Replies. */
void intake_finish(struct smtpd_session *s, struct intake *in);
void intake_abort(struct intake *in); /* forget it; NULL is fine */

/* The client went away or was too slow within the content: say so where there is somebody, log, end the session. */
void intake_lost(struct smtpd_session *s, enum io_status status, const char *verb, uint64_t bytes);
