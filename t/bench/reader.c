/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lean IMAP and POP3 client that measures one thing: it costs a small part of what a server does.
 *
 *	reader fill mbox|maildir PATH COUNT BYTES	make a mailbox as other programs leave it
 *	reader imap PORT USER PASSWORD STEP COUNT	log in, run the step, print its seconds and the octets that came
 *	reader pop3 PORT USER PASSWORD STEP COUNT
 *
 * STEP of imap: select, flags, envelope, bodies, search-body, search-subject, append, store, unstore, delete, expunge.
 * Of pop3: list, retr.
 * The server is at the address in $READER_ADDRESS. COUNT: how many letters there are. What is measured begins after the login
 * (select, flags) or after the SELECT, and ends with the tagged reply; of POP3 it begins with PASS.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { IN_MAX = 1 << 18, APPENDS = 1000, APPEND_BYTES = 4096, RETR_BATCH = 200 };

static int fd;
static char in[IN_MAX];
static unsigned long long received;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}

/* --- letters -------------------------------------------------------------------------------------------------------- */

/* Every third one has two parts; every hundredth says "needle" in its body and every tenth "report" in its subject. */
static size_t letter(char *to, size_t room, unsigned n, size_t bytes)
{
	bool parts = n % 3 == 0;
	int len = snprintf(to, room,
			   "Return-Path: <writer%u@example.com>\nReceived: from mx%u.example.com (mx%u.example.com [192.0.2.%u])\n"
			   "\tby mail.example.org (Posthouse) with ESMTPS id %08X\n\tfor <reader@example.org>; Tue, 24 Nov 2026 04:%02u:%02u +0000\n"
			   "Date: Tue, 24 Nov 2026 04:%02u:%02u +0000\nFrom: \"Writer %u\" <writer%u@example.com>\n"
			   "To: Reader <reader@example.org>, Second Reader <second@example.org>\nCc: list-%u@lists.example.net\n"
			   "Subject: %s number %u of the season\nMessage-ID: <%u.%08x@example.com>\nIn-Reply-To: <%u.%08x@example.com>\n"
			   "References: <%u.%08x@example.com>\nMIME-Version: 1.0\n",
			   n % 97, n % 7, n % 7, n % 250, n, n / 60 % 60, n % 60, n / 60 % 60, n % 60, n % 97, n % 97, n % 13,
			   n % 10 ? "Letter" : "Report", n, n, n * 2654435761u, n / 2, n / 2 * 2654435761u, n / 2, n / 2 * 2654435761u);
	size_t at = (size_t)len;

	at += (size_t)snprintf(to + at, room - at, parts ? "Content-Type: multipart/alternative; boundary=\"=_%08x\"\n\n--=_%08x\n"
							 "Content-Type: text/plain; charset=utf-8\n\n"
						       : "Content-Type: text/plain; charset=us-ascii\n\n", n, n);
	for (unsigned line = 0; at + 160 < bytes; line++) {
		if (parts && at > bytes / 2) {
			at += (size_t)snprintf(to + at, room - at, "\n--=_%08x\nContent-Type: text/html; charset=utf-8\n\n", n);
			parts = false;
		}
		at += (size_t)snprintf(to + at, room - at, "line %u of letter %u speaks of horses, roads and the %s weather\n", line, n,
				       n % 100 == 0 && line == 20 ? "needle" : "morning");
	}
	if (n % 3 == 0)
		at += (size_t)snprintf(to + at, room - at, "\n--=_%08x--\n", n);
	return at;
}

static void put(int to, const char *p, size_t n)
{
	if (write(to, p, n) != (ssize_t)n)
		die("write");
}

