/* SPDX-License-Identifier: BSD-2-Clause */
/* One session: commands are read, run and answered until the client, the clock or the service ends it. */
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "imapd/box.h"
#include "imapd/imapd.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/proto/imap_caps.h"
#include "lib/service/service.h"

enum { REST_AFTER_MS = 2000 };

static void session_resume(void *arg);

static bool may_rest(const struct session *s)
{
	return conf->imap_timeout_ms > 2 * REST_AFTER_MS && imap_reader_idle(&s->reader) && !stream_has_input(s->io);
}

void session_end(struct session *s, const char *why)
{
	s->over = true;
	if (s->why_over == NULL)
		s->why_over = why;
}

bool session_park(struct session *s, int fd, int64_t deadline_ms)
{
	s->rest_until_ms = deadline_ms;
	s->parked = service_park(fd, deadline_ms, session_resume, s);
	return s->parked;
}

static void io_failed(struct session *s, enum io_status st)
{
	switch (st) {
	case IO_TIMEOUT:
		stream_puts(s->io, "* BYE Disconnected for inactivity.\r\n");
		session_end(s, "Disconnected: Inactivity");
		break;
	case IO_STOPPING:
		stream_puts(s->io, "* BYE Server shutting down.\r\n");
		session_end(s, "Disconnected: Server shutting down.");
		break;
	case IO_EOF:
		session_end(s, "Disconnected: Connection closed");
		break;
	default:
		session_end(s, "Disconnected: Connection failed");
		break;
	}
}

/* Between two commands the wait is short at first: who says nothing for longer than that waits without a thread. */
static enum io_status fill(struct session *s)
{
	enum io_status io = stream_flush(s->io);

	if (io != IO_OK || !may_rest(s))
		return io == IO_OK ? stream_fill(s->io) : io;
	stream_set_timeout(s->io, REST_AFTER_MS);
	io = stream_fill(s->io);
	stream_set_timeout(s->io, conf->imap_timeout_ms);
	return io;
}

enum io_status session_read_command(struct session *s, enum imap_read_status *st_r)
{
	for (;;) {
		struct span in = stream_buffered(s->io);
		size_t before = in.len;
		enum io_status io;

		*st_r = imap_reader_feed(&s->reader, &in);
		stream_consume(s->io, before - in.len);
		if (*st_r == IMAP_READ_LITERAL) {
			if (append_wants(s))
				return IO_OK;
			if (imap_reader_take(&s->reader))
				stream_puts(s->io, "+ OK\r\n");
			continue;
		}
		if (*st_r != IMAP_READ_MORE)
			return IO_OK;
		io = fill(s);
		if (io != IO_OK)
			return io;
	}
}

static void refuse_command(struct session *s, enum imap_read_status st)
{
	struct span tag = imap_reader_tag(&s->reader);

	s->bad++;
	if (st == IMAP_READ_FATAL) {
		stream_puts(s->io, "* BYE [TOOBIG] Literal size too large.\r\n");
		session_end(s, "Disconnected: Literal too large");
	} else if (st == IMAP_READ_TOO_BIG) {
		stream_printf(s->io, SPAN_FMT " NO [TOOBIG] %s.\r\n", SPAN_ARG(tag), imap_read_status_str(st));
	} else {
		stream_printf(s->io, SPAN_FMT " BAD Error in IMAP command received by server: %s.\r\n", SPAN_ARG(tag),
			      imap_read_status_str(st));
	}
}

static void command_over(struct session *s)
{
	imap_reader_reset(&s->reader);
	arena_reset(&s->arena);
	if (s->bad >= BAD_COMMANDS_MAX && !s->over) {
		stream_puts(s->io, "* BYE Too many invalid IMAP commands.\r\n");
		session_end(s, "Disconnected: Too many invalid commands");
	}
	if (stream_status(s->io) != IO_OK)
		session_end(s, "Disconnected: Connection closed");
}

static void next_command(struct session *s)
{
	enum imap_read_status st;
	enum io_status io = session_read_command(s, &st);

	if (io == IO_TIMEOUT && may_rest(s) &&
	    session_park(s, stream_fd(s->io), clock_deadline(conf->imap_timeout_ms - REST_AFTER_MS)))
		return;
	if (io != IO_OK)
		io_failed(s, io);
	else if (st == IMAP_READ_LITERAL && !append_run(s))
		io_failed(s, stream_status(s->io) == IO_OK ? IO_EOF : stream_status(s->io));
	else if (st == IMAP_READ_DONE)
		command_run(s, imap_reader_text(&s->reader));
	else if (st != IMAP_READ_LITERAL)
		refuse_command(s, st);
	if (!s->parked)
		command_over(s);
}

