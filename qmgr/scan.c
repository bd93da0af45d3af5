/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scan: which messages are on disk that nobody told us of. At start that is all of them; later those whose enqueuer died
 * between making them durable and announcing them. Ids are collected at once (a directory listing), messages are read bit by bit
 * between other work.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "qmgr/qmgr.h"

enum { STEP = 500, RETRY_MS = 10 * 1000, WORKERS_MS = 30 * 1000, WORKERS_POLL_MS = 50 };

struct found {
	char id[QUEUE_ID_MAX];
	struct queue_place place;
};

static struct found *found;
static size_t nfound, capacity, next;
static bool begun; /* a directory listing was had at least once */
static struct loop_timer timer;
static int64_t scanned_us; /* wall: when a directory listing was over */

static bool collect(const char *id, const struct queue_place *place, void *arg)
{
	(void)arg;
	if (message_find(span_cstr(id)) || kept_by_agent(id))
		return true;
	if (nfound == capacity) {
		capacity = capacity ? 2 * capacity : 1024;
		found = mem_realloc_array(found, capacity, sizeof *found);
	}
	memset(&found[nfound], 0, sizeof *found);
	memcpy(found[nfound].id, id, strlen(id));
	found[nfound++].place = *place;
	return true;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct found *)a)->id, ((const struct found *)b)->id);
}

/* A worker of an earlier qmgr may still be delivering what is on disk: it writes down what it did when it is done. */
static bool wait_for_workers(void)
{
	static int64_t give_up_ms;

	if (queue_work_over())
		return false;
	if (give_up_ms == 0)
		give_up_ms = clock_deadline(WORKERS_MS);
	if (clock_mono_ms() >= give_up_ms) {
		log_warn("delivery agents of an earlier queue manager are still at work: some mail may be delivered twice");
		return false;
	}
	loop_timer_set(qmgr_loop, &timer, clock_deadline(WORKERS_POLL_MS));
	return true;
}

static void begin(struct loop_timer *t)
{
	static bool first = true;

	(void)t;
	if (first && wait_for_workers())
		return;
	first = false;
	if (queue_scan(collect, NULL) < 0) {
		log_error("cannot scan the queue: %m");
		scan_start(RETRY_MS);
	} else {
		begun = true;
	}
	scanned_us = clock_wall_us();
	if (nfound)
		qsort(found, nfound, sizeof *found, by_id); /* the oldest first */
}

void scan_start(int64_t delay_ms)
{
	int64_t at = clock_deadline(delay_ms);

	timer.fire = begin;
	if (timer.index == 0 || at < timer.at_ms)
		loop_timer_set(qmgr_loop, &timer, at);
}

bool scan_may_have_found(const char *id)
{
	return queue_id_time_us(id) <= scanned_us;
}

bool scan_complete(void)
{
	return begun && next == nfound;
}

bool scan_step(void)
{
	for (int i = 0; i < STEP && next < nfound; i++, next++)
		message_add(found[next].id, &found[next].place, NULL);
	if (next < nfound)
		return true;
	free(found);
	found = NULL;
	nfound = capacity = next = 0;
	return false;
}