static void fill(const char *kind, const char *path, unsigned count, size_t bytes)
{
	static const char *const subs[] = { "", "/tmp", "/new", "/cur" };
	char *text = malloc(bytes + 4096), name[4096];
	int out = -1;

	for (size_t i = 0; i < 4 && strcmp(kind, "maildir") == 0; i++) {
		snprintf(name, sizeof name, "%s%s", path, subs[i]);
		mkdir(name, 0700);
	}
	if (strcmp(kind, "mbox") == 0 && (out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600)) < 0)
		die(path);
	for (unsigned n = 0; n < count; n++) {
		size_t head = 0, len;

		if (out < 0)
			snprintf(name, sizeof name, "%s/cur/1795492800.M%06uP1.bench:2,S", path, n);
		else
			head = (size_t)sprintf(text, "From writer@example.com Tue Nov 24 04:%02u:%02u 2026\n", n / 60 % 60, n % 60);
		len = head + letter(text + head, bytes + 3000, n, bytes);
		if (out >= 0) {
			text[len++] = '\n';
			put(out, text, len);
		} else {
			int one = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

			if (one < 0)
				die(name);
			put(one, text, len);
			close(one);
		}
	}
	free(text);
}

/* --- the connection ------------------------------------------------------------------------------------------------- */

static void dial(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const char *address = getenv("READER_ADDRESS");
	int one = 1;

	if (address != NULL && inet_pton(AF_INET, address, &to.sin_addr) != 1)
		die(address);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* Read until `times' ends have been seen; an end is these bytes, whatever stands in front of and behind them. */
static void await(const char *end, int times)
{
	size_t n = strlen(end), kept = 0;

	while (times > 0) {
		ssize_t got = read(fd, in + kept, sizeof in - kept);
		char *from = in, *hit;

		if (got <= 0)
			die("the server hung up");
		received += (unsigned long long)got;
		kept += (size_t)got;
		while (times > 0 && (hit = memmem(from, kept - (size_t)(from - in), end, n)) != NULL) {
			from = hit + n;
			times--;
		}
		kept -= (size_t)(from - in);
		if (kept >= n) {
			from += kept - (n - 1);
			kept = n - 1;
		}
		memmove(in, from, kept);
	}
}

static void say(const char *text)
{
	put(fd, text, strlen(text));
}

/* A command and its tagged OK. The tag is never part of a letter. */
static void imap(const char *command)
{
	static unsigned tag;
	char text[32];

	snprintf(text, sizeof text, "zq%u ", ++tag);
	say(text);
	say(command);
	say("\r\n");
	snprintf(text, sizeof text, "zq%u OK", tag);
	await(text, 1);
}

static void append_all(void)
{
	char *text = malloc(APPEND_BYTES * 2 + 4096), *letters = malloc(APPEND_BYTES + 4096), end[32];

	for (unsigned i = 0; i < APPENDS; i++) {
		size_t len = letter(letters, APPEND_BYTES + 3000, i, APPEND_BYTES), lines = 0, at;

		for (size_t j = 0; j < len; j++)
			lines += letters[j] == '\n';
		at = (size_t)sprintf(text, "ap%u APPEND INBOX (\\Seen) {%zu+}\r\n", i, len + lines);
		for (size_t j = 0; j < len; j++) {
			if (letters[j] == '\n')
				text[at++] = '\r';
			text[at++] = letters[j];
		}
		memcpy(text + at, "\r\n", 2);
		put(fd, text, at + 2);
		snprintf(end, sizeof end, "ap%u OK", i);
		await(end, 1);
	}
	free(text);
	free(letters);
}

/* count: how many there are; the command is some ten thousand octets long. */
static void delete_every_second(unsigned count)
{
	char *text = malloc(count * 4 + 100);
	size_t at = (size_t)sprintf(text, "STORE 1");

	for (unsigned i = 3; i <= count; i += 2)
		at += (size_t)sprintf(text + at, ",%u", i);
	sprintf(text + at, " +FLAGS.SILENT (\\Deleted)");
	imap(text);
	free(text);
}

static void imap_step(const char *step)
{
	if (strcmp(step, "append") == 0) {
		append_all();
	} else if (strcmp(step, "flags") == 0) {
		imap("FETCH 1:* (FLAGS)");
	} else if (strcmp(step, "envelope") == 0) {
		imap("FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE RFC822.SIZE)");
	} else if (strcmp(step, "bodies") == 0) {
		imap("FETCH 1:* (BODY.PEEK[])");
	} else if (strcmp(step, "search-body") == 0) {
		imap("SEARCH BODY needle");
	} else if (strcmp(step, "search-subject") == 0) {
		imap("SEARCH SUBJECT report");
	} else if (strcmp(step, "store") == 0) {
		imap("STORE 1:* +FLAGS.SILENT (\\Answered)");
		imap("CHECK");
	} else if (strcmp(step, "unstore") == 0) {
		imap("STORE 1:* -FLAGS.SILENT (\\Answered)");
		imap("CHECK");
	} else if (strcmp(step, "expunge") == 0) {
		imap("EXPUNGE");
	} else if (strcmp(step, "delete") == 0) {
		imap("CHECK");
	} else if (strcmp(step, "select") != 0) {
		fprintf(stderr, "reader: no such step: %s\n", step);
		exit(2);
	}
}

static void measure_imap(const char *user, const char *password, const char *step, unsigned count)
{
	bool selects = strcmp(step, "select") == 0 || strcmp(step, "flags") == 0;
	char text[256];
	int64_t start;

	await("* OK", 1);
	snprintf(text, sizeof text, "LOGIN %s %s", user, password);
	imap(text);
	start = now_us();
	if (strcmp(step, "append") != 0)
		imap("SELECT INBOX");
	if (strcmp(step, "expunge") == 0 || strcmp(step, "delete") == 0)
		delete_every_second(count);
	if (!selects)
		start = now_us();
	received = 0;
	imap_step(step);
	printf("%.6f %llu\n", (double)(now_us() - start) / 1e6, received);
	imap("LOGOUT");
}

static void retrieve_all(unsigned count)
{
	for (unsigned i = 1; i <= count; i += RETR_BATCH) {
		char text[RETR_BATCH * 16];
		unsigned n = 0;
		int at = 0;

		for (; n < RETR_BATCH && i + n <= count; n++)
			at += snprintf(text + at, sizeof text - (size_t)at, "RETR %u\r\n", i + n);
		say(text);
		await("\r\n.\r\n", (int)n);
	}
}

static void measure_pop3(const char *user, const char *password, const char *step, unsigned count)
{
	char text[256];
	int64_t start;

	await("+OK", 1);
	snprintf(text, sizeof text, "USER %s\r\n", user);
	say(text);
	await("+OK", 1);
	snprintf(text, sizeof text, "PASS %s\r\n", password);
	start = now_us(); /* opening the mailbox is part of the answer */
	say(text);
	await("+OK", 1);
	if (strcmp(step, "list") == 0) {
		say("STAT\r\n");
		await("+OK", 1);
		say("UIDL\r\n");
		await("\r\n.\r\n", 1);
	} else {
		retrieve_all(count);
	}
	printf("%.6f %llu\n", (double)(now_us() - start) / 1e6, received);
	say("QUIT\r\n");
	while (read(fd, in, sizeof in) > 0)
		continue;
}

int main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "fill") == 0) {
		fill(argv[2], argv[3], (unsigned)atoi(argv[4]), (size_t)atoi(argv[5]));
		return 0;
	}
	if (argc != 7 || (strcmp(argv[1], "imap") != 0 && strcmp(argv[1], "pop3") != 0)) {
		fprintf(stderr, "usage: reader fill mbox|maildir PATH COUNT BYTES\n"
				"       reader imap|pop3 PORT USER PASSWORD STEP COUNT\n");
		return 2;
	}
	dial(atoi(argv[2]));
	if (strcmp(argv[1], "imap") == 0)
		measure_imap(argv[3], argv[4], argv[5], (unsigned)atoi(argv[6]));
	else
		measure_pop3(argv[3], argv[4], argv[5], (unsigned)atoi(argv[6]));
	return 0;
}
