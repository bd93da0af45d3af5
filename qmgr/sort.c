/* SPDX-License-Identifier: BSD-2-Clause */
#include "qmgr/sort.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/queue/verify.h"
#include "lib/route/route.h"

void sort_copy_envelope(struct arena *a, const struct queue_envelope *from, struct queue_envelope *to)
{
	*to = *from;
	to->sender = arena_span(a, from->sender);
	to->envid = arena_span(a, from->envid);
	to->client = SPAN_NONE; /* nobody here asks for it */
	to->sasl_user = SPAN_NONE;
	to->filter = arena_span(a, from->filter);
	to->verp = arena_span(a, from->verp);
	to->rcpts = arena_array(a, from->nrcpts ? from->nrcpts : 1, sizeof *to->rcpts);
	for (size_t i = 0; i < from->nrcpts; i++) {
		to->rcpts[i] = from->rcpts[i];
		to->rcpts[i].address = arena_span(a, from->rcpts[i].address);
		to->rcpts[i].original = arena_span(a, from->rcpts[i].original);
		to->rcpts[i].orcpt = arena_span(a, from->rcpts[i].orcpt);
		to->rcpts[i].reason = arena_span(a, from->rcpts[i].reason);
		to->rcpts[i].relay = SPAN_NONE;
	}
}

/* --- when --------------------------------------------------------------------------------------------------------- */

static int64_t lifetime_us(const struct queue_envelope *env)
{
	return 1000 * (env->sender.len ? conf->maximal_queue_lifetime_ms : conf->bounce_queue_lifetime_ms);
}

static bool expired(const struct queue_envelope *env)
{
	return env->expired || clock_wall_us() - env->arrival_us >= lifetime_us(env);
}

/* minimal_backoff_time after the first deferral, then double, up to maximal_backoff_time. */
static int64_t pause_us(const struct queue_rcpt *r)
{
	int64_t pause = conf->minimal_backoff_time_ms;

	for (uint32_t i = 1; i < r->attempts && pause < conf->maximal_backoff_time_ms; i++)
		pause *= 2;
	return 1000 * (pause < conf->maximal_backoff_time_ms ? pause : conf->maximal_backoff_time_ms);
}

static int64_t due_us(const struct queue_rcpt *r)
{
	return r->attempts ? r->last_us + pause_us(r) : 0;
}

static bool is_due(const struct message *m, const struct queue_rcpt *r, const struct dest *d)
{
	int64_t now = clock_wall_us();

	/* A last attempt in the future is a clock that was set back: no reason to wait for it. */
	return m->fresh || m->flush || due_us(r) <= now || r->last_us > now || (d && d->recovered_us > r->last_us);
}

static bool warning_due(const struct queue_envelope *env)
{
	return conf->delay_warning_time_ms > 0 && !env->delay_warned && env->sender.len > 0 && !(env->flags & QUEUE_PROBE) &&
	       clock_wall_us() - env->arrival_us >= 1000 * conf->delay_warning_time_ms;
}

int64_t sort_next_attempt_ms(const struct message *m)
{
	const struct queue_envelope *env = &m->awake->env;
	int64_t now = clock_wall_us();
	int64_t first = now + 1000 * conf->maximal_backoff_time_ms;
	int64_t end = env->arrival_us + lifetime_us(env);

	for (size_t i = 0; i < env->nrcpts; i++)
		if (env->rcpts[i].state == QUEUE_RCPT_PENDING && due_us(&env->rcpts[i]) < first)
			first = due_us(&env->rcpts[i]);
	if (conf->delay_warning_time_ms > 0 && !env->delay_warned && env->arrival_us + 1000 * conf->delay_warning_time_ms < first &&
	    env->arrival_us + 1000 * conf->delay_warning_time_ms > now)
		first = env->arrival_us + 1000 * conf->delay_warning_time_ms;
	if (end > now && end < first)
		first = end;
	if (first < now)
		first = now;
	/* Spread by up to a tenth, so that what was deferred together does not come back together. */
	return clock_mono_ms() + (first - now) / 1000 + random() % ((first - now) / 10000 + 1);
}

