/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between a TLS session and a plain socket. Two directions, each with one buffer that exists only while something is in it:
 *
 *	up     client -> plain     ends when the client said so; then the plain side is told by a half close
 *	down   plain -> client     when it has ended and is written out, all is over
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/io/tls_int.h"

enum { CHUNK_BYTES = 16384 };

struct way {
	char *bytes; /* NULL: empty */
	size_t at, len;
	bool ended;      /* nothing more will come */
	bool told;       /* up: the half close is done */
	short read_want, write_want; /* events that the last call waits for; 0: try */
};

struct relay {
	struct stream *s;
	struct tls *tls;
	int fd;
	struct way up, down;
	bool lost; /* one side is gone: give up */
};

static ssize_t plain_read(struct relay *r, void *to, size_t len, short *want_r)
{
	*want_r = POLLIN;
	return recv(r->fd, to, len, MSG_DONTWAIT);
}

static ssize_t plain_write(struct relay *r, const void *from, size_t len, short *want_r)
{
	*want_r = POLLOUT;
	return send(r->fd, from, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void drop(struct way *w)
{
	if (w->bytes)
		mem_wipe(w->bytes, w->len);
	free(w->bytes);
	w->bytes = NULL;
	w->at = w->len = 0;
}

/* Take in what there is. True: something happened. */
static bool take(struct relay *r, struct way *w, bool from_client)
{
	ssize_t n;

	if (w->bytes || w->ended)
		return false;
	w->bytes = mem_alloc(CHUNK_BYTES);
	n = from_client ? tls_ops.read(r->tls, w->bytes, CHUNK_BYTES, &w->read_want) :
			  plain_read(r, w->bytes, CHUNK_BYTES, &w->read_want);
	if (n > 0) {
		w->len = (size_t)n;
		return true;
	}
	drop(w);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	w->ended = true;
	if (n < 0 && from_client)
		r->lost = true;
	return true;
}

static bool give(struct relay *r, struct way *w, bool to_client)
{
	ssize_t n;

	if (w->bytes == NULL)
		return false;
	n = to_client ? tls_ops.write(r->tls, w->bytes + w->at, w->len - w->at, &w->write_want) :
			plain_write(r, w->bytes + w->at, w->len - w->at, &w->write_want);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && to_client) {
		r->lost = true;
		return false;
	}
	if (n < 0) { /* the plain side reads no more; what it has said is still to be delivered */
		drop(w);
		w->ended = w->told = true;
		return true;
	}
	w->at += (size_t)n;
	if (w->at == w->len)
		drop(w);
	return true;
}

static bool step(struct relay *r)
{
	bool moved = take(r, &r->up, true);

	moved = give(r, &r->up, false) || moved;
	if (r->up.ended && r->up.bytes == NULL && !r->up.told) {
		shutdown(r->fd, SHUT_WR);
		r->up.told = true;
	}
	moved = take(r, &r->down, false) || moved;
	return give(r, &r->down, true) || moved;
}

static bool over(const struct relay *r)
{
	return r->lost || (r->down.ended && r->down.bytes == NULL);
}

/* Wait for whatever the four calls wait for. False: the time is over. */
static bool wait_for_more(struct relay *r, int stop_fd, int64_t *until_ms, int64_t grace_ms)
{
	struct pollfd fds[3] = { { .fd = stream_fd(r->s) }, { .fd = r->fd }, { .fd = *until_ms == CLOCK_NEVER ? stop_fd : -1,
		.events = POLLIN } };
	int64_t left = *until_ms == CLOCK_NEVER ? -1 : *until_ms - clock_mono_ms();

	if (r->up.bytes)
		fds[1].events |= r->up.write_want;
	else if (!r->up.ended)
		fds[0].events |= r->up.read_want;
	if (r->down.bytes)
		fds[0].events |= r->down.write_want;
	else if (!r->down.ended)
		fds[1].events |= r->down.read_want;
	/* A hang-up is always reported: a side of which nothing is wanted now must not make the loop spin. */
	for (int i = 0; i < 2; i++)
		if (fds[i].events == 0)
			fds[i].fd = -1;
	if (*until_ms != CLOCK_NEVER && left <= 0)
		return false;
	if (poll(fds, 3, (int)left) < 0 && errno != EINTR)
		return false;
	if (fds[2].revents)
		*until_ms = clock_deadline(grace_ms);
	return true;
}

void tls_relay(struct stream *s, int plain_fd, int64_t grace_ms)
{
	struct relay r = { .s = s, .tls = stream_transport(s, &tls_ops), .fd = plain_fd };
	int64_t until_ms = CLOCK_NEVER;

	if (r.tls == NULL || stream_flush(s) != IO_OK)
		return;
	for (;;) {
		while (step(&r) && !over(&r))
			;
		if (over(&r) || !wait_for_more(&r, io_stop_fd(), &until_ms, grace_ms))
			break;
	}
	drop(&r.up);
	drop(&r.down);
}
