/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Destinations. While a site is down its tasks go back to sleep at once and wait for it together, and one cheap probe is
 * made at a time, first after site_probe_time, then at doubling pauses up to maximal_site_probe_time; but not over
 * crowded_site_probe_time when site_crowd_limit messages wait, or when the site is down for less than an OUTAGE_SHARE-th would
 * be. The first success wakes all that wait.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "qmgr/qmgr.h"

/*
 * OUTAGE_SHARE: who has been away for an hour is not missed for one minute more. FORGET_MS: what an unused destination is kept
 * for costs memory only. PROBE_REST: no site is probed all the time, also when a probe takes longer than the pause between two.
 * None of them is worth a parameter.
 */
enum { FORGET_MS = 60 * 1000, OUTAGE_SHARE = 60, PROBE_REST = 8, LONG_PROBE = 8 };

static void probe_timer(struct loop_timer *timer);
static void rest_over(struct loop_timer *timer);

struct dest *dest_get(struct transport *t, struct span key, struct span nexthop)
{
	struct dest *d = htab_get(&t->dests, key);

	if (d)
		return d;
	d = mem_zalloc(sizeof *d);
	d->transport = t;
	d->key = span_of(mem_strndup(key.ptr, key.len), key.len);
	d->nexthop = span_of(mem_strndup(nexthop.ptr, nexthop.len), nexthop.len);
	d->window = t->initial;
	d->probe.fire = probe_timer;
	d->rest.fire = rest_over;
	list_init(&d->tasks);
	list_init(&d->retries);
	list_init(&d->waiters);
	htab_put(&t->dests, d->key, d);
	return d;
}

static void forget(struct dest *d)
{
	list_remove(&d->at_home);
	list_remove(&d->in_yielding);
	loop_timer_del(qmgr_loop, &d->rest);
	htab_del(&d->transport->dests, d->key);
	free((char *)(uintptr_t)d->key.ptr);
	free((char *)(uintptr_t)d->nexthop.ptr);
	free(d);
}

static bool unused(const struct dest *d)
{
	return d->state == DEST_UP && d->ntasks == 0 && d->busy == 0 && list_empty(&d->waiters) &&
	       d->rest_until_ms <= clock_mono_ms();
}

/* --- handing out -------------------------------------------------------------------------------------------------- */

bool dest_rests(struct dest *d)
{
	const struct transport *t = d->transport;

	if (d->rest_until_ms == 0 || (t->dest_delay_ms == 0 && d->ntasks >= t->batch) || d->rest_until_ms <= clock_mono_ms())
		return false;
	if (d->rest.index == 0)
		loop_timer_set(qmgr_loop, &d->rest, d->rest_until_ms);
	return true;
}

/* Letters for this mailbox go on coming: opening and locking it is most of the work, so it is done for more of them. */
static void gather_on(struct dest *d)
{
	int64_t until = clock_deadline(d->transport->gather_ms);

	if (d->ntasks > 1 && d->ntasks > d->gathered && until <= d->gather_until_ms)
		d->rest_until_ms = until;
	d->gathered = d->ntasks;
}

static void rest_over(struct loop_timer *timer)
{
	struct dest *d = list_entry(timer, struct dest, rest);

	gather_on(d);
	dest_update_ready(d);
	transport_run(d->transport);
}

static bool wants_agent(struct dest *d)
{
	if (d->state != DEST_UP || d->ntasks == 0 || d->busy >= d->window || dest_rests(d))
		return false;
	/* What fits into the next job of an agent that is at work is not worth a second one: same lock, same mailbox. */
	if (d->busy > 0 && d->transport->batch > 1 && d->ntasks <= d->transport->batch)
		return false;
	if (dest_has_turn(d))
		return true;
	ready_yield(d);
	return false;
}

void dest_update_ready(struct dest *d)
{
	if (wants_agent(d)) {
		loop_timer_del(qmgr_loop, &d->probe);
		list_remove(&d->in_yielding);
		if (!list_linked(&d->in_ready))
			list_append(&d->transport->ready, &d->in_ready);
	} else {
		list_remove(&d->in_ready);
		if (unused(d) && d->probe.index == 0)
			loop_timer_set(qmgr_loop, &d->probe, clock_deadline(FORGET_MS));
	}
}

/* Notices are few, and what they tell of is old enough. */
static struct list *line_of(struct dest *d, const struct task *t)
{
	return t->message->line == READY_PATIENT && t->kind == JOB_DELIVER ? &d->retries : &d->tasks;
}

void dest_add_task(struct dest *d, struct task *t)
{
	t->dest = d;
	list_append(line_of(d, t), &t->in_dest);
	d->ntasks++;
	dest_update_ready(d);
}

bool dest_has_turn(const struct dest *d)
{
	return !list_empty(&d->tasks) || (!list_empty(&d->retries) && ready_may_retry());
}

static struct task *take_first(struct dest *d, struct list *line)
{
	struct list_node *n = list_first(line);

	if (n == NULL)
		return NULL;
	list_remove(n);
	d->ntasks--;
	return list_entry(n, struct task, in_dest);
}

/* New mail goes first, but for one turn in so many. */
static struct list *line_in_turn(struct dest *d)
{
	if (list_empty(&d->retries) || !ready_may_retry())
		return &d->tasks;
	if (list_empty(&d->tasks) || ready_turn_of_retry(&d->owed))
		return &d->retries;
	return &d->tasks;
}

struct task *dest_take_task(struct dest *d)
{
	struct list *line = line_in_turn(d);
	struct task *t = take_first(d, line);

	if (t && line == &d->retries)
		ready_count_retry();
	return t;
}

