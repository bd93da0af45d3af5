/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fast SMTP sink for measurements: takes every message, keeps none, counts. sink [-c] [-r] [-n COUNT] ADDRESS:PORT
 *
 *	-c        print "MESSAGES RECIPIENTS CONNECTIONS SECONDS" each time a second in which something came is over
 *	-r        refuse every recipient, for now
 *	-n COUNT  end after so many messages
 *
 * Prints "ready" once it listens. At the end (SIGTERM, SIGINT or COUNT) prints "messages=N recipients=N connections=N
 * bytes=N seconds=S rate=R", seconds from the first to the last message. One epoll loop; offers PIPELINING, 8BITMIME,
 * SIZE.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/io/netaddr.h"

enum { IN_BYTES = 65536, OUT_MAX = 1 << 20, EVENTS = 256 };

static struct {
	uint64_t messages, recipients, connections, bytes, until;
	int64_t first_us, last_us;
} count;

struct client {
	int fd;
	bool in_data, quitting;
	int tail; /* how much of CRLF . CRLF the input ended with; data starts as after CRLF */
	struct buf line;
	struct buf out;
};

static int epoll_fd;
static bool refusing;

static void drop(struct client *c)
{
	close(c->fd);
	buf_free(&c->line);
	buf_free(&c->out);
	free(c);
}

/* Take content up to the end of data; returns how much. */
static size_t take_data(struct client *c, const char *at, size_t len)
{
	static const char end[] = "\r\n.\r\n";

	for (size_t i = 0; i < len; i++) {
		if (c->tail == 0) {
			const char *cr = memchr(at + i, '\r', len - i);

			if (cr == NULL)
				return len;
			i = (size_t)(cr - at);
		}
		if (at[i] == end[c->tail])
			c->tail++;
		else
			c->tail = at[i] == '\r';
		if (c->tail == 5) {
			c->in_data = false;
			return i + 1;
		}
	}
	return len;
}

static void message_done(struct client *c)
{
	count.messages++;
	count.last_us = clock_wall_us();
	if (count.first_us == 0)
		count.first_us = count.last_us;
	buf_adds(&c->out, "250 2.0.0 Ok: dropped\r\n");
}

static void take_command(struct client *c, struct span line)
{
	if (span_istarts(line, "EHLO")) {
		buf_adds(&c->out,
			 "250-sink\r\n250-PIPELINING\r\n250-SIZE 0\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n");
	} else if (span_istarts(line, "RCPT")) {
		count.recipients++;
		buf_adds(&c->out, refusing ? "450 4.7.1 come later\r\n" : "250 2.1.5 Ok\r\n");
	} else if (span_istarts(line, "DATA") && refusing) {
		buf_adds(&c->out, "503 5.5.1 no recipients\r\n");
	} else if (span_istarts(line, "DATA")) {
		c->in_data = true;
		c->tail = 2;
		buf_adds(&c->out, "354 Go on\r\n");
	} else if (span_istarts(line, "QUIT")) {
		c->quitting = true;
		buf_adds(&c->out, "221 2.0.0 Bye\r\n");
	} else {
		buf_adds(&c->out, "250 2.0.0 Ok\r\n");
	}
}

static void take_input(struct client *c, const char *at, size_t len)
{
	count.bytes += len;
	while (len) {
		size_t used;
		const char *lf;

		if (c->in_data) {
			used = take_data(c, at, len);
			if (!c->in_data)
				message_done(c);
		} else {
			lf = memchr(at, '\n', len);
			used = lf ? (size_t)(lf - at) + 1 : len;
			buf_add(&c->line, at, used);
			if (lf) {
				take_command(c, buf_span(&c->line));
				buf_reset(&c->line);
			}
		}
		at += used;
		len -= used;
	}
}

