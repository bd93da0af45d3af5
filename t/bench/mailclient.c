/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lean mail client: one thread, epoll, one small buffer for all sessions, so that what is measured is the server.
 *
 *	mailclient [-P imap|pop3] [-a ADDRESS] [-p PORT] [-s SESSIONS] [-n COUNT] [-u USERS] [-U USER] [-w PASSWORD]
 *	mailclient -i ...
 *
 * COUNT times: connect, log in, look into INBOX (SELECT or STAT), log out; SESSIONS of them at a time. USER may hold %d: replaced by
 * 0 .. USERS-1 in turn. Prints sessions, seconds and sessions per second; exits 1 when one failed.
 * -i: COUNT sessions stay, all in IDLE, SESSIONS of them on their way at a time. When the last is there, "idle COUNT" is printed; they
 * end when standard input ends.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"

/* What is sent when the line that was expected has come. Lines that begin otherwise are passed over, unless they mean no. */
struct step {
	const char *expect, *send;
};

static const struct step imap_login[] = {
	{ "* OK", "a LOGIN %s %s\r\n" }, { "a OK", "b SELECT INBOX\r\n" }, { "b OK", "c LOGOUT\r\n" }, { "c OK", NULL },
};
static const struct step imap_idle[] = {
	{ "* OK", "a LOGIN %s %s\r\n" }, { "a OK", "b SELECT INBOX\r\n" }, { "b OK", "c IDLE\r\n" }, { "+", NULL },
};
static const struct step pop3_login[] = {
	{ "+OK", "USER %s\r\n" }, { "+OK", "PASS %.0s%s\r\n" }, { "+OK", "STAT\r\n" }, { "+OK", "QUIT\r\n" }, { "+OK", NULL },
};

struct session {
	int fd;
	short step;
	bool midline; /* the rest of a line that has been looked at comes next */
	int user;
};

static struct {
	const char *address, *user, *password;
	const struct step *steps;
	int port, sessions, count, users;
	bool idle;
} opt = { "127.0.0.1", "user%d", "secret", imap_login, 2143, 1, 1000, 100, false };

static struct session *all;
static int epoll_fd, started, done, failed, busy;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void begin(struct session *s)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port) };
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };
	int on = 1;

	inet_pton(AF_INET, opt.address, &sin.sin_addr);
	*s = (struct session){ .user = started++ % opt.users };
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&sin, sizeof sin) < 0)
		die("connect");
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &ev);
	busy++;
}

static void say(struct session *s, const char *format)
{
	char text[512], name[128];
	const char *at = strstr(opt.user, "%d");
	int len;

	if (at)
		snprintf(name, sizeof name, "%.*s%d%s", (int)(at - opt.user), opt.user, s->user, at + 2);
	else
		snprintf(name, sizeof name, "%s", opt.user);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	len = snprintf(text, sizeof text, format, name, opt.password);
#pragma GCC diagnostic pop
	if (send(s->fd, text, (size_t)len, MSG_NOSIGNAL) != len)
		die("send");
}

/* One more may begin. A session that idles keeps its descriptor. */
static void end(struct session *s, bool good)
{
	done += good;
	failed += !good;
	busy--;
	if (!opt.idle || !good)
		close(s->fd);
	if (started < opt.count)
		begin(opt.idle ? &all[started] : s);
}

static bool is_refusal(const char *line)
{
	return strncmp(line, "-ERR", 4) == 0 || strncmp(line, "* BYE [", 7) == 0 ||
	       (line[0] >= 'a' && line[0] <= 'c' && (strncmp(line + 1, " NO", 3) == 0 || strncmp(line + 1, " BAD", 4) == 0));
}

/* True: the session is over, or has arrived where it stays. */
static bool take_line(struct session *s, const char *line)
{
	const struct step *now = &opt.steps[s->step];

	if (is_refusal(line)) {
		fprintf(stderr, "refused: %.100s\n", line);
		end(s, false);
		return true;
	}
	if (strncmp(line, now->expect, strlen(now->expect)) != 0)
		return false;
	if (now->send == NULL) {
		end(s, true);
		return true;
	}
	s->step++;
	say(s, now->send);
	return false;
}

/* A server writes its answers whole: a line cut in two by the network is only met in passing. */
static void readable(struct session *s)
{
	static char in[65536];
	ssize_t n = read(s->fd, in, sizeof in - 1);
	char *line = in, *lf;

	if (n <= 0) {
		fprintf(stderr, "lost connection at step %d\n", s->step);
		end(s, false);
		return;
	}
	in[n] = '\0';
	while ((lf = memchr(line, '\n', (size_t)(in + n - line))) != NULL) {
		*lf = '\0';
		if (!s->midline && take_line(s, line))
			return;
		s->midline = false;
		line = lf + 1;
	}
	s->midline |= line < in + n;
}

static void options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "P:a:p:s:n:u:U:w:i")) != -1) {
		switch (c) {
		case 'P': opt.steps = strcmp(optarg, "pop3") == 0 ? pop3_login : imap_login; break;
		case 'a': opt.address = optarg; break;
		case 'p': opt.port = atoi(optarg); break;
		case 's': opt.sessions = atoi(optarg); break;
		case 'n': opt.count = atoi(optarg); break;
		case 'u': opt.users = atoi(optarg); break;
		case 'U': opt.user = optarg; break;
		case 'w': opt.password = optarg; break;
		case 'i': opt.idle = true; opt.steps = imap_idle; break;
		default: exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct rlimit files;
	int64_t start;
	double seconds;

	options(argc, argv);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	all = calloc((size_t)(opt.idle ? opt.count : opt.sessions), sizeof *all);
	start = clock_mono_ms();
	for (int i = 0; i < opt.sessions && i < opt.count; i++)
		begin(&all[i]);
	while (busy > 0) {
		struct epoll_event ev[64];
		int n = epoll_wait(epoll_fd, ev, 64, 60000);

		if (n <= 0)
			die("no answer for a minute");
		for (int i = 0; i < n; i++)
			readable(ev[i].data.ptr);
	}
	seconds = (double)(clock_mono_ms() - start) / 1000.0;
	printf("%s %d failed %d seconds %.3f rate %.1f\n", opt.idle ? "idle" : "sessions", done, failed, seconds,
	       done / (seconds > 0 ? seconds : 0.001));
	fflush(stdout);
	while (opt.idle && getchar() != EOF)
		;
	free(all);
	return failed > 0;
}
