/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DATA, RFC 5321 4.1.1.4. The content goes through one decoder from the stream's buffer to the queue file: it is never in
 * memory as a whole. Whatever goes wrong, the data is read to its real end before the reply.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/proto/header.h"
#include "lib/proto/smtp_data.h"
#include "lib/queue/job.h"
#include "smtpd/session.h"

struct intake {
	struct smtp_data_decoder decoder;
	struct queue_writer *writer;
	struct buf head;      /* the header, as far as header_size_limit, for the checks below */
	bool head_complete;
	bool too_big;
	char *out;            /* decoded piece */
};

enum { OUT_BYTES = STREAM_IN_BYTES + 8, MESSAGE_ID_MAX = 500 };

/* Keep the header: everything up to the first empty line, which may lie across two pieces. */
static void keep_head(struct intake *in, struct span piece)
{
	size_t from = in->head.len ? in->head.len - 1 : 0;
	ptrdiff_t end;

	if (in->head_complete)
		return;
	buf_add_span(&in->head, span_head(piece, in->head.max - in->head.len));
	end = span_find(span_skip(buf_span(&in->head), from), SPAN("\n\n"));
	if (end >= 0)
		buf_truncate(&in->head, from + (size_t)end + 1);
	in->head_complete = end >= 0 || in->head.len == in->head.max || (in->head.len && in->head.ptr[0] == '\n');
}

static void take_piece(struct intake *in, struct span piece)
{
	if (conf->message_size_limit > 0 && queue_written(in->writer) + piece.len > (uint64_t)conf->message_size_limit)
		in->too_big = true;
	if (in->too_big)
		return;
	keep_head(in, piece);
	queue_write(in->writer, piece);
}

static enum io_status read_content(struct smtpd_session *s, struct intake *in)
{
	while (in->decoder.state != SMTP_DATA_END) {
		struct span have = stream_buffered(s->stream);
		struct span rest = have;
		size_t n;

		if (have.len == 0) {
			enum io_status status = stream_fill(s->stream);

			if (status != IO_OK)
				return status;
			continue;
		}
		n = smtp_data_decode(&in->decoder, &rest, in->out, OUT_BYTES);
		stream_consume(s->stream, have.len - rest.len);
		take_piece(in, span_of(in->out, n));
	}
	return IO_OK;
}

static enum smtp_bare_lf bare_lf_policy(const struct smtpd_session *s)
{
	const char *value = conf->smtpd_forbid_bare_newline;

	if (s->is_unix || strcasecmp(value, "no") == 0)
		return s->is_unix ? SMTP_BARE_LF_NORMALIZE : SMTP_BARE_LF_ALLOW;
	return strncasecmp(value, "reject", 6) == 0 ? SMTP_BARE_LF_REJECT : SMTP_BARE_LF_NORMALIZE;
}

static void log_message_id(const struct smtpd_session *s, struct intake *in)
{
	struct arena a = ARENA_INIT;
	struct span id = header_get(&a, buf_span(&in->head), "Message-ID", MESSAGE_ID_MAX);

	log_info("%s: message-id=" SPAN_FMT, s->txn.env.id, SPAN_ARG(id));
	arena_free(&a);
}

/* Why the message is not accepted although it came in whole, or NULL. */
static const char *refusal(const struct intake *in)
{
	if (in->too_big)
		return "552 5.3.4 Error: message file too big";
	if (in->decoder.policy == SMTP_BARE_LF_REJECT && in->decoder.bare_lf)
		return "550 5.5.2 Error: bare <LF> received";
	if (header_count(buf_span(&in->head), "Received") > (size_t)conf->hopcount_limit)
		return "554 5.4.0 Error: too many hops";
	return NULL;
}

/* Durable first, then qmgr knows, then 250: the message is the client's until the last of the three. */
static void store(struct smtpd_session *s, struct intake *in)
{
	struct queue_envelope *env = &s->txn.env;
	struct queue_place place;

	env->size = queue_written(in->writer);
	if (queue_commit(in->writer, &place) < 0) {
		log_error("%s: queue file write error: %m", env->id);
		reply(s, errno == ENOSPC || errno == EDQUOT ? "452 4.3.1 Insufficient system storage"
							     : "451 4.3.0 Error: queue file write error");
		return;
	}
	log_message_id(s, in);
	(void)!job_announce(env, &place);
	s->errors = s->junk = 0;
	reply(s, "250 2.0.0 Ok: queued as %s", env->id);
}

static void intake_message(struct smtpd_session *s, struct intake *in)
{
	enum io_status status = read_content(s, in);
	const char *why;

	if (status != IO_OK) {
		queue_abort(in->writer);
		if (status == IO_TIMEOUT)
			reply(s, "421 4.4.2 %s Error: timeout exceeded", conf->myhostname);
		else if (status == IO_STOPPING)
			reply(s, "421 4.3.2 %s Service is going down, try again", conf->myhostname);
		log_info("%s after %s (%llu bytes) from %s", status == IO_TIMEOUT ? "timeout" : "lost connection", "DATA",
			 (unsigned long long)in->decoder.bytes, s->client);
		s->quit = true;
		return;
	}
	why = refusal(in);
	if (why == NULL) {
		store(s, in);
		return;
	}
	queue_abort(in->writer);
	log_reject(s, "END-OF-MESSAGE", why, SPAN_NONE);
	reply(s, "%s", why);
}

void cmd_data(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	struct intake in = { .out = NULL };

	if (!s->txn.accepted) {
		reply(s, s->txn.have_sender ? "554 5.5.1 Error: no valid recipients" : "503 5.5.1 Error: need RCPT command");
		return;
	}
	if (cmd->args.len) {
		reply(s, "501 5.5.4 Syntax: DATA");
		return;
	}
	smtp_data_decoder_init(&in.decoder, bare_lf_policy(s));
	in.out = mem_alloc(OUT_BYTES);
	buf_init(&in.head, (size_t)conf->header_size_limit);
	in.writer = queue_create(&s->txn.env);
	queue_write(in.writer, received_header(s));
	reply(s, "354 End data with <CR><LF>.<CR><LF>");
	intake_message(s, &in);
	buf_free(&in.head);
	free(in.out);
	transaction_reset(s);
}
