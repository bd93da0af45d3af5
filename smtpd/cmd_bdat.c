/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BDAT, RFC 3030: content in chunks of a counted size. A chunk is always read to its end, whatever the reply is going to be, so
 * that its bytes are never taken for commands. After a failure the rest of the message is read and refused chunk by chunk.
 */
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "smtpd/access.h"
#include "smtpd/discard.h"
#include "smtpd/intake.h"

enum { CHUNKS_MAX = 100000 }; /* a message of tiny chunks costs more than it says (hazards S8) */

/* Read size bytes; in: NULL to drop them. *done_r: how many came. */
static enum io_status read_chunk(struct smtpd_session *s, struct intake *in, uint64_t size, uint64_t *done_r)
{
	for (*done_r = 0; *done_r < size;) {
		struct span have = stream_buffered(s->stream), rest;
		enum io_status status;

		if (have.len == 0) {
			status = stream_fill(s->stream);
			if (status != IO_OK)
				return status;
			continue;
		}
		have = span_head(have, size - *done_r < have.len ? (size_t)(size - *done_r) : have.len);
		rest = have;
		if (in)
			intake_piece(s, in, span_of(in->out, smtp_data_decode(&in->decoder, &rest, in->out, INTAKE_OUT_BYTES)));
		stream_consume(s->stream, have.len);
		*done_r += have.len;
		request_progress(s, have.len);
	}
	return IO_OK;
}

/* Why this chunk cannot be taken, or NULL. */
static const char *objection(struct smtpd_session *s, uint64_t size)
{
	struct transaction *t = &s->txn;
	const char *why = NULL;

	if (t->bdat_failed)
		return "551 5.0.0 Discarded after earlier error";
	if (!t->accepted)
		return t->have_sender ? "554 5.5.1 Error: no valid recipients" : "503 5.5.1 Error: need RCPT command";
	if (conf->message_size_limit > 0 && (size > (uint64_t)conf->message_size_limit ||
					     (t->intake && t->intake->too_big)))
		return "552 5.3.4 Error: message file too big";
	if (t->intake && t->intake->chunks >= CHUNKS_MAX)
		return "554 5.5.0 Error: too many chunks";
	if (t->intake == NULL)
		(void)!access_data(s, &why);
	return why;
}

static void finish(struct smtpd_session *s)
{
	struct intake *in = s->txn.intake;
	char end[SMTP_DECODE_END_MAX];

	s->txn.intake = NULL;
	intake_piece(s, in, span_of(end, smtp_data_decode_end(&in->decoder, end)));
	intake_finish(s, in);
	transaction_reset(s);
}

/* Refused: the chunk is read and dropped, up to a size that no honest client would send after an error. */
static void refuse_chunk(struct smtpd_session *s, uint64_t size, bool last, const char *why)
{
	uint64_t limit = conf->message_size_limit > 0 ? 2 * (uint64_t)conf->message_size_limit : UINT64_MAX, done;
	enum io_status status;

	if (size > limit - s->txn.bdat_dropped) {
		reply(s, "521 5.3.4 %s Error: message file too big", conf->myhostname);
		return;
	}
	s->txn.bdat_dropped += size;
	status = read_chunk(s, NULL, size, &done);
	if (status != IO_OK) {
		intake_lost(s, status, "BDAT", done);
		return;
	}
	if (!s->txn.bdat_failed && why[1] == '5' && why[2] == '2')
		log_reject(s, "BDAT", why, SPAN_NONE);
	if (last)
		reply_message(s, why);
	else
		reply(s, "%s", why);
	intake_abort(s->txn.intake);
	s->txn.intake = NULL;
	s->txn.bdat_failed = true;
	if (last)
		transaction_reset(s);
}

void cmd_bdat(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	struct transaction *t = &s->txn;
	uint64_t size, done;
	bool last;
	const char *why;
	enum io_status status;

	if (s->discard & DISCARD_CHUNKING) { /* what follows is content, not commands */
		reply(s, "521 5.5.1 Error: command not implemented");
		return;
	}
	if (smtp_bdat_parse(cmd->args, &size, &last) != SMTP_CMD_OK) {
		/* How many bytes follow is anybody's guess. */
		log_info("malformed BDAT command syntax from %s: " SPAN_FMT, s->client, SPAN_ARG(span_head(cmd->args, 100)));
		reply(s, "521 5.5.4 Syntax: BDAT count [LAST]");
		return;
	}
	why = objection(s, size);
	if (why) {
		refuse_chunk(s, size, last, why);
		return;
	}
	if (t->intake == NULL) {
		t->intake = intake_begin(s);
		t->intake->decoder.counted = true;
	}
	t->intake->chunks++;
	status = read_chunk(s, t->intake, size, &done);
	t->intake->received += done;
	if (status != IO_OK) {
		intake_lost(s, status, "BDAT", done);
		return;
	}
	if (last)
		finish(s);
	else if (t->intake->too_big)
		refuse_chunk(s, 0, false, "552 5.3.4 Error: message file too big");
	else
		reply(s, "250 2.0.0 Ok: %llu bytes", (unsigned long long)size);
}
