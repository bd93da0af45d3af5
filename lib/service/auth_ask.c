/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/auth_ask.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/io/frame.h"
#include "lib/service/service.h"

enum { CONNECT_MS = 30000, SEND_MS = 5000, ANSWER_MS = 60000 };

/*
 * From the moment auth has read the frame, the client may be answered by its mailbox server at any time; only an answer that
 * says otherwise gives it back to us.
 */
static enum auth_ask put(int fd, struct span question, int client, struct arena *a, struct handover_reply *reply_r)
{
	enum io_status st = frame_send(fd, question, client, clock_deadline(SEND_MS));
	enum auth_ask got = AUTH_UNKNOWN;
	struct buf answer;

	if (st != IO_OK) {
		log_error("question to auth: %s", io_status_str(st));
		return AUTH_NOT_TAKEN;
	}
	buf_init(&answer, FRAME_MAX);
	errno = 0;
	st = frame_recv(fd, &answer, NULL, clock_deadline(ANSWER_MS));
	if (st == IO_OK && handover_get_reply(buf_span(&answer), reply_r)) {
		reply_r->user = arena_span(a, reply_r->user);
		reply_r->data = arena_span(a, reply_r->data);
		got = AUTH_SAID;
	} else if (st == IO_EOF && errno == ECONNRESET) {
		got = AUTH_NOT_TAKEN;
	}
	buf_free(&answer);
	return got;
}

enum auth_ask auth_ask(const char *path, const struct handover_login *q, int client, struct arena *a,
		       struct handover_reply *reply_r)
{
	enum auth_ask got = AUTH_NOT_TAKEN;
	struct buf question;
	int fd;

	*reply_r = (struct handover_reply){ .code = HANDOVER_TEMP };
	buf_init(&question, FRAME_MAX);
	if (!handover_put_login(&question, q)) { /* nobody's name or password is that long */
		reply_r->code = HANDOVER_REFUSED;
		got = AUTH_SAID;
	} else if ((fd = service_connect(path, clock_deadline(CONNECT_MS))) < 0) {
		log_error("connect to auth: %s", strerror(errno));
	} else {
		got = put(fd, buf_span(&question), client, a, reply_r);
		close(fd);
	}
	buf_wipe(&question);
	return got;
}
