/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtpd/intake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/map/match.h"
#include "lib/proto/header.h"
#include "lib/queue/flow.h"
#include "lib/queue/job.h"
#include "smtpd/access.h"
#include "smtpd/submission.h"

enum { MESSAGE_ID_MAX = 500, FLOW_LOOK_MS = 250 };

static enum smtp_bare_lf bare_lf_policy(const struct smtpd_session *s)
{
	const char *value = conf->smtpd_forbid_bare_newline, *except = conf->smtpd_forbid_bare_newline_exclusions;

	if (s->is_sendmail)
		return SMTP_BARE_LF_NORMALIZE;
	if (strcasecmp(value, "no") == 0)
		return SMTP_BARE_LF_ALLOW;
	if (*except && match_netaddr(match_open(except, MATCH_NETWORK), &s->peer, s->client_name) == MAP_OK)
		return SMTP_BARE_LF_ALLOW;
	return strncasecmp(value, "reject", 6) == 0 ? SMTP_BARE_LF_REJECT : SMTP_BARE_LF_NORMALIZE;
}

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

/* Missing fields go to the end of the header, which is known when the empty line has come, or the end of the message. */
static void write_piece(struct smtpd_session *s, struct intake *in, struct span piece, size_t head_before)
{
	bool empty = in->head.len && in->head.ptr[0] == '\n';
	struct span before = span_head(piece, empty ? 0 : in->head.len - head_before);
	struct span head = empty ? SPAN_NONE : buf_span(&in->head);

	in->completed = true;
	queue_write(in->writer, before);
	if (in->head.len < in->head.max)
		in->added = submission_fields(s, head);
	in->ours += in->added.len;
	queue_write(in->writer, in->added);
	queue_write(in->writer, span_skip(piece, before.len));
}

void intake_piece(struct smtpd_session *s, struct intake *in, struct span piece)
{
	size_t head_before = in->head.len;

	if (conf->message_size_limit > 0 &&
	    queue_written(in->writer) - in->ours + piece.len > (uint64_t)conf->message_size_limit)
		in->too_big = true;
	if (in->too_big)
		return;
	keep_head(in, piece);
	if (in->head_complete && !in->completed && submission_completes(s))
		write_piece(s, in, piece, head_before);
	else
		queue_write(in->writer, piece);
}

/* A session brings no more than one letter in in_flow_delay while qmgr is behind; when it is no more, at once. */
static void follow_flow(void)
{
	int64_t until = 0, left;

	while (conf->in_flow_delay_ms > 0 && queue_flow_behind()) {
		if (until == 0)
			until = clock_deadline(conf->in_flow_delay_ms);
		left = until - clock_mono_ms();
		if (left <= 0 || io_sleep_until(clock_deadline(left < FLOW_LOOK_MS ? left : FLOW_LOOK_MS)) == IO_STOPPING)
			return;
	}
}

struct intake *intake_begin(struct smtpd_session *s)
{
	struct intake *in = mem_zalloc(sizeof *in);
	struct span rest = s->txn.actions.prepend, line;

	follow_flow();
	submission_count(s);
	apply_actions(s);
	in->changes = s->txn.actions.changes;
	smtp_data_decoder_init(&in->decoder, bare_lf_policy(s));
	in->out = mem_alloc(INTAKE_OUT_BYTES);
	buf_init(&in->head, (size_t)conf->header_size_limit);
	in->writer = queue_create(&s->txn.env);
	while (span_word(&rest, "\n", &line)) {
		queue_write(in->writer, line);
		queue_write(in->writer, SPAN("\n"));
	}
	queue_write(in->writer, received_header(s));
	in->ours = queue_written(in->writer);
	return in;
}

static void forget(struct intake *in)
{
	buf_free(&in->head);
	free(in->out);
	free(in);
}

void intake_abort(struct intake *in)
{
	if (in == NULL)
		return;
	queue_abort(in->writer);
	forget(in);
}

