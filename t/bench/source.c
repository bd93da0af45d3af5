/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lean SMTP load generator: one thread, epoll, MAIL + RCPT + DATA in one segment, the content in one write. It costs a small
 * part of what a server does, so what it measures is the server.
 *
 *	source [-a ADDRESS] [-p PORT] [-s SESSIONS] [-m MESSAGES] [-l BYTES] [-f SENDER] [-t RECIPIENT] [-1] [-0] [-c]
 *	       [-T | -S] [-R] [-V 1.2|1.3] [-k KINDS] [-A USER:PASSWORD]
 *
 * RECIPIENT and USER may hold %d: replaced by 0 .. USERS-1 in turn (-u USERS). -1: one connection per message. -0: no messages:
 * MESSAGES connections that say EHLO and QUIT. -c: print "accepted ID" for each 250 (the text after "queued as").
 * -T: TLS from the first byte; -S: STARTTLS. -R: the first session's ticket resumes the others. -V: this protocol only. -k: the
 * signatures that are taken ("ECDSA+SHA256", "RSA-PSS+SHA256"), and so the certificate. Certificates are not verified. -A: AUTH
 * PLAIN in each session.
 * Prints messages (or sessions), seconds, how many per second, what the generator itself used of the processor, and how many
 * sessions had TLS and were resumed; exits 1 when something was refused.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"

enum phase { BANNER, HELO, STARTTLS, AUTH, ENVELOPE, CONTENT, GOODBYE };
enum tls { TLS_NONE, TLS_WRAPPED, TLS_STARTTLS };

struct session {
	int fd;   /* -1: not connected */
	SSL *ssl; /* NULL: plain, or not yet */
	bool shaking;
	enum phase phase;
	int replies; /* still expected in ENVELOPE */
	char in[4096];
	size_t len;
};

static struct {
	const char *address, *sender, *recipient;
	int port, sessions, messages, length, users;
	bool one_each, no_messages, show_ids, resume;
	enum tls tls;
	const char *version, *kinds, *auth;
} opt = { .address = "127.0.0.1", .sender = "source@bench.example", .recipient = "user%d@example.test", .port = 2025,
	  .sessions = 20, .messages = 1000, .length = 4096, .users = 100 };

static struct session *sessions;
static char *content;
static size_t content_len;
static int started, accepted, refused, open_sessions, epoll_fd;
static int connections, tls_sessions, resumed;
static SSL_CTX *tls_ctx;
static SSL_SESSION *ticket; /* the first that came */

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

/* --- TLS ---------------------------------------------------------------------------------------------------------- */

static int keep_ticket(SSL *ssl, SSL_SESSION *fresh)
{
	(void)ssl;
	if (ticket)
		return 0;
	ticket = fresh;
	return 1;
}

