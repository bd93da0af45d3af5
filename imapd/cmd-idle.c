/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 2177. What wakes it: the client, another session of the user, the files, the clock. Until then it has no thread: what it
 * needs is on the heap, and the command is finished by idle_go_on.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "imapd/box.h"
#include "imapd/imapd.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"

enum { BLIND_LOOK_MS = 15000 }; /* how often the files are looked at where they cannot be watched */

struct idle {
	char *tag;
	int poll_fd;  /* readable when any of the others is */
	int watch_fd; /* the mailbox's, or -1 */
	int64_t end_ms, notify_ms, look_ms;
};

static bool watch(struct idle *i, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	return fd < 0 || epoll_ctl(i->poll_fd, EPOLL_CTL_ADD, fd, &ev) == 0 || errno == EPERM;
}

static bool start(struct session *s, struct idle *i)
{
	i->watch_fd = -1;
	i->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->wake_fd < 0)
		s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (i->poll_fd < 0 || s->wake_fd < 0 || !watch(i, stream_fd(s->io)) || !watch(i, s->wake_fd)) {
		log_error("IDLE: %s", strerror(errno));
		return false;
	}
	if (s->box == NULL)
		return true;
	/* From here on others wake us: nothing can fall between this and the first look. */
	box_lock(s->box);
	s->idling = true;
	i->watch_fd = mailbox_watch_fd(s->mb);
	box_unlock(s->box);
	if (!watch(i, i->watch_fd))
		i->watch_fd = -1;
	return true;
}

static void stop_listening(struct session *s, struct idle *i)
{
	if (s->box != NULL) {
		box_lock(s->box);
		s->idling = false;
		box_unlock(s->box);
	}
	if (i->poll_fd >= 0)
		close(i->poll_fd);
}

static void look(struct session *s, struct idle *i)
{
	uint64_t n;

	if (read(s->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_error("eventfd: %s", strerror(errno));
	if (s->box == NULL)
		return;
	if (i->watch_fd >= 0) {
		box_lock(s->box);
		mailbox_watch_drain(s->mb);
		box_unlock(s->box);
	}
	view_sync(s, true);
	i->look_ms = i->watch_fd < 0 ? clock_deadline(BLIND_LOOK_MS) : CLOCK_NEVER;
}

static bool client_spoke(const struct session *s, const struct idle *i)
{
	struct epoll_event ev[4];
	int n;

	if (stream_has_input(s->io))
		return true;
	n = epoll_wait(i->poll_fd, ev, 4, 0);
	for (int k = 0; k < n; k++)
		if (ev[k].data.fd == stream_fd(s->io))
			return true;
	return false;
}

static int64_t next_wake(const struct idle *i)
{
	int64_t at = i->end_ms < i->notify_ms ? i->end_ms : i->notify_ms;

	return i->look_ms < at ? i->look_ms : at;
}

/* Tell what there is to tell. True: it is over, *st_r says why; IO_OK: the client spoke. */
static bool look_around(struct session *s, struct idle *i, enum io_status *st_r)
{
	*st_r = IO_TIMEOUT;
	if (clock_mono_ms() >= i->end_ms)
		return true;
	look(s, i);
	*st_r = IO_EOF;
	if (s->over)
		return true;
	if (clock_mono_ms() >= i->notify_ms) {
		stream_puts(s->io, "* OK Still here\r\n");
		i->notify_ms = clock_deadline(conf->imap_idle_notify_interval_ms);
	}
	*st_r = stream_flush(s->io);
	return *st_r != IO_OK || client_spoke(s, i);
}

static void fail(struct session *s, enum io_status st)
{
	if (st == IO_TIMEOUT)
		stream_puts(s->io, "* BYE Disconnected for inactivity.\r\n");
	else if (st == IO_STOPPING)
		stream_puts(s->io, "* BYE Server shutting down.\r\n");
	session_end(s, st == IO_TIMEOUT    ? "Disconnected: Inactivity"
		       : st == IO_STOPPING ? "Disconnected: Server shutting down."
					   : "Disconnected: Connection closed in IDLE");
}

static void finish(struct session *s, enum io_status st)
{
	enum { DONE_MAX = 100 };
	struct idle *i = s->idle;
	struct span line;

	stop_listening(s, i);
	s->idle = NULL;
	s->tag = arena_span(&s->arena, span_cstr(i->tag));
	free(i->tag);
	free(i);
	if (st == IO_OK)
		st = stream_line(s->io, DONE_MAX, &line, NULL);
	if (st != IO_OK && st != IO_TOO_LONG)
		fail(s, st);
	else if (st == IO_OK && span_iis(line, "DONE"))
		reply(s, "OK Idle completed.");
	else
		reply_bad(s, "Expected DONE.");
}

/* Until the client speaks: without a thread where that is to be had. */
static void wait_for_client(struct session *s)
{
	struct idle *i = s->idle;
	enum io_status st;

	while (!look_around(s, i, &st)) {
		if (session_park(s, i->poll_fd, next_wake(i)))
			return;
		st = io_wait(i->poll_fd, POLLIN, next_wake(i));
		if (st != IO_OK && st != IO_TIMEOUT)
			break;
	}
	finish(s, st);
}

void idle_go_on(struct session *s)
{
	enum io_status st = io_wait(s->idle->poll_fd, POLLIN, clock_mono_ms());

	if (st == IO_OK || st == IO_TIMEOUT)
		wait_for_client(s);
	else
		finish(s, st);
}

void cmd_idle(struct session *s, struct imap_scan *a)
{
	struct idle *i;

	if (!imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	i = s->idle = mem_zalloc(sizeof(*i));
	i->tag = mem_strndup(s->tag.ptr, s->tag.len);
	i->end_ms = clock_deadline(conf->imap_timeout_ms);
	i->notify_ms = clock_deadline(conf->imap_idle_notify_interval_ms);
	i->look_ms = CLOCK_NEVER;
	stream_puts(s->io, "+ idling\r\n");
	if (start(s, i)) {
		wait_for_client(s);
		return;
	}
	stop_listening(s, i);
	s->idle = NULL;
	free(i->tag);
	free(i);
	reply(s, "NO [SERVERBUG] Internal error occurred. Refer to server log for more information.");
}
