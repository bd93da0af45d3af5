/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages that are to be woken, and how many of them at once. What comes new does not stand in this line at all; what is tried
 * again yields to it: while much mail comes in, no more than a share of that is woken, so that a heap of deferred letters (a flush,
 * a start) does not slow down who brings new ones. What waited for a site that is back, and what was never looked at, does not
 * yield.
 */
#include <limits.h>

#include "lib/base/clock.h"
#include "lib/conf/conf.h"
#include "qmgr/qmgr.h"

enum {
	PUMP_LOADS = 200,
	WINDOW_MS = 100,
	MUCH = 50,   /* new messages in a window */
	SHARE = 10,  /* for so many new ones one other */
	LEAST = 25,  /* but as many in a window: a million in about an hour */
};

static struct list prompt = LIST_INIT(prompt), patient = LIST_INIT(patient);
static struct {
	int64_t begun_ms;
	unsigned came, came_before, woken;
} window;
static struct loop_timer later;

static void turn_window(void)
{
	int64_t age = clock_mono_ms() - window.begun_ms;

	if (age < WINDOW_MS)
		return;
	window.came_before = age < 2 * WINDOW_MS ? window.came : 0;
	window.came = window.woken = 0;
	window.begun_ms += age;
}

void ready_count_new(void)
{
	turn_window();
	window.came++;
}

static bool may_wake_patient(void)
{
	unsigned limit;

	turn_window();
	if (window.came_before < MUCH)
		return true;
	limit = window.came_before / SHARE;
	return window.woken < (limit > LEAST ? limit : LEAST);
}

static void nothing(struct loop_timer *t)
{
	(void)t;
}

static struct list_node *next(void)
{
	struct list_node *n = list_first(&prompt);

	if (n || list_empty(&patient))
		return n;
	if (may_wake_patient()) {
		window.woken++;
		return list_first(&patient);
	}
	if (later.index == 0) {
		later.fire = nothing;
		loop_timer_set(qmgr_loop, &later, clock_deadline(WINDOW_MS / 4));
	}
	return NULL;
}

void ready_add(struct message *m, bool yields)
{
	if (list_linked(&m->in_ready) && yields)
		return;
	list_remove(&m->in_ready); /* it may have been patient until now */
	list_append(yields ? &patient : &prompt, &m->in_ready);
}

bool ready_pump(void)
{
	for (int i = 0; i < PUMP_LOADS; i++) {
		struct list_node *n;

		if (message_awake_count() >= (size_t)conf->qmgr_message_active_limit || (n = next()) == NULL)
			return false;
		list_remove(n);
		message_wake(list_entry(n, struct message, in_ready));
	}
	return true;
}
