/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many clients that do nothing: opens connections, a few at a time, brings each to the state of its kind, prints "ready", holds them
 * until its standard input ends, and prints how many of them the server has closed meanwhile.
 *
 *	crowd [-a ADDRESS] [-p PORT] [-n CONNECTIONS] [-k KIND] [-r RECIPIENT]
 *
 *	plain   EHLO was answered
 *	tls     the same inside TLS from the first byte; the session's memory here is given back
 *	half    the beginning of a ClientHello was sent
 *	slow    EHLO was answered; MAIL and a hundred RCPT were sent, and their replies are not read
 *
 * Every connection comes from an address of its own in 127.1.0.0/16. Needs a high limit of descriptors: raises its own.
 */
#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"

enum { ANSWER_S = 60, RCPTS = 100, SMALL_BUFFER = 2304, AT_A_TIME = 64 };

static struct {
	const char *address, *kind, *recipient;
	int port, connections;
} opt = { "127.0.0.1", "plain", "alice@example.test", 2025, 1000 };

static SSL_CTX *tls;
static int *fds;
static atomic_int next_number, failed;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static int dial(int number)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port) };
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct timeval limit = { .tv_sec = ANSWER_S };
	int fd = socket(AF_INET, SOCK_STREAM, 0), small = SMALL_BUFFER;

	if (fd < 0 || inet_pton(AF_INET, opt.address, &to.sin_addr) != 1)
		die("socket");
	from.sin_addr.s_addr = htonl(0x7f010001u + (uint32_t)number);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (strcmp(opt.kind, "slow") == 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		die("connect");
	return fd;
}

static ssize_t take(int fd, SSL *ssl, char *to, size_t size)
{
	return ssl ? SSL_read(ssl, to, (int)size) : recv(fd, to, size, 0);
}

/* One reply, all its lines. */
static bool reply(int fd, SSL *ssl, const char *code)
{
	char text[4096];
	size_t len = 0;

	for (;;) {
		ssize_t n = take(fd, ssl, text + len, sizeof text - 1 - len);
		const char *last;

		if (n <= 0)
			return false;
		len += (size_t)n;
		text[len] = '\0';
		if (text[len - 1] != '\n')
			continue;
		text[len - 1] = '\0';
		last = strrchr(text, '\n') ? strrchr(text, '\n') + 1 : text;
		text[len - 1] = '\n';
		if (last[3] == ' ')
			return strncmp(last, code, 3) == 0;
	}
}

static void say(int fd, SSL *ssl, const char *text)
{
	if (ssl)
		SSL_write(ssl, text, (int)strlen(text));
	else if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		die("send");
}

static bool greet(int fd, SSL *ssl)
{
	if (!reply(fd, ssl, "220"))
		return false;
	say(fd, ssl, "EHLO crowd.example\r\n");
	return reply(fd, ssl, "250");
}

static bool greet_tls(int fd)
{
	SSL *ssl = SSL_new(tls);
	bool ok = ssl && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1 && greet(fd, ssl);

	SSL_set_quiet_shutdown(ssl, 1);
	SSL_free(ssl); /* the descriptor stays */
	return ok;
}

static bool greet_slow(int fd)
{
	char text[16384];
	size_t len;

	if (!greet(fd, NULL))
		return false;
	len = (size_t)snprintf(text, sizeof text, "MAIL FROM:<crowd@crowd.example>\r\n");
	for (int i = 0; i < RCPTS; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "RCPT TO:<%s>\r\n", opt.recipient);
	say(fd, NULL, text);
	return true;
}

static bool begin(int fd)
{
	/* A record of the handshake, 512 octets of ClientHello announced. */
	static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half of a client's hello";

	if (strcmp(opt.kind, "plain") == 0)
		return greet(fd, NULL);
	if (strcmp(opt.kind, "tls") == 0)
		return greet_tls(fd);
	if (strcmp(opt.kind, "slow") == 0)
		return greet_slow(fd);
	return send(fd, hello, sizeof hello - 1, MSG_NOSIGNAL) > 0;
}

static void *open_some(void *unused)
{
	int i;

	while ((i = atomic_fetch_add(&next_number, 1)) < opt.connections) {
		fds[i] = dial(i);
		failed += !begin(fds[i]);
	}
	return unused;
}

static bool closed_by_server(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) > 0;
}

static void options(int argc, char **argv)
{
	int letter;

	while ((letter = getopt(argc, argv, "a:p:n:k:r:")) != -1)
		switch (letter) {
		case 'a':
			opt.address = optarg;
			break;
		case 'p':
			opt.port = atoi(optarg);
			break;
		case 'n':
			opt.connections = atoi(optarg);
			break;
		case 'k':
			opt.kind = optarg;
			break;
		case 'r':
			opt.recipient = optarg;
			break;
		default:
			exit(2);
		}
}

int main(int argc, char **argv)
{
	struct rlimit files;
	pthread_t threads[AT_A_TIME];
	int closed = 0;
	int64_t start = clock_mono_ms();
	char byte;

	options(argc, argv);
	files.rlim_cur = files.rlim_max = (rlim_t)opt.connections + 100;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		die("setrlimit");
	tls = SSL_CTX_new(TLS_client_method());
	fds = calloc((size_t)opt.connections, sizeof *fds);
	for (int i = 0; i < AT_A_TIME; i++)
		if (pthread_create(&threads[i], NULL, open_some, NULL) != 0)
			die("pthread_create");
	for (int i = 0; i < AT_A_TIME; i++)
		pthread_join(threads[i], NULL);
	SSL_CTX_free(tls);
	malloc_trim(0);
	printf("ready %d failed %d seconds %.1f\n", opt.connections, failed, (double)(clock_mono_ms() - start) / 1000);
	fflush(stdout);
	(void)!read(STDIN_FILENO, &byte, 1);
	for (int i = 0; i < opt.connections; i++)
		closed += closed_by_server(fds[i]);
	printf("closed %d\n", closed);
	return failed || closed;
}
