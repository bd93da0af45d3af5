/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests of posthouse(1), one frame each, on a socket that only root (or the instance's user) can reach. */
#include "master/master.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/io/frame.h"
#include "lib/service/control.h"

enum { BACKLOG = 16, ANSWER_MS = 1000, CLIENTS_MAX = 32, TEXT_MAX = 60000 };

struct client {
	struct loop_source source;
};

static struct loop_source door = { .fd = -1 };
static unsigned nclients;

static bool send_frame(int fd, struct buf *b)
{
	return frame_send(fd, buf_span(b), -1, clock_deadline(ANSWER_MS)) == IO_OK;
}

static uint64_t resident_bytes(pid_t pid)
{
	char path[64];
	unsigned long pages = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
	f = fopen(path, "re");
	if (f == NULL || fscanf(f, "%*u %lu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct span listens(struct arena *a, const struct service_state *s)
{
	char text[ENDPOINT_TEXT_MAX];
	const char *all = "";

	for (size_t i = 0; i < s->nlisteners; i++)
		all = arena_printf(a, "%s%s%s", all, i ? " " : "", endpoint_text(&s->listeners[i]->at, text));
	return span_cstr(all);
}

static void describe(struct arena *a, const struct service_state *s, struct control_service *out)
{
	uint32_t per_child = 0;

	*out = (struct control_service){
		.name = span_cstr(s->name),
		.type = span_cstr(mastercf_type_str(s->type)),
		.program = span_cstr(s->entry ? s->entry->program : "-"),
		.listens = listens(a, s),
		.maxproc = s->entry ? (uint32_t)s->entry->maxproc : 0,
		.total = s->total_gone,
		.restarts = s->restarts,
		.generation = s->generation,
	};
	list_for_each(node, &s->children) {
		const struct child *c = list_entry(node, struct child, node);

		out->workers++;
		out->draining += c->draining;
		out->busy += atomic_load(&c->board->busy);
		out->total += atomic_load(&c->board->total);
		out->rss_bytes += resident_bytes(c->pid);
		if (!c->draining)
			per_child = atomic_load(&c->board->limit);
	}
	out->limit = per_child * out->maxproc;
	if (s->throttled && s->throttle.at_ms > clock_mono_ms())
		out->pause_ms = (uint32_t)(s->throttle.at_ms - clock_mono_ms());
}

static bool send_status(int fd, struct buf *answer)
{
	list_for_each(node, &master.services) {
		struct arena a = ARENA_INIT;
		struct control_service status;
		bool sent;

		describe(&a, list_entry(node, struct service_state, node), &status);
		sent = control_put_service(answer, &status) && send_frame(fd, answer);
		arena_free(&a);
		if (!sent)
			return false;
	}
	return true;
}

/* Every service of that name: `smtp' is the one that listens and the one that sends; `smtp/inet' is one of them. */
static bool restart(struct span name, struct buf *text)
{
	bool found = false;

	list_for_each(node, &master.services) {
		struct service_state *s = list_entry(node, struct service_state, node);
		char full[256];

		snprintf(full, sizeof full, "%s/%s", s->name, mastercf_type_str(s->type));
		if (s->retired ||
		    (!span_is(name, s->name) && !span_is(name, full) && !span_is(name, s->entry->program)))
			continue;
		config_restart_service(s);
		found = true;
	}
	if (!found)
		buf_addf(text, "error: no service is called " SPAN_FMT "\n", SPAN_ARG(name));
	return found;
}

static bool obey(int fd, enum control_verb verb, struct span argument, struct buf *text)
{
	switch (verb) {
	case CONTROL_STATUS: {
		struct buf answer;
		bool ok;

		buf_init(&answer, FRAME_MAX);
		ok = send_status(fd, &answer);
		buf_free(&answer);
		return ok;
	}
	case CONTROL_RELOAD:
		return config_reload(text);
	case CONTROL_RESTART:
		return restart(argument, text);
	case CONTROL_STOP:
		stop_begin("posthouse stop");
		return true;
	case CONTROL_ABORT:
		stop_now();
		return true;
	case CONTROL_LOGROTATE:
		if (log_rotate())
			return true;
		buf_addf(text, "error: maillog_file = %s: cannot be opened\n", conf->maillog_file);
		return false;
	}
	buf_adds(text, "error: unknown request\n");
	return false;
}

static void answer_request(int fd, struct span frame)
{
	enum control_verb verb;
	struct span argument;
	struct buf text, answer;
	bool ok;

	if (!control_get_request(frame, &verb, &argument)) {
		log_warn("malformed request on %s", CONTROL_PATH);
		return;
	}
	buf_init(&text, TEXT_MAX);
	buf_init(&answer, FRAME_MAX);
	ok = obey(fd, verb, argument, &text);
	if (!control_put_done(&answer, ok, buf_span(&text)) || !send_frame(fd, &answer))
		log_warn("could not answer a request on %s", CONTROL_PATH);
	buf_free(&text);
	buf_free(&answer);
}

static void client_ready(struct loop_source *src, uint32_t events)
{
	struct client *c = list_entry(src, struct client, source);
	struct buf frame;

	(void)events;
	buf_init(&frame, FRAME_MAX);
	if (frame_recv(src->fd, &frame, NULL, 0) == IO_OK)
		answer_request(src->fd, buf_span(&frame));
	buf_free(&frame);
	loop_del(master.loop, src);
	close(src->fd);
	free(c);
	nclients--;
}

static void door_ready(struct loop_source *src, uint32_t events)
{
	int fd = accept4(src->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct client *c;

	(void)events;
	if (fd < 0)
		return;
	if (nclients >= CLIENTS_MAX) {
		close(fd);
		return;
	}
	nclients++;
	c = mem_zalloc(sizeof *c);
	c->source.fd = fd;
	c->source.ready = client_ready;
	loop_add(master.loop, &c->source, EPOLLIN);
}

void control_open(void)
{
	door.fd = frame_listen(CONTROL_PATH, 0600, BACKLOG);
	if (door.fd < 0)
		log_fatal("%s/%s: %m", conf->queue_directory, CONTROL_PATH);
	door.ready = door_ready;
	loop_add(master.loop, &door, EPOLLIN);
}

void control_close(void)
{
	unlink(CONTROL_PATH);
}
