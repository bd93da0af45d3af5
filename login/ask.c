/* SPDX-License-Identifier: BSD-2-Clause */
/* The question to auth: one connection, one frame with the client's descriptor, one answer. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "lib/proto/auth_name.h"
#include "login/login.h"

enum { CONNECT_MS = 30000, SEND_MS = 5000, ANSWER_MS = 60000 };

/* Answers beyond what auth says: it has not taken the client; or nobody knows. */
enum verdict { SAID, NOT_TAKEN, NOBODY_KNOWS };

static void remember_try(struct login *l, const struct credentials *c)
{
	snprintf(l->user, sizeof l->user, "%s", auth_name_for_log(&l->arena, c->user));
	l->mechanism = c->mechanism;
}

static bool put_question(struct buf *b, const struct login *l, const struct credentials *c)
{
	struct handover_login q = {
		.service = span_cstr(l->protocol->name),
		.mechanism = span_cstr(c->mechanism),
		.user = c->user,
		.password = c->password,
		.tag = c->tag,
		.input = stream_buffered(l->io),
		.session_id = span_cstr(l->session_id),
		.remote = l->remote,
		.local = l->local,
		.secured = l->secured,
	};

	return handover_put_login(b, &q);
}

/*
 * From the moment auth has read the frame, the client may be answered by its mailbox server at any time; only an answer that
 * says otherwise gives it back to us.
 */
static enum verdict put_to_auth(struct login *l, struct span question, enum handover_code *code_r, uint32_t *pid_r)
{
	int fd = service_connect("login/auth", clock_deadline(CONNECT_MS));
	enum verdict v = NOBODY_KNOWS;
	enum io_status st;
	struct span user;
	struct buf answer;

	if (fd < 0) {
		log_error("connect to auth: %s", strerror(errno));
		return NOT_TAKEN;
	}
	buf_init(&answer, FRAME_MAX);
	st = frame_send(fd, question, stream_fd(l->io), clock_deadline(SEND_MS));
	if (st != IO_OK) {
		log_error("question to auth: %s", io_status_str(st));
		v = NOT_TAKEN;
	} else {
		errno = 0;
		st = frame_recv(fd, &answer, NULL, clock_deadline(ANSWER_MS));
		if (st == IO_OK && handover_get_answer(buf_span(&answer), code_r, &user, pid_r))
			v = SAID;
		else if (st == IO_EOF && errno == ECONNRESET)
			v = NOT_TAKEN;
	}
	buf_free(&answer);
	close(fd);
	return v;
}

/* Every failure takes equally long, whatever its reason; true: the process is to stop meanwhile. */
static bool pause_after_failure(int64_t asked_ms)
{
	return io_sleep_until(asked_ms + conf->auth_failure_delay_ms) == IO_STOPPING;
}

static void count_failure(struct login *l, enum handover_code code)
{
	if (code == HANDOVER_REFUSED || code == HANDOVER_DISABLED)
		l->attempts++;
	else if (code == HANDOVER_LIMIT)
		l->over_limit++;
	else
		l->internal_failures++;
}

bool ask_auth(struct login *l, const struct credentials *c, enum handover_code *code_r, enum ending *end_r)
{
	int64_t asked_ms = clock_mono_ms();
	enum verdict v = NOT_TAKEN;
	uint32_t pid = 0;
	struct buf question;

	remember_try(l, c);
	*code_r = HANDOVER_REFUSED;
	buf_init(&question, FRAME_MAX);
	if (stream_flush(l->io) != IO_OK) { /* what was answered so far comes before what the next server says */
		*end_r = END_EOF;
		return true;
	}
	if (put_question(&question, l, c)) {
		*code_r = HANDOVER_TEMP;
		v = put_to_auth(l, buf_span(&question), code_r, &pid);
	}
	buf_wipe(&question);
	if (v == NOBODY_KNOWS) {
		*end_r = END_UNKNOWN;
		return true;
	}
	if (v == SAID && *code_r == HANDOVER_OK) {
		session_log_login(l, pid);
		*end_r = END_HANDED_OVER;
		return true;
	}
	count_failure(l, *code_r);
	*end_r = END_STOPPING;
	return pause_after_failure(asked_ms);
}
