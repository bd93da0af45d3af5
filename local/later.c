/* SPDX-License-Identifier: BSD-2-Clause */
#include "local/later.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"

enum { BOXES_MAX = 256, LETTERS_MAX = 4096, TELL_MS = 5000 };

struct waiting {
	char id[QUEUE_ID_MAX];
	struct queue_place place;
};

struct box {
	dev_t dev;
	ino_t ino;
	int fd;
	char *path;
	struct waiting *letters;
	size_t n;
};

static struct box boxes[BOXES_MAX];
static size_t nboxes, nletters;
static struct box *last;
static int64_t deadline_ms = CLOCK_NEVER;

bool later_allowed(void)
{
	return conf->mailbox_sync_interval_ms > 0;
}

int64_t later_deadline(void)
{
	return deadline_ms;
}

/* The box of this file; the descriptor that is not needed is closed. */
static struct box *box_of(const char *path, int fd)
{
	struct stat st = { 0 };

	if (fstat(fd, &st) < 0)
		log_warn("%s: %m", path);
	for (size_t i = 0; i < nboxes; i++)
		if (boxes[i].dev == st.st_dev && boxes[i].ino == st.st_ino) {
			close(fd);
			return &boxes[i];
		}
	if (nboxes == BOXES_MAX)
		later_sync();
	boxes[nboxes] = (struct box){ st.st_dev, st.st_ino, fd, mem_strdup(path), NULL, 0 };
	return &boxes[nboxes++];
}

void later_add(const char *path, int fd, const struct job_message *m)
{
	struct box *b = fd < 0 ? last : box_of(path, fd);
	struct waiting *l;

	last = b;
	if (b->n % 16 == 0)
		b->letters = mem_realloc_array(b->letters, b->n + 16, sizeof *b->letters);
	l = &b->letters[b->n++];
	memcpy(l->id, m->id, sizeof l->id);
	l->place = m->place;
	if (nletters++ == 0)
		deadline_ms = clock_deadline(conf->mailbox_sync_interval_ms);
}

/* The mailbox could not be made durable, and qmgr has been told that the letters are delivered: have it find them again. */
static void deliver_again(const struct box *b)
{
	int fd = frame_connect("public/qmgr", clock_deadline(TELL_MS));
	struct buf frame;

	buf_init(&frame, FRAME_MAX);
	for (size_t i = 0; fd >= 0 && i < b->n; i++) {
		struct job_control c = { JOB_VERB_CHANGED, span_cstr(b->letters[i].id) };

		if (!job_put_control(&frame, &c) || frame_send(fd, buf_span(&frame), -1, clock_deadline(TELL_MS)) != IO_OK)
			break;
	}
	buf_free(&frame);
	if (fd >= 0)
		close(fd);
}

static void sync_box(struct box *b)
{
	bool durable = fdatasync(b->fd) == 0;

	if (!durable) {
		log_error("%s: cannot be made durable: %m; %zu letters are delivered again", b->path, b->n);
		deliver_again(b);
	}
	for (size_t i = 0; durable && i < b->n; i++)
		if (queue_remove(b->letters[i].id, &b->letters[i].place) < 0)
			log_warn("%s: cannot remove the delivered message: %m", b->letters[i].id);
	close(b->fd);
	free(b->path);
	free(b->letters);
}

void later_sync(void)
{
	for (size_t i = 0; i < nboxes; i++)
		sync_box(&boxes[i]);
	nboxes = nletters = 0;
	last = NULL;
	deadline_ms = CLOCK_NEVER;
}

void later_run(void)
{
	if (nletters >= LETTERS_MAX || clock_mono_ms() >= deadline_ms)
		later_sync();
}
