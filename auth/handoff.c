/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auth/auth.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/io/frame.h"
#include "lib/service/service.h"

enum { CONNECT_MS = 10000, ANSWER_MS = 30000, TRIES = 2 };

/* Kept open from one login to the next; -1: none. */
static struct door {
	const char *service, *path;
	int fd;
} doors[] = { { "imap", "private/imap", -1 }, { "pop3", "private/pop3", -1 } };

enum outcome { ANSWERED, UNREAD, FAILED };

static struct door *door_of(struct span service)
{
	for (size_t i = 0; i < sizeof doors / sizeof doors[0]; i++)
		if (span_is(service, doors[i].service))
			return &doors[i];
	return NULL;
}

static void shut(struct door *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

/*
 * UNREAD: the other side closed before it took the frame (a reload, or a connection that had grown old); then, and only then,
 * may the client be offered a second time: it must never have two servers.
 */
static enum outcome offer(struct door *d, struct span frame, int client, struct buf *answer)
{
	enum io_status st = frame_send(d->fd, frame, client, clock_deadline(CONNECT_MS));

	if (st == IO_EOF)
		return UNREAD;
	if (st != IO_OK)
		return FAILED;
	errno = 0;
	st = frame_recv(d->fd, answer, NULL, clock_deadline(ANSWER_MS));
	if (st == IO_OK)
		return ANSWERED;
	return st == IO_EOF && errno == ECONNRESET ? UNREAD : FAILED;
}

static enum handover_code try_door(struct door *d, struct span frame, int client, uint32_t *pid_r)
{
	enum handover_code code = HANDOVER_TEMP;
	enum outcome got = UNREAD;
	struct span user;
	struct buf answer;

	buf_init(&answer, FRAME_MAX);
	for (int i = 0; i < TRIES && got == UNREAD; i++) {
		if (d->fd < 0)
			d->fd = service_connect(d->path, clock_deadline(CONNECT_MS));
		if (d->fd < 0) {
			log_error("connect to %s: %s", d->path, strerror(errno));
			break;
		}
		got = offer(d, frame, client, &answer);
		if (got != ANSWERED)
			shut(d);
	}
	if (got == FAILED)
		log_error("%s: no answer", d->path);
	if (got == ANSWERED && !handover_get_answer(buf_span(&answer), &code, &user, pid_r)) {
		log_error("%s: malformed answer", d->path);
		code = HANDOVER_TEMP;
		shut(d);
	}
	buf_free(&answer);
	return code;
}

enum handover_code handoff(struct attempt *at, const struct user *u, int client, uint32_t *pid_r)
{
	struct handover_session s = {
		.user = *u,
		.tag = at->login.tag,
		.input = at->login.input,
		.session_id = at->login.session_id,
		.mechanism = at->login.mechanism,
		.remote = at->login.remote,
		.local = at->login.local,
		.secured = at->login.secured,
	};
	struct door *d = door_of(at->login.service);
	enum handover_code code = HANDOVER_TEMP;
	struct buf frame;

	if (d == NULL || client < 0)
		return HANDOVER_TEMP;
	buf_init(&frame, FRAME_MAX);
	if (handover_put_session(&frame, &s))
		code = try_door(d, buf_span(&frame), client, pid_r);
	else
		log_error("session of %s does not fit into a frame", at->name);
	buf_wipe(&frame);
	return code;
}
