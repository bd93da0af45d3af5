/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages that are to be woken, and how many of them at once. What comes new does not stand in this line at all; what is tried
 * again yields to it, so that a heap of deferred letters (a flush, a start) does not slow down who brings new ones: while more
 * than qmgr_retry_yield_rate new messages a second come, no more than qmgr_retry_yield_percent of these, or
 * qmgr_retry_minimum_rate a second where that is more, are woken, and as many handed out of those that are awake already: the
 * first new letter may find thousands of them in line for an agent. They never take more than half of the places of the awake.
 * What waited for a site that is back, and what was never looked at, does not yield.
 */
#include "lib/base/clock.h"
#include "lib/conf/conf.h"
#include "qmgr/qmgr.h"

/*
 * Rates are per second, counted in windows. These two are not parameters: a window is short for somebody who waits for an answer
 * and long enough for a handful of letters, and a load is what a round of events may cost before new mail is looked at.
 */
enum { WINDOW_MS = 100, PUMP_LOADS = 200, RETRY_PLACES = 2 };

static struct list prompt = LIST_INIT(prompt), patient = LIST_INIT(patient);
static struct list yielding = LIST_INIT(yielding); /* dests */
static struct {
	int64_t begun_ms;
	unsigned came, came_before; /* new messages */
	unsigned woken, handed_out; /* of those that yield */
} window;
static struct loop_timer later;

static void turn_window(void)
{
	int64_t age = clock_mono_ms() - window.begun_ms;

	if (age < WINDOW_MS)
		return;
	window.came_before = age < 2 * WINDOW_MS ? window.came : 0;
	window.came = window.woken = window.handed_out = 0;
	window.begun_ms += age;
}

void ready_count_new(void)
{
	turn_window();
	window.came++;
}

static unsigned per_window(int64_t per_second)
{
	return (unsigned)((per_second * WINDOW_MS + 999) / 1000);
}

/* Have so many of those that yield been served in this window that the rest must wait? */
static bool enough(const unsigned *served)
{
	unsigned came, least = per_window(conf->qmgr_retry_minimum_rate), share;

	turn_window();
	came = window.came > window.came_before ? window.came : window.came_before;
	share = (unsigned)(came * conf->qmgr_retry_yield_percent / 100);
	return came > per_window(conf->qmgr_retry_yield_rate) && *served >= (share > least ? share : least);
}

static void wait_for_window(void)
{
	if (later.index == 0)
		loop_timer_set(qmgr_loop, &later, clock_deadline(WINDOW_MS / 4));
}

/* --- awake, and in line for an agent -------------------------------------------------------------------------------- */

bool ready_may_retry(void)
{
	return !enough(&window.handed_out);
}

void ready_count_retry(void)
{
	turn_window();
	window.handed_out++;
}

static void go_on(struct loop_timer *t)
{
	struct list_node *n;

	(void)t;
	while (ready_may_retry() && (n = list_first(&yielding)) != NULL) {
		list_remove(n);
		dest_update_ready(list_entry(n, struct dest, in_yielding));
	}
	if (!list_empty(&yielding))
		wait_for_window();
}

void ready_yield(struct dest *d)
{
	if (!list_linked(&d->in_yielding))
		list_append(&yielding, &d->in_yielding);
	later.fire = go_on;
	wait_for_window();
}

/* --- asleep --------------------------------------------------------------------------------------------------------- */

static struct message *next(void)
{
	size_t places = (size_t)conf->qmgr_message_active_limit;
	struct list_node *n = list_first(&prompt);
	struct message *m;

	if (message_awake_count() >= places)
		return NULL;
	if (n == NULL && (list_empty(&patient) || message_yielding_count() >= (places + 1) / RETRY_PLACES))
		return NULL;
	if (n == NULL && enough(&window.woken)) {
		later.fire = go_on;
		wait_for_window();
		return NULL;
	}
	m = list_entry(n ? n : list_first(&patient), struct message, in_ready);
	m->yields = n == NULL;
	window.woken += m->yields;
	list_remove(&m->in_ready);
	return m;
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
		struct message *m = next();

		if (m == NULL)
			return false;
		message_wake(m);
	}
	return true;
}