bool sort_nothing_due(const struct message *m)
{
	const struct queue_envelope *env = &m->awake->env;

	if (m->fresh || m->flush || m->released || expired(env) || warning_due(env))
		return false;
	for (size_t i = 0; i < env->nrcpts; i++)
		if (env->rcpts[i].state == QUEUE_RCPT_BOUNCED ||
		    (env->rcpts[i].state == QUEUE_RCPT_PENDING && is_due(m, &env->rcpts[i], NULL)))
			return false;
	return !sort_all_done(env);
}

/* --- to whom ------------------------------------------------------------------------------------------------------ */

static struct task *new_task(struct message *m, enum job_kind kind)
{
	struct arena *a = &m->awake->arena;
	struct task *t = arena_alloc(a, sizeof *t);

	t->message = m;
	t->kind = kind;
	m->awake->tasks++;
	return t;
}

static void add_rcpt(struct task *t, uint32_t index)
{
	if (t->nrcpts == t->room) {
		uint32_t room = t->room ? 2 * t->room : 4;
		uint32_t *grown = arena_array(&t->message->awake->arena, room, sizeof *grown);

		if (t->nrcpts)
			memcpy(grown, t->rcpts, t->nrcpts * sizeof *grown);
		t->rcpts = grown;
		t->room = room;
	}
	t->rcpts[t->nrcpts++] = index;
}

static void set_states(struct queue_envelope *env, enum queue_state from, enum queue_state to)
{
	for (size_t i = 0; i < env->nrcpts; i++)
		if (env->rcpts[i].state == from)
			env->rcpts[i].state = to;
}

/* The tasks of the message that is being sorted, in the order of appearance. A destination knows its own by the mark. */
struct sorting {
	struct task **tasks;
	size_t n;
	uint64_t mark;
};

static struct task *task_for(struct sorting *s, struct message *m, struct dest *d)
{
	if (d->mark == s->mark)
		return d->newest;
	d->mark = s->mark;
	d->newest = s->tasks[s->n++] = new_task(m, JOB_DELIVER);
	d->newest->dest = d;
	return d->newest;
}

static enum map_status resolve(struct arena *a, const struct message *m, struct span address, struct route *route_r)
{
	return message_is_probe(m) ? route_resolve_probe(a, address, route_r) : route_resolve(a, address, route_r);
}

/* Nobody waits for its result any more: by now the address may have been asked again. */
static bool is_stale_probe(const struct message *m)
{
	return message_is_probe(m) && clock_wall_us() - m->awake->env.arrival_us > VERIFY_PROBE_SECONDS * INT64_C(1000000);
}

static void sort_one(struct sorting *s, struct message *m, uint32_t i)
{
	struct arena *a = &m->awake->arena;
	struct queue_rcpt *r = &m->awake->env.rcpts[i];
	struct route route;
	struct dest *d;

	if (message_is_probe(m) && message_too_many_probes()) {
		message_verdict(m, i, verdict_make(a, "4.3.2", "Too many address verification requests"));
		return;
	}
	if (m->awake->env.filter.len) {
		route_filtered(a, m->awake->env.filter, r->address, &route);
	} else if (resolve(a, m, r->address, &route) != MAP_OK) {
		if (is_due(m, r, NULL))
			message_verdict(m, i, verdict_make(a, "4.3.0", "address resolver failure"));
		return;
	}
	if (route.class == ROUTE_VIRTUAL_ALIAS) {
		message_verdict(m, i, verdict_make(a, "5.1.1", "User unknown in virtual alias table"));
		return;
	}
	if (is_due(m, r, NULL) && settled_here(m, i, route.transport, route.nexthop))
		return;
	d = dest_get(transport_get(route.transport), route.destination, route.nexthop);
	if (!is_due(m, r, d))
		return;
	if (transport_unavailable(d->transport) && d->state == DEST_UP)
		snprintf(d->reason, sizeof d->reason, "mail transport unavailable");
	if (d->state == DEST_DOWN || transport_unavailable(d->transport)) {
		message_verdict(m, i, verdict_make(a, "4.4.1", "delivery temporarily suspended: %s", d->reason));
		dest_wait(d, m);
		if (m->flush)
			dest_probe_now(d);
		return;
	}
	add_rcpt(task_for(s, m, d), i);
}

