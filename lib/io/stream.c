/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/io/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/base/stack.h"

enum { PATIENCE_MS = 1000 };

struct stream {
	int fd;
	const struct stream_ops *ops;
	void *transport;
	int64_t deadline_ms, timeout_ms;
	bool pausable;
	int64_t pause_until_ms;     /* the wait that IO_LATER came from would have lasted so long; or 0 */
	bool skipping;              /* it was for the rest of a line that is too long */
	char *in, *out;             /* STREAM_IN_BYTES, out_size; allocated on first use */
	size_t out_size;
	size_t in_at, in_len;       /* unread input is in[in_at .. in_len) */
	size_t out_len;
	enum io_status out_status;
	int out_errno;
	uint64_t total_in, total_out;
};

/* --- the plain transport: the descriptor itself ------------------------------------------------------------------- */

static ssize_t plain_read(void *transport, void *to, size_t len, short *want_r)
{
	const struct stream *s = transport;

	*want_r = POLLIN;
	return read(s->fd, to, len);
}

static ssize_t plain_write(void *transport, const void *from, size_t len, short *want_r)
{
	const struct stream *s = transport;
	ssize_t n = send(s->fd, from, len, MSG_NOSIGNAL);

	*want_r = POLLOUT;
	if (n < 0 && errno == ENOTSOCK)
		n = write(s->fd, from, len);
	return n;
}

static void plain_close(void *transport)
{
	(void)transport;
}

static const struct stream_ops plain = { plain_read, plain_write, plain_close };

/* --- life --------------------------------------------------------------------------------------------------------- */

struct stream *stream_open(int fd)
{
	struct stream *s = mem_zalloc(sizeof *s);

	s->fd = fd;
	s->ops = &plain;
	s->transport = s;
	s->out_size = STREAM_OUT_BYTES;
	s->deadline_ms = CLOCK_NEVER;
	if (io_set_nonblock(fd) < 0) {
		s->out_status = IO_ERROR;
		s->out_errno = errno;
	}
	return s;
}

int stream_detach(struct stream *s)
{
	int fd = s->fd;

	s->ops->close(s->transport);
	free(s->in);
	free(s->out);
	free(s);
	return fd;
}

void stream_close(struct stream *s)
{
	close(stream_detach(s));
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}

bool stream_set_transport(struct stream *s, const struct stream_ops *ops, void *transport)
{
	if (s->in_len > s->in_at)
		return false;
	s->ops->close(s->transport);
	s->ops = ops;
	s->transport = transport;
	return true;
}

void stream_set_deadline(struct stream *s, int64_t deadline_ms)
{
	s->deadline_ms = deadline_ms;
}

int64_t stream_deadline(const struct stream *s)
{
	return s->deadline_ms;
}

void *stream_transport(const struct stream *s, const struct stream_ops *ops)
{
	return s->ops == ops ? s->transport : NULL;
}

void stream_set_timeout(struct stream *s, int64_t timeout_ms)
{
	s->timeout_ms = timeout_ms;
}

void stream_set_pausable(struct stream *s, bool on)
{
	s->pausable = on;
	if (!on)
		s->pause_until_ms = 0;
}

int64_t stream_pause_until(const struct stream *s)
{
	return s->pause_until_ms;
}

/* The time of a wait that begins now, or of the one that goes on after a pause. */
static int64_t wait_until(struct stream *s)
{
	int64_t until = s->pause_until_ms, limit;

	s->pause_until_ms = 0;
	if (until)
		return until;
	limit = s->timeout_ms > 0 ? clock_deadline(s->timeout_ms) : CLOCK_NEVER;
	return limit < s->deadline_ms ? limit : s->deadline_ms;
}

/* Who has waited for a second is likely to wait for longer: what is not needed for that is given back. */
static enum io_status wait_shrinking(struct stream *s, short events, bool buffers)
{
	int64_t until = wait_until(s), soon = clock_deadline(PATIENCE_MS);
	enum io_status status = io_wait(s->fd, events, soon < until ? soon : until);