void dest_give_back_task(struct dest *d, struct task *t, bool first)
{
	if (first)
		list_prepend(line_of(d, t), &t->in_dest);
	else
		list_append(line_of(d, t), &t->in_dest);
	d->ntasks++;
}

/* --- up and down -------------------------------------------------------------------------------------------------- */

void dest_succeeded(struct dest *d)
{
	if (d->window < d->transport->dest_limit)
		d->window++;
}

static bool many_wait(const struct dest *d)
{
	unsigned n = 0;

	list_for_each(w, &d->waiters)
		if (++n >= (unsigned)conf->site_crowd_limit)
			return true;
	return false;
}

static int64_t longest_pause_ms(const struct dest *d)
{
	int64_t longest = many_wait(d) ? 0 : (clock_mono_ms() - d->down_since_ms) / OUTAGE_SHARE;

	if (longest < conf->crowded_site_probe_time_ms)
		longest = conf->crowded_site_probe_time_ms;
	if (longest < conf->site_probe_time_ms)
		longest = conf->site_probe_time_ms;
	return longest < conf->maximal_site_probe_time_ms ? longest : conf->maximal_site_probe_time_ms;
}

static int64_t probe_pause_ms(const struct dest *d)
{
	int64_t pause = conf->site_probe_time_ms, longest = longest_pause_ms(d);

	for (unsigned i = 0; i < d->probes && pause < longest; i++)
		pause *= 2;
	if (pause > longest)
		pause = longest;
	return pause - pause / 8 + random() % (pause / 4 + 1);
}

void dest_suspend_tasks(struct dest *d)
{
	struct task *t;

	while ((t = take_first(d, list_empty(&d->tasks) ? &d->retries : &d->tasks)) != NULL) {
		struct arena *a = &t->message->awake->arena;
		struct verdict v = verdict_make(a, "4.4.1", "delivery temporarily suspended: %s", d->reason);

		if (t->kind != JOB_DELIVER)
			message_notice_failed(t->message);
		for (; t->next < t->nrcpts; t->next++)
			if (t->kind == JOB_DELIVER)
				message_verdict(t->message, t->rcpts[t->next], v);
		dest_wait(d, t->message);
		if (t->in_flight == 0)
			message_task_done(t);
	}
	dest_update_ready(d);
}

void dest_failed(struct dest *d, struct span reason)
{
	snprintf(d->reason, sizeof d->reason, SPAN_FMT, SPAN_ARG(reason));
	if (d->state == DEST_UP) {
		d->state = DEST_DOWN;
		d->probes = 0;
		d->down_since_ms = clock_mono_ms();
		loop_timer_set(qmgr_loop, &d->probe, clock_deadline(probe_pause_ms(d)));
	}
	d->window = d->transport->initial;
	dest_suspend_tasks(d);
}

void dest_wait(struct dest *d, struct message *m)
{
	struct wait *w;

	list_for_each(n, &m->waits)
		if (list_entry(n, struct wait, in_message)->dest == d)
			return;
	w = mem_zalloc(sizeof *w);
	w->message = m;
	w->dest = d;
	list_append(&m->waits, &w->in_message);
	list_append(&d->waiters, &w->in_dest);
}

void dest_release_waiters(struct dest *d)
{
	struct list_node *n;

	while ((n = list_first(&d->waiters)) != NULL) {
		struct wait *w = list_entry(n, struct wait, in_dest);
		struct message *m = w->message;

		list_remove(&w->in_dest);
		list_remove(&w->in_message);
		free(w);
		m->released = true;
		message_wake_now(m, false);
	}
}

static void recover(struct dest *d)
{
	log_info("destination " SPAN_FMT " is back: its mail is released", SPAN_ARG(d->key));
	d->state = DEST_UP;
	d->probes = 0;
	d->recovered_us = clock_wall_us();
	loop_timer_del(qmgr_loop, &d->probe);
	dest_release_waiters(d);
	dest_update_ready(d);
}

void dest_probe_result(struct dest *d, bool down, struct span reason)
{
	int64_t pause, at, rest;

	d->probing = false;
	if (d->state == DEST_UP)
		return;
	if (!down) {
		recover(d);
		return;
	}
	if (reason.len)
		snprintf(d->reason, sizeof d->reason, SPAN_FMT, SPAN_ARG(reason));
	d->probes++;
	if (list_empty(&d->waiters)) { /* nobody waits any more (deleted, expired): do not bother the site */
		d->state = DEST_UP;
		dest_update_ready(d);
		return;
	}
	/* Counted from the beginning of this one: it may have waited long for nothing. */
	pause = probe_pause_ms(d);
	at = d->probed_ms + pause;
	rest = clock_deadline(pause / PROBE_REST);
	loop_timer_set(qmgr_loop, &d->probe, at > rest ? at : rest);
}

/*
 * A site that is slow to take connections would never count as back: the 8th, 16th, 32nd... probe in vain is followed by one that
 * waits as long as a delivery does.
 */
bool dest_probe_is_long(const struct dest *d)
{
	return d->probes >= LONG_PROBE && (d->probes & (d->probes - 1)) == 0;
}

void dest_probe_now(struct dest *d)
{
	if (d->state == DEST_DOWN && !d->probing) {
		loop_timer_del(qmgr_loop, &d->probe);
		d->probing = true;
		d->probed_ms = clock_mono_ms();
		transport_probe(d->transport, d);
	}
}

static void probe_timer(struct loop_timer *timer)
{
	struct dest *d = list_entry(timer, struct dest, probe);

	if (d->state == DEST_DOWN)
		dest_probe_now(d);
	else if (unused(d))
		forget(d);
}
