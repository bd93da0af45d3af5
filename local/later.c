/* SPDX-License-Identifier: BSD-2-Clause */
#include "local/later.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"

enum { BOXES_MAX = 256, TELL_MS = 5000 };

struct waiting {
	char id[QUEUE_ID_MAX];
	struct queue_place place;
};

struct box {
	struct deliver_file file;
	int fd;
	char *path;
	struct waiting *letters;
	size_t n;
};

static struct box boxes[BOXES_MAX];
static size_t nboxes, nletters;
static int64_t deadline_ms = CLOCK_NEVER;

bool later_allowed(void)
{
	return conf->mailbox_sync_interval_ms > 0 && nboxes < BOXES_MAX;
}

int64_t later_deadline(void)
{
	return deadline_ms;
}

static struct box *box_of(const struct deliver_file *file)
{
	for (size_t i = nboxes; i-- > 0;) /* the one wanted is mostly the newest */
		if (boxes[i].file.dev == file->dev && boxes[i].file.ino == file->ino)
			return &boxes[i];
	return NULL;
}

bool later_wants(const struct deliver_file *file)
{
	return box_of(file) == NULL;
}

void later_add(const char *path, const struct deliver_wait *w, const struct job_message *m)
{
	struct box *b = box_of(&w->file);
	struct waiting *l;

	if (b == NULL) {
		b = &boxes[nboxes++];
		*b = (struct box){ w->file, w->fd, mem_strdup(path), NULL, 0 };
	}
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
		struct job_control c = { JOB_VERB_UNDELIVERED, span_cstr(b->letters[i].id) };

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
	/* All of them on their way first: then one commit of the journal is for all. What this reports, fdatasync does. */
	for (size_t i = 0; i < nboxes && nboxes > 1; i++)
		(void)sync_file_range(boxes[i].fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	for (size_t i = 0; i < nboxes; i++)
		sync_box(&boxes[i]);
	nboxes = nletters = 0;
	deadline_ms = CLOCK_NEVER;
}

void later_run(void)
{
	if (nletters > JOB_KEPT_MAX || nboxes == BOXES_MAX || clock_mono_ms() >= deadline_ms)
		later_sync();
}
