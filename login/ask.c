/* SPDX-License-Identifier: BSD-2-Clause */
/* The question to auth whose answer decides: who the client is, and who serves it from now on. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/proto/auth_name.h"
#include "lib/service/auth_ask.h"
#include "login/login.h"

void question_init(struct login *l, struct handover_login *q, struct span tag)
{
	*q = (struct handover_login){
		.service = span_cstr(l->protocol->name),
		.mechanism = SPAN("PLAIN"),
		.tag = tag,
		.session_id = span_cstr(l->session_id),
		.remote = l->remote,
		.local = l->local,
		.secured = l->secured,
	};
}

/* What auth is to get as the client: the connection itself, or the other end of a pair when TLS stays with us. -1: errno. */
static int client_for_auth(struct login *l)
{
	int pair[2];

	if (l->tls == NULL)
		return stream_fd(l->io);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	l->relay_fd = pair[0];
	return pair[1];
}

static void forget_pair(struct login *l)
{
	if (l->relay_fd >= 0)
		close(l->relay_fd);
	l->relay_fd = -1;
}

static enum auth_ask put_question(struct login *l, const struct handover_login *q, struct handover_reply *reply_r)
{
	int client = client_for_auth(l);
	enum auth_ask got;

	if (client < 0) {
		log_error("socket pair: %m");
		*reply_r = (struct handover_reply){ .code = HANDOVER_TEMP };
		return AUTH_NOT_TAKEN;
	}
	got = auth_ask("login/auth", q, client, &l->arena, reply_r);
	if (l->tls)
		close(client);
	return got;
}

static void remember_try(struct login *l, const struct handover_login *q)
{
	snprintf(l->user, sizeof l->user, "%s", auth_name_for_log(&l->arena, q->user));
	l->mechanism = sasl_mech_str(sasl_mech_find(q->mechanism));
}

/* Every failure takes equally long, whatever its reason; true: the process is to stop meanwhile. */
static bool pause_after_failure(int64_t asked_ms, uint32_t delay_ms)
{
	int64_t pause_ms = delay_ms > conf->auth_failure_delay_ms ? delay_ms : conf->auth_failure_delay_ms;

	return io_sleep_until(asked_ms + pause_ms) == IO_STOPPING;
}

static void count_failure(struct login *l, enum handover_code code)
{
	if (code == HANDOVER_REFUSED || code == HANDOVER_DISABLED)
		l->attempts++;
	else if (code == HANDOVER_LIMIT)
		l->over_limit++;
	else if (code == HANDOVER_TOO_SOON)
		l->too_soon++;
	else
		l->internal_failures++;
}

static void wipe(struct credentials *c)
{
	wipe_span(c->question.password);
	c->question.password = SPAN_NONE;
	if (c->talk.q)
		sasl_talk_wipe(&c->talk);
}

bool ask_auth(struct login *l, struct credentials *c, enum handover_code *code_r, enum ending *end_r)
{
	int64_t asked_ms = clock_mono_ms();
	struct handover_login *q = &c->question;
	struct handover_reply r;
	enum auth_ask got;

	remember_try(l, q);
	if (stream_flush(l->io) != IO_OK) { /* what was answered so far comes before what the next server says */
		wipe(c);
		*end_r = END_EOF;
		return true;
	}
	q->want = HANDOVER_WANT_LOGIN;
	q->input = stream_buffered(l->io);
	got = put_question(l, q, &r);
	wipe(c);
	if (got == AUTH_UNKNOWN) {
		*end_r = END_UNKNOWN;
		return true;
	}
	*code_r = got == AUTH_SAID ? r.code : HANDOVER_TEMP;
	if (*code_r == HANDOVER_OK) {
		session_log_login(l, r.pid);
		*end_r = END_HANDED_OVER;
		return true;
	}
	forget_pair(l);
	count_failure(l, *code_r);
	if (c->talk.q && !sasl_talk_refused(&c->talk)) {
		*end_r = ending_of(c->talk.io_status);
		return true;
	}
	*end_r = END_STOPPING;
	return pause_after_failure(asked_ms, r.delay_ms);
}