static void log_message_id(const struct smtpd_session *s, struct intake *in)
{
	struct arena a = ARENA_INIT;
	struct header_field f;
	struct span head = header_find(in->added, "Message-ID", &f) ? in->added : buf_span(&in->head);
	struct span id = header_get(&a, head, "Message-ID", MESSAGE_ID_MAX);

	log_info("%s: message-id=" SPAN_FMT, s->txn.env.id, SPAN_ARG(id));
	arena_free(&a);
}

/* Why the message is not accepted although it came in whole, or NULL. */
static const char *refusal(struct smtpd_session *s, const struct intake *in, bool *logged)
{
	const char *why = NULL;

	if (in->too_big)
		why = "552 5.3.4 Error: message file too big";
	else if (in->decoder.policy == SMTP_BARE_LF_REJECT && in->decoder.bare_lf)
		why = arena_printf(&s->cmd, "%d 5.5.2 Error: bare <LF> received", (int)conf->smtpd_forbid_bare_newline_reject_code);
	else if (header_count(buf_span(&in->head), "Received") > (size_t)conf->hopcount_limit)
		why = "554 5.4.0 Error: too many hops";
	*logged = why == NULL;
	if (why == NULL)
		(void)!access_end_of_data(s, &why);
	return why;
}

static void accepted(struct smtpd_session *s, const struct intake *in)
{
	s->errors = s->junk = 0;
	if (in->decoder.counted)
		reply_message(s, arena_printf(&s->cmd, "250 2.0.0 Ok: %llu bytes queued as %s", (unsigned long long)in->received,
					      s->txn.env.id));
	else
		reply_message(s, arena_printf(&s->cmd, "250 2.0.0 Ok: queued as %s", s->txn.env.id));
}

/* Durable first, then qmgr knows, then 250: the message is the client's until the last of the three. */
static void store(struct smtpd_session *s, struct intake *in)
{
	struct queue_envelope *env = &s->txn.env;
	struct queue_place place;

	env->size = queue_written(in->writer);
	if (in->changes != s->txn.actions.changes) { /* decided at the end of the content */
		apply_actions(s);
		queue_change_envelope(in->writer, env);
	}
	if (queue_commit(in->writer, &place) < 0) {
		log_error("%s: queue file write error: %m", env->id);
		reply_message(s, errno == ENOSPC || errno == EDQUOT ? "452 4.3.1 Insufficient system storage"
							     : "451 4.3.0 Error: queue file write error");
		return;
	}
	log_message_id(s, in);
	(void)!job_announce(env, &place);
	accepted(s, in);
}

void intake_finish(struct smtpd_session *s, struct intake *in)
{
	bool logged;
	const char *why;

	if (!in->completed && !in->head_complete && submission_completes(s)) { /* a header without a body */
		in->added = submission_fields(s, buf_span(&in->head));
		queue_write(in->writer, in->added);
	}
	s->txn.size = queue_written(in->writer) - in->ours;
	why = refusal(s, in, &logged);
	if (why == NULL && !s->txn.actions.discard) {
		store(s, in);
		forget(in);
		return;
	}
	if (why == NULL) /* thrown away on the administrator's word: the client is told what it wants to hear */
		accepted(s, in);
	intake_abort(in);
	if (why == NULL)
		return;
	if (!logged)
		log_reject(s, "END-OF-MESSAGE", why, SPAN_NONE);
	reply_message(s, why);
}

void intake_lost(struct smtpd_session *s, enum io_status status, const char *verb, uint64_t bytes)
{
	if (status == IO_TIMEOUT)
		reply(s, "421 4.4.2 %s Error: timeout exceeded", conf->myhostname);
	else if (status == IO_STOPPING)
		reply(s, "421 4.3.2 %s Service is going down, try again", conf->myhostname);
	log_info("%s after %s (%llu bytes) from %s", status == IO_TIMEOUT ? "timeout" : "lost connection", verb,
		 (unsigned long long)bytes, s->client);
	s->quit = true;
}
