/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fill a queue with deferred letters, past all programs: fill QUEUE_DIRECTORY COUNT BYTES [DOMAIN [RCPTS [TRIED_S]]].
 * The instance is stopped. Recipients are uN@DOMAIN (dead.test), or uN@dK.DOMAIN of 1000 domains when DOMAIN begins
 * with a dot; each was tried once, up to TRIED_S (1000) seconds ago. Nothing is synced.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/queue/format.h"
#include "lib/queue/place.h"

enum { DOMAINS = 1000, FILE_MAX = 64 * 1024 * 1024 };

struct plan {
	size_t bytes, nrcpts;
	const char *domain;
	long tried_s;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void make_rcpts(const struct plan *p, struct arena *a, struct queue_rcpt *rcpts, size_t n)
{
	for (size_t i = 0; i < p->nrcpts; i++) {
		char *text = p->domain[0] == '.' ? arena_printf(a, "u%zu@d%zu%s", n + i, n % DOMAINS, p->domain)
						 : arena_printf(a, "u%zu@%s", n + i, p->domain);

		rcpts[i] = (struct queue_rcpt){ .address = span_cstr(text) };
	}
}

static void put_journal(struct buf *file, const struct plan *p)
{
	int64_t at = clock_wall_us() - 1000000 * (random() % (p->tried_s + 1));

	for (size_t i = 0; i < p->nrcpts; i++) {
		struct queue_journal_entry e = { QUEUE_REC_DEFERRED, (uint32_t)i, "4.4.1", SPAN_NONE, SPAN_NONE };

		e.reason = SPAN("connect to mx.dead.test[192.0.2.1]:25: Connection refused");
		format_put_record(file, &e, at);
	}
}

static void write_file(const char *id, struct span bytes)
{
	int dir = place_dir(id);
	int fd = dir < 0 ? -1 : openat(dir, id, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes.ptr, bytes.len) != (ssize_t)bytes.len)
		die(id);
	close(fd);
}

static void make_letter(const struct plan *p, size_t n, struct span content, struct buf *envelope, struct buf *file)
{
	struct arena a = ARENA_INIT;
	struct queue_rcpt *rcpts = arena_array(&a, p->nrcpts, sizeof *rcpts);
	struct queue_envelope env = { .sender = SPAN("sender@example.test"), .rcpts = rcpts, .nrcpts = p->nrcpts };
	struct format_header h = { 0 };
	char header[FORMAT_HEADER_BYTES];

	queue_new_id(env.id);
	env.arrival_us = clock_wall_us() - 3600000000;
	env.size = content.len;
	make_rcpts(p, &a, rcpts, n);
	buf_reset(envelope);
	format_put_envelope(envelope, &env);
	h.envelope_len = (uint32_t)envelope->len;
	h.envelope_crc = format_crc(0, buf_span(envelope));
	h.content_len = content.len;
	h.content_crc = format_crc(0, content);
	format_put_header(header, &h);
	buf_reset(file);
	buf_add(file, header, sizeof header);
	buf_add_span(file, buf_span(envelope));
	buf_add_span(file, content);
	put_journal(file, p);
	write_file(env.id, buf_span(file));
	arena_free(&a);
}

static struct span make_content(size_t bytes)
{
	char *text = mem_alloc(bytes);

	for (size_t i = 0; i < bytes; i++)
		text[i] = i % 72 == 71 || i + 1 == bytes ? '\n' : (char)('a' + i % 26);
	memcpy(text, "Subject: x\n\n", bytes < 12 ? bytes : 12);
	return span_of(text, bytes);
}

int main(int argc, char **argv)
{
	struct plan p = { 4096, 1, "dead.test", 1000 };
	struct buf envelope, file;
	struct span content;
	size_t count;

	if (argc < 4 || chdir(argv[1]) < 0 || queue_prepare() < 0)
		die("fill QUEUE_DIRECTORY COUNT BYTES [DOMAIN [RCPTS [TRIED_S]]]");
	count = strtoul(argv[2], NULL, 10);
	p.bytes = strtoul(argv[3], NULL, 10);
	p.domain = argc > 4 ? argv[4] : p.domain;
	p.nrcpts = argc > 5 ? strtoul(argv[5], NULL, 10) : 1;
	p.tried_s = argc > 6 ? atol(argv[6]) : p.tried_s;
	content = make_content(p.bytes);
	buf_init(&envelope, FORMAT_ENVELOPE_MAX);
	buf_init(&file, FILE_MAX);
	for (size_t n = 0; n < count; n++)
		make_letter(&p, n, content, &envelope, &file);
	buf_free(&envelope);
	buf_free(&file);
	free((char *)(uintptr_t)content.ptr);
	return 0;
}