	if (status != IO_TIMEOUT || soon >= until)
		return status;
	if (buffers)
		stream_shrink(s);
	if (s->pausable && events == POLLIN) {
		s->pause_until_ms = until;
		return IO_LATER;
	}
	stack_give_back();
	return io_wait(s->fd, events, until);
}

enum io_status stream_wait(struct stream *s, short events)
{
	return wait_shrinking(s, events, false);
}

/* --- output ------------------------------------------------------------------------------------------------------- */

static enum io_status fail_output(struct stream *s, enum io_status status)
{
	s->out_status = status;
	s->out_errno = errno;
	s->out_len = 0;
	return status;
}

static enum io_status write_all(struct stream *s, const char *from, size_t len)
{
	while (len) {
		short want = POLLOUT;
		ssize_t n = s->ops->write(s->transport, from, len, &want);

		if (n >= 0) {
			from += n;
			len -= (size_t)n;
			s->total_out += (uint64_t)n;
		} else if (errno == EAGAIN) {
			enum io_status status = stream_wait(s, want);

			if (status != IO_OK)
				return fail_output(s, status);
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return fail_output(s, IO_EOF);
		} else if (errno != EINTR) {
			return fail_output(s, IO_ERROR);
		}
	}
	return IO_OK;
}

enum io_status stream_flush(struct stream *s)
{
	size_t len = s->out_len;

	if (s->out_status != IO_OK) {
		errno = s->out_errno;
		return s->out_status;
	}
	s->out_len = 0;
	return len ? write_all(s, s->out, len) : IO_OK;
}

void stream_write(struct stream *s, struct span bytes)
{
	if (s->out_status != IO_OK || bytes.len == 0)
		return;
	if (s->out == NULL)
		s->out = mem_alloc(s->out_size);
	if (bytes.len > s->out_size - s->out_len) {
		if (stream_flush(s) != IO_OK)
			return;
		if (bytes.len >= s->out_size) { /* large: straight from the caller's memory */
			(void)write_all(s, bytes.ptr, bytes.len);
			return;
		}
	}
	memcpy(s->out + s->out_len, bytes.ptr, bytes.len);
	s->out_len += bytes.len;
}

void stream_set_out_size(struct stream *s, size_t bytes)
{
	must(s->out == NULL);
	s->out_size = bytes;
}

void stream_puts(struct stream *s, const char *text)
{
	stream_write(s, span_cstr(text));
}

void stream_printf(struct stream *s, const char *fmt, ...)
{
	char small[512];
	char *text = small;
	va_list ap, again;
	int len;

	va_start(ap, fmt);
	va_copy(again, ap);
	len = vsnprintf(small, sizeof small, fmt, ap);
	must(len >= 0);
	if ((size_t)len >= sizeof small) {
		text = mem_alloc((size_t)len + 1);
		vsnprintf(text, (size_t)len + 1, fmt, again);
	}
	va_end(again);
	va_end(ap);
	stream_write(s, span_of(text, (size_t)len));
	if (text != small)
		free(text);
}

enum io_status stream_status(const struct stream *s)
{
	return s->out_status;
}

/* --- input -------------------------------------------------------------------------------------------------------- */

struct span stream_buffered(const struct stream *s)
{
	return span_of(s->in ? s->in + s->in_at : NULL, s->in_len - s->in_at);
}

bool stream_has_input(const struct stream *s)
{
	return s->in_len > s->in_at;
}

void stream_consume(struct stream *s, size_t n)
{
	must(n <= s->in_len - s->in_at);
	s->in_at += n;
}

static void make_room(struct stream *s)
{
	if (s->in == NULL)
		s->in = mem_alloc(STREAM_IN_BYTES);
	if (s->in_at == s->in_len) {
		s->in_at = s->in_len = 0;
	} else if (s->in_len == STREAM_IN_BYTES && s->in_at > 0) {
		memmove(s->in, s->in + s->in_at, s->in_len - s->in_at);
		s->in_len -= s->in_at;
		s->in_at = 0;
	}
}