/* False: the client is gone. */
static bool serve(struct client *c)
{
	static char in[IN_BYTES];
	ssize_t n = read(c->fd, in, sizeof in);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	take_input(c, in, (size_t)n);
	/* Answers are short: what a socket buffer does not take at once belongs to a client that does not read. */
	if (c->out.len && send(c->fd, c->out.ptr, c->out.len, MSG_NOSIGNAL) != (ssize_t)c->out.len)
		return false;
	buf_reset(&c->out);
	return !c->quitting;
}

static void watch(int fd, void *who)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = who };

	must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0);
}

static void take_clients(int listener)
{
	static const char banner[] = "220 sink ESMTP\r\n";
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct client *c = mem_zalloc(sizeof *c);

		count.connections++;
		c->fd = fd;
		buf_init(&c->line, IN_BYTES);
		buf_init(&c->out, OUT_MAX);
		watch(fd, c);
		if (send(fd, banner, sizeof banner - 1, MSG_NOSIGNAL) < 0)
			drop(c);
	}
}

static void report(void)
{
	double seconds = (double)(count.last_us - count.first_us) / 1e6;

	printf("messages=%llu recipients=%llu connections=%llu bytes=%llu seconds=%.3f rate=%.1f\n",
	       (unsigned long long)count.messages, (unsigned long long)count.recipients,
	       (unsigned long long)count.connections, (unsigned long long)count.bytes, seconds,
	       seconds > 0 ? (double)(count.messages - 1) / seconds : 0.0);
	fflush(stdout);
}

/* The marks say which of the two a wake-up is for. */
static void run(int listener, const int *listener_mark, const int *signals_mark, bool chatty)
{
	struct epoll_event events[EVENTS];
	uint64_t shown = 0;
	int64_t shown_ms = clock_mono_ms();

	while (count.until == 0 || count.messages < count.until) {
		int n = epoll_wait(epoll_fd, events, EVENTS, chatty ? 1000 : -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == signals_mark)
				return;
			if (events[i].data.ptr == listener_mark)
				take_clients(listener);
			else if (!serve(events[i].data.ptr))
				drop(events[i].data.ptr);
		}
		if (chatty && clock_mono_ms() - shown_ms >= 1000 && count.messages != shown) {
			printf("%llu %llu %llu %.1f\n", (unsigned long long)count.messages,
			       (unsigned long long)count.recipients, (unsigned long long)count.connections,
			       (double)(count.last_us - count.first_us) / 1e6);
			fflush(stdout);
			shown = count.messages;
			shown_ms = clock_mono_ms();
		}
	}
}

static int listen_on(const char *text)
{
	struct span s = span_cstr(text);
	ptrdiff_t colon = span_rchr(s, ':');
	struct netaddr a;
	uint64_t port;

	if (colon < 0 || !netaddr_parse(span_head(s, (size_t)colon), &a) ||
	    !span_u64(span_skip(s, (size_t)colon + 1), 65535, &port)) {
		fprintf(stderr, "sink: not ADDRESS:PORT: %s\n", text);
		exit(64);
	}
	a.port = (uint16_t)port;
	return netaddr_listen(&a, 1024);
}

int main(int argc, char **argv)
{
	int opt, listener, signals;
	bool chatty = false;
	sigset_t set;

	while ((opt = getopt(argc, argv, "crn:")) != -1) {
		if (opt == 'c')
			chatty = true;
		else if (opt == 'r')
			refusing = true;
		else if (opt == 'n')
			count.until = strtoull(optarg, NULL, 10);
		else
			return 64;
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "usage: sink [-c] [-r] [-n COUNT] ADDRESS:PORT\n");
		return 64;
	}
	listener = listen_on(argv[optind]);
	if (listener < 0) {
		perror(argv[optind]);
		return 1;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	must(signals >= 0 && epoll_fd >= 0);
	watch(listener, &listener);
	watch(signals, &signals);
	puts("ready");
	fflush(stdout);
	run(listener, &listener, &signals, chatty);
	report();
	fflush(stdout);
	_exit(0); /* what is left of its clients goes with the process */
}