void sort_into_tasks(struct message *m)
{
	static uint64_t mark;
	const struct queue_envelope *env = &m->awake->env;
	struct sorting s = { arena_array(&m->awake->arena, env->nrcpts + 1, sizeof(struct task *)), 0, ++mark };

	if (is_stale_probe(m)) {
		set_states(&m->awake->env, QUEUE_RCPT_PENDING, QUEUE_RCPT_DELIVERED);
		return;
	}
	if (expired(env))
		return; /* the round ends at once, and with it the message */
	for (uint32_t i = 0; i < env->nrcpts; i++)
		if (env->rcpts[i].state == QUEUE_RCPT_PENDING)
			sort_one(&s, m, i);
	for (size_t i = 0; i < s.n; i++)
		dest_add_task(s.tasks[i]->dest, s.tasks[i]);
}

/* --- notices ------------------------------------------------------------------------------------------------------ */

static size_t count_state(const struct queue_envelope *env, enum queue_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < env->nrcpts; i++)
		n += env->rcpts[i].state == state;
	return n;
}

bool sort_all_done(const struct queue_envelope *env)
{
	return count_state(env, QUEUE_RCPT_PENDING) + count_state(env, QUEUE_RCPT_BOUNCED) == 0;
}

static void hand_to_bounce(struct task *t)
{
	static const struct span bounce = SPAN("bounce");

	dest_add_task(dest_get(transport_get(bounce), bounce, SPAN_NONE), t);
}

bool sort_owes_success(const struct message *m, const struct queue_rcpt *r)
{
	const struct queue_envelope *env = &m->awake->env;

	if (r->notify & QUEUE_NOTIFY_SUCCESS)
		return true;
	return conf->confirm_delay_cleared && env->delay_warned && env->sender.len > 0 &&
	       (r->notify == 0 || r->notify & QUEUE_NOTIFY_DELAY) &&
	       (r->state == QUEUE_RCPT_PENDING || r->last_us >= m->awake->active_us);
}

/* Recipients delivered in this round that asked to be told of it; each once. */
static struct task *success_task(struct message *m)
{
	struct queue_envelope *env = &m->awake->env;
	struct task *t = NULL;

	for (uint32_t i = 0; i < env->nrcpts; i++) {
		struct queue_rcpt *r = &env->rcpts[i];

		if (r->state != QUEUE_RCPT_DELIVERED || !sort_owes_success(m, r) || r->last_us < m->awake->active_us)
			continue;
		if (t == NULL)
			t = new_task(m, JOB_SUCCESS);
		add_rcpt(t, i);
		r->notify = QUEUE_NOTIFY_NEVER; /* any more */
	}
	return t;
}

/*
 * In memory a notice counts as given when its task is handed out: should it fail, awake->notice_failed keeps the message, and
 * the journal, read at the next wake, still says that it is owed.
 */
bool sort_notices(struct message *m)
{
	struct queue_envelope *env = &m->awake->env;
	struct task *list[3];
	size_t n = 0;

	if (expired(env) && count_state(env, QUEUE_RCPT_PENDING)) {
		log_info("%s: from=<" SPAN_FMT ">, status=%s, returned to sender", m->id, SPAN_ARG(env->sender),
			 env->expired ? "force-expired" : "expired");
		list[n++] = new_task(m, JOB_EXPIRE);
		set_states(env, QUEUE_RCPT_PENDING, QUEUE_RCPT_NOTIFIED);
		set_states(env, QUEUE_RCPT_BOUNCED, QUEUE_RCPT_NOTIFIED);
	} else if (count_state(env, QUEUE_RCPT_BOUNCED)) {
		list[n++] = new_task(m, JOB_BOUNCE);
		set_states(env, QUEUE_RCPT_BOUNCED, QUEUE_RCPT_NOTIFIED);
	}
	if (warning_due(env) && count_state(env, QUEUE_RCPT_PENDING)) {
		list[n++] = new_task(m, JOB_WARN);
		env->delay_warned = true;
	}
	list[n] = success_task(m);
	n += list[n] != NULL;
	m->awake->tasks++; /* ours, until all are handed over */
	for (size_t i = 0; i < n; i++)
		hand_to_bounce(list[i]);
	m->awake->tasks--;
	return n > 0;
}