/* The buffers may be gone meanwhile. */
static enum io_status wait_for_input(struct stream *s, short want)
{
	enum io_status status = wait_shrinking(s, want, true);

	if (status != IO_LATER)
		make_room(s);
	return status;
}

/* Waiting comes first: a client in dialogue has usually not answered yet, and a read that finds nothing is a wasted call. */
enum io_status stream_fill(struct stream *s)
{
	short want = POLLIN;
	enum io_status status = stream_flush(s);

	if (status != IO_OK)
		return status;
	make_room(s);
	if (s->in_len == STREAM_IN_BYTES)
		return IO_TOO_LONG;
	for (;;) {
		ssize_t n;

		if (s->ops == &plain || want != POLLIN) {
			status = wait_for_input(s, want);
			if (status != IO_OK)
				return status;
		}
		n = s->ops->read(s->transport, s->in + s->in_len, STREAM_IN_BYTES - s->in_len, &want);
		if (n > 0) {
			s->in_len += (size_t)n;
			s->total_in += (uint64_t)n;
			s->pause_until_ms = 0; /* read without a wait: TLS tries first */
			return IO_OK;
		}
		if (n == 0 || errno == ECONNRESET || errno == EPIPE)
			return IO_EOF;
		if (errno != EAGAIN && errno != EINTR)
			return IO_ERROR;
		if (s->ops != &plain && errno == EAGAIN) {
			status = wait_for_input(s, want);
			if (status != IO_OK)
				return status;
			want = POLLIN;
		}
	}
}

bool stream_unread(struct stream *s, struct span bytes)
{
	size_t have = s->in_len - s->in_at;

	if (bytes.len > STREAM_IN_BYTES - have)
		return false;
	if (bytes.len == 0)
		return true;
	if (s->in == NULL)
		s->in = mem_alloc(STREAM_IN_BYTES);
	memmove(s->in + bytes.len, s->in + s->in_at, have);
	memcpy(s->in, bytes.ptr, bytes.len);
	s->in_at = 0;
	s->in_len = have + bytes.len;
	return true;
}

/* Drop input up to and including the next LF. */
static enum io_status skip_line(struct stream *s)
{
	for (;;) {
		struct span have = stream_buffered(s);
		ptrdiff_t at = span_chr(have, '\n');
		enum io_status status;

		stream_consume(s, at < 0 ? have.len : (size_t)at + 1);
		s->skipping = false;
		if (at >= 0)
			return IO_TOO_LONG;
		status = stream_fill(s);
		s->skipping = status == IO_LATER;
		if (status != IO_OK)
			return status;
	}
}

enum io_status stream_line(struct stream *s, size_t max, struct span *line_r, bool *bare_lf_r)
{
	size_t seen = 0;

	must(max < STREAM_IN_BYTES - 2);
	if (s->skipping)
		return skip_line(s);
	for (;;) {
		struct span have = stream_buffered(s);
		ptrdiff_t at = span_chr(span_skip(have, seen), '\n');
		enum io_status status;

		if (at >= 0) {
			size_t len = seen + (size_t)at;
			bool cr = len > 0 && have.ptr[len - 1] == '\r';

			if (len - cr > max)
				return skip_line(s);
			stream_consume(s, len + 1);
			*line_r = span_head(have, len - cr);
			if (bare_lf_r)
				*bare_lf_r = !cr;
			return IO_OK;
		}
		if (have.len > max + 1)
			return skip_line(s);
		seen = have.len;
		status = stream_fill(s);
		if (status != IO_OK)
			return status;
	}
}

void stream_shrink(struct stream *s)
{
	if (s->in_at == s->in_len) {
		free(s->in);
		s->in = NULL;
		s->in_at = s->in_len = 0;
	}
	if (s->out_len == 0) {
		free(s->out);
		s->out = NULL;
	}
}

uint64_t stream_bytes_in(const struct stream *s)
{
	return s->total_in;
}

uint64_t stream_bytes_out(const struct stream *s)
{
	return s->total_out;
}
