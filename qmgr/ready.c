/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages that are to be woken, and how many of them at once. What is announced goes on at once while there is a place among the
 * awake (qmgr_message_active_limit), and is the first to get one else.
 *
 *	line     who stands in it                                       a place                   yields to new mail
 *	NEW      announced when all places were taken                   those that are left       -
 *	PROMPT   never looked at, or its site is back                   half of them              no
 *	PATIENT  tried before: its pause is over, or a flush            half of them              yes
 *
 * What yields must not slow down who brings new mail: while more than qmgr_retry_yield_rate new messages a second come, no
 * more of it is woken, and handed out of what is awake already (the first new letter may find thousands of them in line for an
 * agent), than qmgr_retry_yield_percent of the new ones, or what is left of qmgr_retry_total_rate when they are counted, or
 * qmgr_retry_minimum_rate a second; whichever is the most.
 *
 * And no line stands still while another one moves, however much new mail there is: one in so many places, and of the messages
 * for one destination one in so many, are for what yields, as many as qmgr_retry_yield_percent says.
 */
#include "lib/base/clock.h"
#include "lib/conf/conf.h"
#include "qmgr/qmgr.h"

/*
 * Rates are per second, counted in windows. These are not parameters: a window is short for somebody who waits for an answer and
 * long enough for a handful of letters, a load is what a round of events may cost before new mail is looked at, and half of the
 * places keep all agents at work.
 */
enum { WINDOW_MS = 100, PUMP_LOADS = 50, OLD_PLACES = 2 };

static struct list lines[] = { LIST_INIT(lines[READY_NEW]), LIST_INIT(lines[READY_PROMPT]), LIST_INIT(lines[READY_PATIENT]) };
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

/* Of those that yield, in a window in which so many new ones came. */
static unsigned allowance(unsigned came)
{
	unsigned total = per_window(conf->qmgr_retry_total_rate), most = per_window(conf->qmgr_retry_minimum_rate);
	unsigned share = (unsigned)(came * conf->qmgr_retry_yield_percent / 100);

	if (most < share)
		most = share;
	return total > came && total - came > most ? total - came : most;
}

/* Have so many of those that yield been served in this window that the rest must wait? */
static bool enough(const unsigned *served)
{
	unsigned came;

	turn_window();
	came = window.came > window.came_before ? window.came : window.came_before;
	return came > per_window(conf->qmgr_retry_yield_rate) && *served >= allowance(came);
}

/* Percent of what does not yield: at least one, at most as many. */
static unsigned percent(void)
{
	int64_t p = conf->qmgr_retry_yield_percent;

	return p < 1 ? 1 : p > 100 ? 100 : (unsigned)p;
}

bool ready_turn_of_retry(unsigned *owed)
{
	if (*owed >= 100) {
		*owed -= 100;
		return true;
	}
	*owed += percent();
	return false;
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

static size_t places(void)
{
	return (size_t)conf->qmgr_message_active_limit;
}

/* Places that new mail leaves to what is not new, while some of that stands in line. */
static size_t reserved(void)
{
	size_t share = places() * percent() / (100 + percent());

	if (list_empty(&lines[READY_PROMPT]) && list_empty(&lines[READY_PATIENT]))
		return 0;
	if (share == 0)
		share = places() > 1;
	return share > message_old_count() ? share - message_old_count() : 0;
}

bool ready_place_for_new(void)
{
	return list_empty(&lines[READY_NEW]) && message_awake_count() + reserved() < places();
}

bool ready_new_waits(void)
{
	return !list_empty(&lines[READY_NEW]);
}

static bool may_go(enum ready_line line)
{
	if (list_empty(&lines[line]))
		return false;
	if (line == READY_NEW)
		return message_awake_count() + reserved() < places();
	if (message_awake_count() >= places() || message_old_count() >= (places() + 1) / OLD_PLACES)
		return false;
	if (line == READY_PROMPT || !enough(&window.woken))
		return true;
	later.fire = go_on;
	wait_for_window();
	return false;
}

static struct list *next_line(void)
{
	static unsigned owed;
	static bool prompt_had_turn;
	bool new = may_go(READY_NEW), prompt = may_go(READY_PROMPT);

	if (may_go(READY_PATIENT) && ((!new && !prompt) || ready_turn_of_retry(&owed)))
		return &lines[READY_PATIENT];
	if (prompt && new)
		prompt_had_turn = !prompt_had_turn;
	if (prompt && (!new || prompt_had_turn))
		return &lines[READY_PROMPT];
	return new ? &lines[READY_NEW] : NULL;
}

static struct message *next(void)
{
	struct list *line = next_line();
	struct message *m;

	if (line == NULL)
		return NULL;
	m = list_entry(list_first(line), struct message, in_ready);
	list_remove(&m->in_ready);
	window.woken += m->line == READY_PATIENT;
	return m;
}

void ready_add(struct message *m, enum ready_line line)
{
	if (list_linked(&m->in_ready) && m->line <= line)
		return;
	list_remove(&m->in_ready); /* it may have been patient until now */
	m->line = line;
	list_append(&lines[line], &m->in_ready);
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
