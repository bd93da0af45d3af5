/* SPDX-License-Identifier: BSD-2-Clause */
/* Who talks to qmgr: programs that put mail into the queue, and the queue tools. See lib/queue/job.h. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/io/frame.h"
#include "qmgr/qmgr.h"

enum { FRAMES_PER_TURN = 64, STRAYS_DELAY_MS = 200 };

struct client {
	struct list_node node; /* clients */
	struct loop_source source;
	bool privileged;  /* root or mail_owner: may announce and change; others may list and flush */
	bool announces;   /* has sent NEW and no BYE yet */
	bool given_away;  /* to the child that writes a listing */
};

static struct loop_source door;
static struct list clients = LIST_INIT(clients);

static void client_close(struct client *c)
{
	if (c->announces) /* it died, perhaps just after a message became durable */
		scan_start(STRAYS_DELAY_MS);
	loop_del(qmgr_loop, &c->source);
	close(c->source.fd);
	list_remove(&c->node);
	free(c);
}

static bool new_message(struct client *c, struct span frame, struct arena *a)
{
	struct queue_envelope env;
	struct queue_place place;
	bool has_envelope;

	if (!c->privileged || !job_get_new(frame, a, &env, &place, &has_envelope))
		return false;
	c->announces = true;
	message_add(env.id, &place, has_envelope ? &env : NULL);
	return true;
}

static bool handle(struct client *c, struct span frame, struct arena *a)
{
	struct job_control control;

	switch (job_type(frame)) {
	case JOB_FRAME_NEW:
		return new_message(c, frame, a);
	case JOB_FRAME_BYE:
		c->announces = false;
		return true;
	case JOB_FRAME_CONTROL:
		if (!job_get_control(frame, &control))
			return false;
		c->given_away = !control_request(c->source.fd, &control, c->privileged);
		return !c->given_away;
	default:
		return false;
	}
}

static void client_ready(struct loop_source *src, uint32_t events)
{
	struct client *c = list_entry(src, struct client, source);
	struct arena a = ARENA_INIT;
	bool open = true;
	struct buf b;

	(void)events;
	buf_init(&b, FRAME_MAX);
	for (int i = 0; i < FRAMES_PER_TURN && open; i++) {
		enum io_status status = frame_recv(src->fd, &b, NULL, 0);

		if (status == IO_TIMEOUT)
			break;
		open = status == IO_OK && handle(c, buf_span(&b), &a);
		if (status == IO_OK && !open && !c->given_away)
			log_warn("a client of the queue manager sent nonsense: disconnected");
		arena_reset(&a);
	}
	buf_free(&b);
	arena_free(&a);
	if (!open)
		client_close(c);
}

static void door_ready(struct loop_source *src, uint32_t events)
{
	int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c;
	uid_t uid;

	(void)events;
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			log_warn("accept: %m");
		return;
	}
	c = mem_zalloc(sizeof *c);
	c->source.fd = fd;
	c->source.ready = client_ready;
	c->privileged = frame_peer(fd, &uid, NULL, NULL) == 0 && (uid == 0 || uid == geteuid());
	list_append(&clients, &c->node);
	loop_add(qmgr_loop, &c->source, EPOLLIN);
}

void intake_listen(int listener)
{
	door.fd = listener;
	door.ready = door_ready;
	loop_add(qmgr_loop, &door, EPOLLIN);
}