static void tls_setup(void)
{
	int version = opt.version && strcmp(opt.version, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;

	tls_ctx = SSL_CTX_new(TLS_client_method());
	if (tls_ctx == NULL || (opt.kinds && SSL_CTX_set1_sigalgs_list(tls_ctx, opt.kinds) != 1) ||
	    (opt.version && (SSL_CTX_set_min_proto_version(tls_ctx, version) != 1 || SSL_CTX_set_max_proto_version(tls_ctx, version) != 1)))
		die("TLS settings");
	SSL_CTX_set_read_ahead(tls_ctx, 1);
	SSL_CTX_set_quiet_shutdown(tls_ctx, 1);
	if (opt.resume) {
		SSL_CTX_set_session_cache_mode(tls_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(tls_ctx, keep_ticket);
	}
}

/* True: it is done. */
static bool tls_shake(struct session *s)
{
	int result = SSL_do_handshake(s->ssl);

	if (result != 1) {
		if (SSL_get_error(s->ssl, result) != SSL_ERROR_WANT_READ)
			die("handshake");
		return false;
	}
	s->shaking = false;
	tls_sessions++;
	resumed += SSL_session_reused(s->ssl) == 1;
	return true;
}

static void tls_begin(struct session *s)
{
	fcntl(s->fd, F_SETFL, O_NONBLOCK);
	s->ssl = SSL_new(tls_ctx);
	SSL_set_fd(s->ssl, s->fd);
	SSL_set_connect_state(s->ssl);
	if (opt.resume && ticket) {
		SSL_SESSION *again = SSL_SESSION_dup(ticket); /* the library would use one of TLS 1.3 only once */

		SSL_set_session(s->ssl, again);
		SSL_SESSION_free(again);
	}
	s->shaking = true;
}

static void tls_put(struct session *s, const char *text, size_t len)
{
	struct pollfd room = { .fd = s->fd, .events = POLLOUT };
	size_t n;

	while (SSL_write_ex(s->ssl, text, len, &n) != 1) /* small writes: rarely is there no room */
		if (SSL_get_error(s->ssl, 0) != SSL_ERROR_WANT_WRITE || poll(&room, 1, 60000) <= 0)
			die("send");
}

static void tls_end(struct session *s)
{
	if (s->ssl == NULL)
		return;
	SSL_shutdown(s->ssl); /* quietly; without it the ticket would not be used again */
	SSL_free(s->ssl);
	s->ssl = NULL;
}

/* --- a session ---------------------------------------------------------------------------------------------------- */

static void put(struct session *s, const char *text, size_t len)
{
	if (s->ssl) {
		tls_put(s, text, len);
		return;
	}
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

/* The n-th user in place of %d. */
static void numbered(char to[256], const char *pattern, int n)
{
	const char *at = strstr(pattern, "%d");

	if (at)
		snprintf(to, 256, "%.*s%d%s", (int)(at - pattern), pattern, n % opt.users, at + 2);
	else
		snprintf(to, 256, "%s", pattern);
}

static void begin_message(struct session *s)
{
	char text[1024], to[256];
	int n = started++;

	numbered(to, opt.recipient, n);
	n = snprintf(text, sizeof text, "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", opt.sender, to);
	s->phase = ENVELOPE;
	s->replies = 3;
	put(s, text, (size_t)n);
}

static void authenticate(struct session *s)
{
	char name[256], message[256], text[512];
	int len;

	numbered(name, opt.auth, connections - 1);
	len = snprintf(message, sizeof message, "%c%s", 0, name);
	*strchr(message + 1, ':') = '\0';
	memcpy(text, "AUTH PLAIN ", 11);
	len = 11 + EVP_EncodeBlock((unsigned char *)text + 11, (const unsigned char *)message, len);
	memcpy(text + len, "\r\n", 2);
	s->phase = AUTH;
	put(s, text, (size_t)len + 2);
}

static void readable(struct session *s);

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
	connections++;
	started += opt.no_messages;
	if (opt.tls == TLS_WRAPPED) {
		tls_begin(s);
		readable(s);
	}
}

/* As many sessions as there should be. Who wants to resume one begins with one. */
static void connect_sessions(void)
{
	int wanted = opt.resume && ticket == NULL ? 1 : opt.sessions;

	for (int i = 0; i < opt.sessions && open_sessions < wanted && started < opt.messages; i++)
		if (sessions[i].fd < 0)
			connect_session(&sessions[i]);
}

static void end_session(struct session *s)
{
	tls_end(s);
	close(s->fd);
	s->fd = -1;
	open_sessions--;
}

static void next_message(struct session *s)
{
	if (!opt.no_messages && started < opt.messages && !(opt.one_each && s->phase == CONTENT)) {
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
		if (opt.tls == TLS_STARTTLS && s->ssl == NULL) {
			s->phase = STARTTLS;
			put(s, "STARTTLS\r\n", 10);
		} else if (opt.auth) {
			authenticate(s);
		} else {
			next_message(s);
		}
		break;
	case STARTTLS:
		s->phase = BANNER;
		tls_begin(s);
		break;
	case AUTH:
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
		accepted += opt.no_messages;
		break;
	}
}

static void take_input(struct session *s, size_t n)
{
	char *line = s->in, *end;

	s->len += n;
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

static ssize_t receive(struct session *s)
{
	size_t n = 0, room = sizeof s->in - 1 - s->len;

	if (s->ssl == NULL)
		return read(s->fd, s->in + s->len, room);
	if (SSL_read_ex(s->ssl, s->in + s->len, room, &n) == 1)
		return (ssize_t)n;
	if (SSL_get_error(s->ssl, 0) != SSL_ERROR_WANT_READ)
		return 0;
	errno = EAGAIN;
	return -1;
}

/* TLS reads ahead: what it has must be taken before the next wait. */
static void readable(struct session *s)
{
	ssize_t n;

	do {
		if (s->shaking) {
			if (!tls_shake(s))
				return;
			if (opt.tls == TLS_STARTTLS)
				handle_reply(s, "220 as a greeting would be");
		}
		n = receive(s);
		if (n > 0)
			take_input(s, (size_t)n);
	} while (n > 0 && s->ssl);
	if (n > 0 || (n < 0 && errno == EAGAIN))
		return;
	if (s->phase != GOODBYE) {
		fprintf(stderr, "lost connection\n");
		refused++;
	}
	end_session(s);
}

static void options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "a:p:s:m:l:f:t:u:10cTSRV:k:A:")) != -1) {
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
		case '0': opt.no_messages = true; break;
		case 'T': opt.tls = TLS_WRAPPED; break;
		case 'S': opt.tls = TLS_STARTTLS; break;
		case 'R': opt.resume = true; break;
		case 'V': opt.version = optarg; break;
		case 'k': opt.kinds = optarg; break;
		case 'A': opt.auth = optarg; break;
		case 'c': opt.show_ids = true; setvbuf(stdout, NULL, _IOLBF, 0); break;
		default: exit(2);
		}
	}
	if (opt.auth && strchr(opt.auth, ':') == NULL)
		exit(2);
}

static double own_cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
	int64_t start;
	double seconds;

	options(argc, argv);
	make_content();
	if (opt.tls)
		tls_setup();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	sessions = calloc((size_t)opt.sessions, sizeof *sessions);
	for (int i = 0; i < opt.sessions; i++)
		sessions[i].fd = -1;
	start = clock_mono_ms();
	connect_sessions();
	while (open_sessions > 0) {
		struct epoll_event ev[64];
		int n = epoll_wait(epoll_fd, ev, 64, 60000);

		if (n <= 0)
			die("no reply for a minute");
		for (int i = 0; i < n; i++)
			readable(ev[i].data.ptr);
		if (open_sessions < opt.sessions)
			connect_sessions();
	}
	seconds = (double)(clock_mono_ms() - start) / 1000.0;
	printf("%s %d refused %d seconds %.3f rate %.1f cpu_seconds %.3f tls %d resumed %d\n", opt.no_messages ? "sessions" : "messages",
	       accepted, refused, seconds, accepted / (seconds > 0 ? seconds : 0.001), own_cpu_seconds(), tls_sessions, resumed);
	SSL_SESSION_free(ticket);
	SSL_CTX_free(tls_ctx);
	free(sessions);
	free(content);
	return refused > 0;
}
