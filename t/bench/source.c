/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lean SMTP load generator: one thread, epoll, MAIL + RCPT + DATA in one segment, the content in one write. It costs a small
 * part of what a server does, so what it measures is the server.
 *
 *	source [-a ADDRESS] [-p PORT] [-s SESSIONS] [-m MESSAGES] [-l BYTES] [-f SENDER] [-t RECIPIENT] [-1] [-c]
 *
 * RECIPIENT may hold %d: replaced by 0 .. USERS-1 in turn (-u USERS). -1: one connection per message. -c: print "accepted ID" for each
 * 250 (the text after "queued as"). Prints messages, seconds and messages per second; exits 1 when a message was refused.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"

enum phase { BANNER, HELO, ENVELOPE, CONTENT, GOODBYE };

struct session {
	int fd;
	enum phase phase;
	int replies; /* still expected in ENVELOPE */
	char in[4096];
	size_t len;
};

static struct {
	const char *address, *sender, *recipient;
	int port, sessions, messages, length, users;
	bool one_each, show_ids;
} opt = { "127.0.0.1", "source@bench.example", "user%d@example.test", 2025, 20, 1000, 4096, 100, false, false };

static char *content;
static size_t content_len;
static int started, accepted, refused, open_sessions, epoll_fd;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void make_content(void)
{
	static const char head[] = "From: <source@bench.example>\r\nTo: <user@example.test>\r\nSubject: load\r\n\r\n";
	size_t len = sizeof head - 1;

	content = malloc((size_t)opt.length + 200);
	memcpy(content, head, len);
	while (len < (size_t)opt.length) {
		memset(content + len, 'a' + (int)(len % 26), 70);
		memcpy(content + len + 70, "\r\n", 2);
		len += 72;
	}
	memcpy(content + len, ".\r\n", 3);
	content_len = len + 3;
}

static void put(struct session *s, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(s->fd, text, len, MSG_NOSIGNAL);

		if (n < 0) { /* small writes into an empty socket: block for the rare full one */
			if (errno != EAGAIN)
				die("send");
			fcntl(s->fd, F_SETFL, 0);
			continue;
		}
		text += n;
		len -= (size_t)n;
	}
}

static void begin_message(struct session *s)
{
	char text[1024], to[256];
	int n = started++;

	snprintf(to, sizeof to, "%s", opt.recipient);
	if (strstr(opt.recipient, "%d")) {
		const char *at = strstr(opt.recipient, "%d");

		snprintf(to, sizeof to, "%.*s%d%s", (int)(at - opt.recipient), opt.recipient, n % opt.users, at + 2);
	}
	n = snprintf(text, sizeof text, "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", opt.sender, to);
	s->phase = ENVELOPE;
	s->replies = 3;
	put(s, text, (size_t)n);
}

static void connect_session(struct session *s)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port) };
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };
	int on = 1;

	inet_pton(AF_INET, opt.address, &sin.sin_addr);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&sin, sizeof sin) < 0)
		die("connect");
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	s->phase = BANNER;
	s->len = 0;
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &ev);
	open_sessions++;
}

static void end_session(struct session *s)
{
	close(s->fd);
	open_sessions--;
	if (started < opt.messages)
		connect_session(s);
}

static void next_message(struct session *s)
{
	if (started < opt.messages && !(opt.one_each && s->phase == CONTENT)) {
		begin_message(s);
	} else {
		s->phase = GOODBYE;
		put(s, "QUIT\r\n", 6);
	}
}

static void handle_reply(struct session *s, const char *line)
{
	bool good = line[0] == '2' || line[0] == '3';

	if (!good && s->phase != GOODBYE) {
		fprintf(stderr, "refused: %s\n", line);
		refused++;
		s->phase = GOODBYE;
		put(s, "QUIT\r\n", 6);
		return;
	}
	switch (s->phase) {
	case BANNER:
		s->phase = HELO;
		put(s, "EHLO bench.example\r\n", 20);
		break;
	case HELO:
		next_message(s);
		break;
	case ENVELOPE:
		if (--s->replies == 0) {
			s->phase = CONTENT;
			put(s, content, content_len);
		}
		break;
	case CONTENT:
		accepted++;
		if (opt.show_ids && strstr(line, "queued as "))
			printf("accepted %s\n", strstr(line, "queued as ") + 10);
		next_message(s);
		break;
	case GOODBYE:
		break;
	}
}

static void readable(struct session *s)
{
	ssize_t n = read(s->fd, s->in + s->len, sizeof s->in - 1 - s->len);
	char *line = s->in, *end;

	if (n <= 0) {
		if (s->phase != GOODBYE) {
			fprintf(stderr, "lost connection\n");
			refused++;
		}
		end_session(s);
		return;
	}
	s->len += (size_t)n;
	s->in[s->len] = '\0';
	while ((end = memchr(line, '\n', s->len - (size_t)(line - s->in))) != NULL) {
		*end = '\0';
		if (end > line && end[-1] == '\r')
			end[-1] = '\0';
		if (strlen(line) < 4 || line[3] != '-')
			handle_reply(s, line);
		line = end + 1;
	}
	s->len -= (size_t)(line - s->in);
	memmove(s->in, line, s->len);
}

static void options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "a:p:s:m:l:f:t:u:1c")) != -1) {
		switch (c) {
		case 'a': opt.address = optarg; break;
		case 'p': opt.port = atoi(optarg); break;
		case 's': opt.sessions = atoi(optarg); break;
		case 'm': opt.messages = atoi(optarg); break;
		case 'l': opt.length = atoi(optarg); break;
		case 'f': opt.sender = optarg; break;
		case 't': opt.recipient = optarg; break;
		case 'u': opt.users = atoi(optarg); break;
		case '1': opt.one_each = true; break;
		case 'c': opt.show_ids = true; setvbuf(stdout, NULL, _IOLBF, 0); break;
		default: exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct session *sessions;
	int64_t start;
	double seconds;

	options(argc, argv);
	make_content();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	sessions = calloc((size_t)opt.sessions, sizeof *sessions);
	start = clock_mono_ms();
	for (int i = 0; i < opt.sessions && i < opt.messages; i++)
		connect_session(&sessions[i]);
	while (open_sessions > 0) {
		struct epoll_event ev[64];
		int n = epoll_wait(epoll_fd, ev, 64, 60000);

		if (n <= 0)
			die("no reply for a minute");
		for (int i = 0; i < n; i++)
			readable(ev[i].data.ptr);
	}
	seconds = (double)(clock_mono_ms() - start) / 1000.0;
	printf("messages %d refused %d seconds %.3f rate %.1f\n", accepted, refused, seconds, accepted / (seconds > 0 ? seconds : 0.001));
	free(sessions);
	free(content);
	return refused > 0;
}