/* The reply to the LOGIN or AUTHENTICATE that the login program took. False: there is no mailbox to serve. */
static bool welcome(struct session *s)
{
	const struct handover_session *hs = s->hs;
	const char *why;
	enum store_status st = boxes_open(&hs->user, &why);

	if (st != STORE_OK) {
		log_error("imap(" SPAN_FMT ")<%d><" SPAN_FMT ">: cannot open mail: %s: %s", SPAN_ARG(hs->user.name),
			  (int)getpid(), SPAN_ARG(hs->session_id), store_status_str(st), why != NULL ? why : "");
		if (hs->tag.len > 0)
			stream_printf(s->io,
				      SPAN_FMT
				      " NO [UNAVAILABLE] Internal error occurred. Refer to server log for more "
				      "information.\r\n",
				      SPAN_ARG(hs->tag));
		stream_puts(s->io, "* BYE Internal error occurred.\r\n");
		session_end(s, "Disconnected: Cannot open mail");
		return false;
	}
	if (hs->tag.len > 0)
		stream_printf(s->io, SPAN_FMT " OK [CAPABILITY %s] Logged in\r\n", SPAN_ARG(hs->tag),
			      IMAP_CAPABILITIES_USER);
	return true;
}

/* Dovecot's line under its name, as the login lines are: log readers know it. */
static void log_end(struct session *s)
{
	const struct session_stats *t = &s->stats;

	log_as("dovecot", LOG_LV_INFO,
	       "imap(" SPAN_FMT ")<%d><" SPAN_FMT ">: %s in=%" PRIu64 " out=%" PRIu64 " deleted=%" PRIu64
	       " expunged=%" PRIu64 " trashed=0 hdr_count=%" PRIu64 " hdr_bytes=%" PRIu64 " body_count=%" PRIu64
	       " body_bytes=%" PRIu64,
	       SPAN_ARG(s->hs->user.name), (int)getpid(), SPAN_ARG(s->hs->session_id), s->why_over,
	       stream_bytes_in(s->io), stream_bytes_out(s->io), t->deleted, t->expunged, t->hdr_count, t->hdr_bytes,
	       t->body_count, t->body_bytes);
}

static void shut(struct session *s)
{
	(void)stream_flush(s->io);
	view_close(s);
	log_end(s);
	stream_close(s->io);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	imap_reader_free(&s->reader);
	buf_free(&s->out);
	buf_free(&s->final);
	arena_free(&s->arena);
	arena_free(&s->msg);
	free(s);
}

static void open_buffers(struct session *s)
{
	enum { FINAL_MAX = 1024 * 1024 };

	imap_reader_init(&s->reader, &imap_limits_user);
	s->reader.limits.line_max = (size_t)conf->imap_max_line_length;
	buf_init(&s->out, OUT_MAX);
	buf_init(&s->final, FINAL_MAX);
}

/* Who waits needs none of that. */
static void drop_buffers(struct session *s)
{
	imap_reader_free(&s->reader);
	buf_free(&s->out);
	buf_free(&s->final);
	arena_free(&s->arena);
	arena_free(&s->msg);
	stream_shrink(s->io);
	if (s->mb != NULL)
		mailbox_rest(s->mb);
	open_buffers(s);
}

/* Until it is over, or parked. */
static void go_on(struct session *s)
{
	while (!s->over && !s->parked)
		next_command(s);
	if (s->over)
		shut(s);
	else
		drop_buffers(s);
}

/* In another thread than before: an IDLE goes on, or the next command is waited for. */
static void session_resume(void *arg)
{
	struct session *s = arg;
	enum io_status io;

	s->parked = false;
	if (s->idle) {
		idle_go_on(s);
		if (!s->parked) {
			command_finish(s, CMD_SYNC);
			command_over(s);
		}
	} else {
		io = io_wait(stream_fd(s->io), POLLIN, s->rest_until_ms); /* at once, but where nobody could watch it */
		if (io != IO_OK)
			io_failed(s, io);
	}
	go_on(s);
}

void session_serve(const struct handover_session *hs, int fd)
{
	struct session *s = mem_zalloc(sizeof(*s));

	s->hs = hs;
	s->wake_fd = -1;
	s->io = stream_open(fd);
	stream_set_out_size(s->io, STREAM_OUT_MUCH);
	stream_set_timeout(s->io, conf->imap_timeout_ms);
	open_buffers(s);
	if (!stream_unread(s->io, hs->input))
		session_end(s, "Disconnected: Too much early input");
	if (!s->over)
		(void)welcome(s);
	go_on(s);
}
