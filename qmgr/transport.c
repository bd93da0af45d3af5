/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transports and their agents. An agent is connected when there is work and no idle one is left, gets one job at a time and
 * asks for the next by answering the last message of it. One that has nothing to do is told so (IDLE: it lets go of the connection
 * to the site) and kept for a while.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/proto/verp.h"
#include "lib/io/frame.h"
#include "qmgr/sort.h"

enum {
	CONNECT_MS = 200,
	RETRY_FIRST_MS = 500,
	RETRY_MAX_MS = 60 * 1000,
	AGENT_IDLE_MS = 30 * 1000,
	GATHER_TIMES = 4, /* mailbox_batch_delay, at most, while more and more letters for the mailbox come */
	TURN_MESSAGES = 100,
	LOOK_FOR_OWN = 32, /* destinations an agent looks at to find one it had before */
	STRAYS_MS = 200
};

struct agent {
	struct list_node node; /* agents */
	struct loop_source source;
	struct transport *transport;
	struct dest *dest;           /* of the job at hand, or of the last one while its connection is warm */
	bool probing, warm;
	unsigned turn;               /* messages handed out for dest since it came to it */
	struct part { struct task *task; uint32_t first, n; bool done, last; } *parts; /* of the job at hand */
	size_t nparts, waiting;
	struct list at_home;         /* dests whose home it is */
	struct kept_list kept;       /* what it delivered last */
	struct list_node in_idle;
	struct loop_timer leave;
};

static struct htab transports;
static struct list agents = LIST_INIT(agents); /* also those at work, which nothing else but epoll points to */

static void agent_ready(struct loop_source *src, uint32_t events);
static void agent_leave(struct loop_timer *timer);
static void retry(struct loop_timer *timer);
static void rest_over(struct loop_timer *timer);
static bool give_work(struct agent *g);

/* --- transports --------------------------------------------------------------------------------------------------- */

static bool is_notices(const struct transport *t)
{
	return strcmp(t->name, "bounce") == 0;
}

static bool is_mailbox(const struct transport *t)
{
	return services_runs(t->name, "local") || strcmp(t->name, "virtual") == 0;
}

static void set_limits(struct transport *t)
{
	bool mailbox = is_mailbox(t);
	int64_t dest_default = strcmp(t->name, "local") == 0 ? conf->local_destination_concurrency_limit
							     : conf->default_destination_concurrency_limit;

	t->agents_max = (unsigned)conf_transport_int(conf, t->name, "_transport_concurrency_limit",
						     mailbox || is_notices(t) ? conf->mailbox_transport_concurrency_limit
									      : conf->default_transport_concurrency_limit);
	t->agents_max = services_agents(t->name, t->agents_max);
	t->dest_limit = (unsigned)conf_transport_int(conf, t->name, "_destination_concurrency_limit", dest_default);
	t->rcpt_limit = (unsigned)conf_transport_int(conf, t->name, "_destination_recipient_limit",
						     mailbox ? 1 : conf->default_destination_recipient_limit);
	t->initial = (unsigned)conf_transport_int(conf, t->name, "_initial_destination_concurrency",
						  conf->initial_destination_concurrency);
	t->dest_delay_ms =
	    conf_transport_time_ms(conf, t->name, "_destination_rate_delay", conf->default_destination_rate_delay_ms);
	t->delay_ms = conf_transport_time_ms(conf, t->name, "_transport_rate_delay", conf->default_transport_rate_delay_ms);
	if (is_notices(t))
		t->dest_delay_ms = t->delay_ms = 0;
	t->gather_ms = mailbox ? conf->mailbox_batch_delay_ms : 0;
	t->batch = mailbox ? (unsigned)conf->mailbox_batch_limit : 1;
	if (is_notices(t))
		t->dest_limit = t->initial = t->agents_max;
	if (t->dest_limit == 0)
		t->dest_limit = t->agents_max;
	if (t->initial > t->dest_limit)
		t->initial = t->dest_limit;
	if (t->dest_delay_ms || t->delay_ms) /* one after the other */
		t->dest_limit = t->initial = t->batch = 1;
}

struct transport *transport_get(struct span name)
{
	struct transport *t = htab_get(&transports, name);

	if (t)
		return t;
	t = mem_zalloc(sizeof *t);
	snprintf(t->name, sizeof t->name, SPAN_FMT, SPAN_ARG(name));
	list_init(&t->ready);
	list_init(&t->idle_agents);
	t->retry.fire = retry;
	t->rest.fire = rest_over;
	set_limits(t);
	htab_put(&transports, name, t);
	return t;
}

void transport_each(void (*each)(struct span name, void *transport, void *arg), void *arg)
{
	htab_each(&transports, each, arg);
}

static void suspend_dest(struct span key, void *value, void *arg)
{
	struct dest *d = value;

	(void)key;
	(void)arg;
	if (d->ntasks == 0)
		return;
	snprintf(d->reason, sizeof d->reason, "mail transport unavailable");
	dest_suspend_tasks(d);
}

/* Not a restart of the service: the mail sleeps, and shows why in the listing. */
bool transport_unavailable(const struct transport *t)
{
	return t->down && t->failures > 3;
}

static void go_down(struct transport *t)
{
	int64_t pause = RETRY_FIRST_MS;

	if (!t->down || t->failures % 16 == 0)
		log_warn("connect to transport private/%s: %m", t->name);
	t->down = true;
	for (unsigned i = 0; i < t->failures && pause < RETRY_MAX_MS; i++)
		pause *= 2;
	t->failures++;
	if (transport_unavailable(t))
		htab_each(&t->dests, suspend_dest, NULL);
	loop_timer_set(qmgr_loop, &t->retry, clock_deadline(pause < RETRY_MAX_MS ? pause : RETRY_MAX_MS));
}

static void release_dest(struct span key, void *value, void *arg)
{
	struct dest *d = value;

	(void)key;
	(void)arg;
	if (d->state == DEST_UP) {
		d->recovered_us = clock_wall_us();
		dest_release_waiters(d);
	}
}

/* --- agents ------------------------------------------------------------------------------------------------------- */

static struct agent *agent_connect(struct transport *t)
{
	char path[128];
	struct agent *g;
	int fd;

	snprintf(path, sizeof path, "private/%s", t->name);
	fd = frame_connect(path, clock_deadline(CONNECT_MS));
	if (fd < 0) {
		go_down(t);
		return NULL;
	}
	g = mem_zalloc(sizeof *g);
	g->source.fd = fd;
	g->source.ready = agent_ready;
	g->transport = t;
	g->leave.fire = agent_leave;
	list_init(&g->at_home);
	list_init(&g->kept.ids);
	t->agents++;
	list_append(&agents, &g->node);
	loop_add(qmgr_loop, &g->source, EPOLLIN);
	if (t->down) {
		t->down = false;
		t->failures = 0;
		htab_each(&t->dests, release_dest, NULL);
	}
	return g;
}

/*
 * A mailbox goes back to the agent that had it last: that knows how it ends, and syncs it once for all that came meanwhile. Sites
 * do not: there, connections are kept by turns.
 */
static void make_home(struct agent *g, struct dest *d)
{
	if (d->home == g || !is_mailbox(g->transport))
		return;
	list_remove(&d->at_home);
	d->home = g;
	list_append(&g->at_home, &d->at_home);
}

static void leave_homes(struct agent *g)
{
	struct list_node *n;

	while ((n = list_first(&g->at_home)) != NULL) {
		list_entry(n, struct dest, at_home)->home = NULL;
		list_remove(n);
	}
}

static void agent_close(struct agent *g)
{
	leave_homes(g);
	kept_release(&g->kept);
	loop_del(qmgr_loop, &g->source);
	loop_timer_del(qmgr_loop, &g->leave);
	list_remove(&g->in_idle);
	list_remove(&g->node);
	close(g->source.fd);
	g->transport->agents--;
	free(g->parts);
	free(g);
}

static void let_go_of_dest(struct agent *g)
{
	g->dest = NULL;
	g->turn = 0;
	g->warm = false;
}

/* The answers to these recipients will never come: it is not known what became of them, so they are tried again. */
static void give_back(struct part *p)
{
	struct message *m = p->task->message;

	if (p->task->kind != JOB_DELIVER)
		message_notice_failed(m);
	for (uint32_t i = 0; p->task->kind == JOB_DELIVER && i < p->n; i++)
		message_outcome(m, p->task->rcpts[p->first + i], VERDICT_TEMP, SPAN_NONE);
	if (m->crashes < 255)
		m->crashes++;
	p->task->in_flight -= p->n;
	p->done = true;
	if (p->task->in_flight == 0 && p->task->next == p->task->nrcpts)
		message_task_done(p->task);
}

static void delivery_over(struct dest *d)
{
	struct transport *t = d->transport;
	int64_t pause = t->dest_delay_ms ? t->dest_delay_ms : t->gather_ms;

	d->busy--;
	t->busy--;
	d->rest_until_ms = pause ? clock_deadline(pause) : 0;
	d->gather_until_ms = t->dest_delay_ms ? 0 : clock_deadline(t->gather_ms * GATHER_TIMES);
	d->gathered = d->ntasks;
	t->rest_until_ms = clock_deadline(t->delay_ms);
}

static void agent_died(struct agent *g)
{
	struct transport *t = g->transport;
	struct dest *d = g->dest;
	bool at_work = g->waiting > 0 || g->probing;

	if (at_work)
		log_warn("transport %s: a delivery agent ended in the middle of a job", t->name);
	/* It may have been killed with letters whose mailbox was not durable yet: they are still in the queue, and not
	 * in our memory. */
	scan_start(STRAYS_MS);
	for (size_t i = 0; i < g->nparts; i++)
		if (!g->parts[i].done)
			give_back(&g->parts[i]);
	if (g->probing)
		dest_probe_result(d, true, SPAN("probe ended early"));
	if (d && at_work && !g->probing) {
		delivery_over(d);
		dest_update_ready(d);
	}
	agent_close(g);
	transport_run(t);
}

static bool agent_send(struct agent *g, struct buf *frame)
{
	/* The worker reads one job at a time, so its buffer has room; if not, it does not live. */
	return frame_send(g->source.fd, buf_span(frame), -1, clock_deadline(CONNECT_MS)) == IO_OK;
}

static void agent_leave(struct loop_timer *timer)
{
	agent_close(list_entry(timer, struct agent, leave));
}

static void make_idle(struct agent *g)
{
	struct buf b;

	if (g->warm) { /* nothing more for this destination: the worker may let go of it */
		buf_init(&b, FRAME_MAX);
		if (job_put_idle(&b) && !agent_send(g, &b)) {
			buf_free(&b);
			agent_died(g);
			return;
		}
		buf_free(&b);
	}
	let_go_of_dest(g);
	list_prepend(&g->transport->idle_agents, &g->in_idle); /* the last one first: as few as are needed stay at work */
	loop_timer_set(qmgr_loop, &g->leave, clock_deadline(AGENT_IDLE_MS));
}

/* --- jobs --------------------------------------------------------------------------------------------------------- */

/* Will the message be removed once n recipients are delivered: no other is pending, no notice is owed. */
static bool only_these_left(const struct message *m, uint32_t n)
{
	const struct queue_envelope *env = &m->awake->env;
	size_t left = 0;

	for (size_t i = 0; i < env->nrcpts; i++) {
		if (sort_owes_success(m, &env->rcpts[i]))
			return false;
		left += env->rcpts[i].state == QUEUE_RCPT_PENDING || env->rcpts[i].state == QUEUE_RCPT_BOUNCED;
	}
	return left <= n;
}

/* Each recipient's copy has a sender of its own. */
static bool has_verp(const struct task *t)
{
	const struct queue_envelope *env = &t->message->awake->env;

	return t->kind == JOB_DELIVER && env->verp.len > 0 && env->sender.len > 0;
}

static struct span sender_of(struct arena *a, const struct task *t)
{
	const struct queue_envelope *env = &t->message->awake->env;
	const struct queue_rcpt *r;

	if (!has_verp(t))
		return env->sender;
	r = &env->rcpts[t->rcpts[t->next]];
	return verp_sender(a, env->verp, env->sender, r->original.len ? r->original : r->address);
}

static void fill_message(struct arena *a, const struct task *t, uint32_t n, struct job_message *jm)
{
	const struct message *m = t->message;
	const struct queue_envelope *env = &m->awake->env;

	memcpy(jm->id, m->id, sizeof jm->id);
	jm->place = m->place;
	jm->sender = sender_of(a, t);
	jm->envid = env->envid;
	jm->flags = env->flags;
	jm->size = env->size;
	jm->arrival_us = env->arrival_us;
	jm->active_us = m->awake->active_us;
	jm->again = m->awake->again;
	jm->kept = m->kept;
	jm->nrcpts = n;
	jm->rcpts = arena_array(a, n ? n : 1, sizeof *jm->rcpts);
	for (uint32_t i = 0; i < n; i++) {
		const struct queue_rcpt *r = &env->rcpts[t->rcpts[t->next + i]];

		jm->rcpts[i] = (struct job_rcpt){ t->rcpts[t->next + i], r->address, r->original, r->orcpt, r->notify };
	}
	jm->last = t->kind == JOB_DELIVER && only_these_left(m, n);
}

static void add_part(struct agent *g, struct task *t, uint32_t n, bool last)
{
	g->parts = mem_realloc_array(g->parts, g->nparts + 1, sizeof *g->parts);
	g->parts[g->nparts++] = (struct part){ t, t->next, n, false, last };
	t->next += n;
	t->in_flight += n;
}

/*
 * Add the share of one task to the job. False: it does not fit the frame, the task waits for the next job. A message that is alone
 * in its job is cut down until it fits: one recipient always does (QUEUE_ADDRESS_MAX).
 */
static bool add_to_job(struct agent *g, struct dest *d, struct task *t, struct arena *a, struct job *job, struct buf *b)
{
	uint32_t n = t->nrcpts - t->next;

	if (d->transport->rcpt_limit && n > d->transport->rcpt_limit)
		n = d->transport->rcpt_limit;
	if (n > 1 && has_verp(t))
		n = 1;
	job->kind = t->kind;
	job->nmessages++;
	for (;; n = n / 4 + 1) {
		fill_message(a, t, n, &job->messages[job->nmessages - 1]);
		if (job_put_job(b, job))
			break;
		if (job->nmessages > 1 || n <= 1) {
			job->nmessages--;
			return false;
		}
	}
	add_part(g, t, n, job->messages[job->nmessages - 1].last);
	return true;
}

/* Gather a job for destination d: one message, or several when the transport takes batches. */
static bool send_job(struct agent *g, struct dest *d)
{
	struct arena a = ARENA_INIT;
	struct job_message *list = arena_array(&a, d->transport->batch, sizeof *list);
	struct job job = { JOB_DELIVER, span_cstr(d->transport->name), d->nexthop, list, 0 };
	struct task *t;
	struct buf b;
	bool sent;

	buf_init(&b, FRAME_MAX);
	g->nparts = 0;
	while (job.nmessages < d->transport->batch && (t = dest_take_task(d)) != NULL) {
		bool added = add_to_job(g, d, t, &a, &job, &b);

		if (!added || t->next < t->nrcpts) { /* it has more: at the end of the turn, so others come between */
			dest_give_back_task(d, t, !added);
			break;
		}
	}
	sent = job.nmessages > 0 && job_put_job(&b, &job) && agent_send(g, &b);
	buf_free(&b);
	arena_free(&a);
	g->waiting = g->nparts;
	g->turn += (unsigned)job.nmessages;
	g->dest = d;
	g->warm = !is_mailbox(d->transport); /* local has nothing to let go of */
	d->busy++;
	d->transport->busy++;
	dest_update_ready(d);
	return sent;
}

static bool send_probe(struct agent *g, struct dest *d)
{
	struct job job = { dest_probe_is_long(d) ? JOB_PROBE_LONG : JOB_PROBE, span_cstr(d->transport->name), d->nexthop, NULL, 0 };
	struct buf b;
	bool sent;

	buf_init(&b, FRAME_MAX);
	sent = job_put_job(&b, &job) && agent_send(g, &b);
	buf_free(&b);
	g->dest = d;
	g->probing = true;
	g->warm = true;
	return sent;
}

/* --- results ------------------------------------------------------------------------------------------------------ */

static struct part *find_part(struct agent *g, const char *id)
{
	for (size_t i = 0; i < g->nparts; i++)
		if (!g->parts[i].done && strcmp(g->parts[i].task->message->id, id) == 0)
			return &g->parts[i];
	return NULL;
}

static void take_outcomes(struct agent *g, struct part *p, const struct job_result *r)
{
	struct message *m = p->task->message;
	bool good = true;

	for (size_t i = 0; i < r->noutcomes; i++) {
		good = good && (r->outcomes[i].class == VERDICT_OK || (message_is_probe(m) && r->outcomes[i].reason.len));
		if (p->task->kind != JOB_DELIVER)
			continue;
		message_outcome(m, r->outcomes[i].index, r->outcomes[i].class, r->outcomes[i].reason);
		if (r->outcomes[i].passed_on)
			message_passed_on(m, r->outcomes[i].index);
	}
	if (p->task->kind != JOB_DELIVER && !good)
		message_notice_failed(m);
	m->awake->removed |= good && p->last;
	if (r->kept)
		kept_add(&g->kept, m->id);
	p->task->in_flight -= p->n;
	p->done = true;
	if (p->task->in_flight == 0 && p->task->next == p->task->nrcpts)
		message_task_done(p->task);
}

static bool take_result(struct agent *g, const struct job_result *r)
{
	struct dest *d = g->dest;
	struct part *p;

	if (g->probing) {
		g->probing = false;
		dest_probe_result(d, r->site_down, r->reason);
		return true;
	}
	p = find_part(g, r->id);
	if (p == NULL || d == NULL)
		return false;
	if (r->site_down) {
		dest_wait(d, p->task->message);
		dest_failed(d, r->reason.len ? r->reason : SPAN("site cannot be reached"));
	} else {
		dest_succeeded(d);
	}
	take_outcomes(g, p, r);
	if (--g->waiting == 0) {
		delivery_over(d);
		g->nparts = 0;
		dest_update_ready(d);
	}
	return true;
}

static bool take_results(struct agent *g, struct span frame, struct arena *a)
{
	struct job_result *list;
	size_t n;

	if (!job_get_results(frame, a, &list, &n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!take_result(g, &list[i]))
			return false;
	return true;
}

static void agent_ready(struct loop_source *src, uint32_t events)
{
	struct agent *g = list_entry(src, struct agent, source);
	struct transport *t = g->transport;
	struct arena a = ARENA_INIT;
	struct buf b;
	bool good;

	(void)events;
	buf_init(&b, FRAME_MAX);
	good = frame_recv(src->fd, &b, NULL, 0) == IO_OK && take_results(g, buf_span(&b), &a);
	buf_free(&b);
	arena_free(&a);
	if (!good) {
		agent_died(g);
		return;
	}
	if (g->waiting == 0 && !g->probing && !give_work(g))
		make_idle(g);
	transport_run(t);
}

/* --- who works for whom ------------------------------------------------------------------------------------------- */

/* <transport>_transport_rate_delay: one delivery at a time, and a pause after each. */
static bool rests(struct transport *t)
{
	if (t->delay_ms == 0)
		return false;
	if (t->busy > 0)
		return true;
	if (t->rest_until_ms <= clock_mono_ms())
		return false;
	if (t->rest.index == 0)
		loop_timer_set(qmgr_loop, &t->rest, t->rest_until_ms);
	return true;
}

static void rest_over(struct loop_timer *timer)
{
	transport_run(list_entry(timer, struct transport, rest));
}

/* Those that have only what must yield now to new mail leave the line (dest_update_ready). */
static struct dest *first_ready(struct transport *t)
{
	struct list_node *n;

	while ((n = list_first(&t->ready)) != NULL) {
		struct dest *d = list_entry(n, struct dest, in_ready);

		if (dest_has_turn(d))
			return d;
		dest_update_ready(d);
	}
	return NULL;
}

/* Of the destinations that are ready: one that this agent had before, else the first. */
static struct dest *own_or_first(struct agent *g)
{
	int looked = 0;

	list_for_each(n, &g->transport->ready) {
		struct dest *d = list_entry(n, struct dest, in_ready);

		if (list_empty(&g->at_home) || looked++ == LOOK_FOR_OWN)
			break;
		if (d->home == g && dest_has_turn(d))
			return d;
	}
	return first_ready(g->transport);
}

/* The destination an agent should go on with: its own while its turn lasts or nobody else waits. */
static struct dest *choose(struct agent *g)
{
	struct transport *t = g->transport;
	struct list_node *n = list_first(&t->ready);
	struct dest *own = g->dest;

	if (own && own->state == DEST_UP && dest_has_turn(own) && own->busy < own->window && !dest_rests(own) &&
	    (g->turn < TURN_MESSAGES || n == NULL))
		return own;
	return own_or_first(g);
}

/* The worker left before it could get the job: nothing happened to the messages, they are first in line again. */
static void take_back_job(struct agent *g)
{
	struct dest *d = g->dest;
	struct transport *transport = d->transport;

	while (g->nparts > 0) {
		struct part *p = &g->parts[--g->nparts];
		struct task *t = p->task;

		t->next = p->first;
		t->in_flight -= p->n;
		if (!list_linked(&t->in_dest))
			dest_give_back_task(d, t, true);
	}
	g->waiting = 0;
	d->busy--;
	transport->busy--;
	agent_close(g);
	dest_update_ready(d);
}

static bool give_work(struct agent *g)
{
	struct dest *d = rests(g->transport) ? NULL : choose(g);

	if (d == NULL)
		return false;
	if (d != g->dest || g->turn >= TURN_MESSAGES)
		g->turn = 0;
	make_home(g, d);
	list_remove(&d->in_ready); /* to the end, if it has more */
	if (!send_job(g, d))
		take_back_job(g);
	return true;
}

static bool is_idle(const struct agent *g)
{
	return list_linked(&g->in_idle);
}

/* The home of d when that is idle, else one that is, else a new one. */
static struct agent *free_agent(struct transport *t, const struct dest *d)
{
	struct list_node *n = d->home && is_idle(d->home) ? &d->home->in_idle : list_first(&t->idle_agents);

	if (n) {
		struct agent *g = list_entry(n, struct agent, in_idle);

		list_remove(n);
		loop_timer_del(qmgr_loop, &g->leave);
		return g;
	}
	if (t->agents >= t->agents_max || t->retry.index != 0)
		return NULL;
	return agent_connect(t);
}

void transport_run(struct transport *t)
{
	struct dest *d;

	while (!rests(t) && (d = first_ready(t)) != NULL) {
		struct agent *g = free_agent(t, d);

		if (g == NULL)
			return;
		if (!give_work(g)) {
			make_idle(g);
			return;
		}
	}
}

static void retry(struct loop_timer *timer)
{
	struct transport *t = list_entry(timer, struct transport, retry);
	struct agent *g = agent_connect(t);

	if (g)
		make_idle(g);
	transport_run(t);
}

void transport_probe(struct transport *t, struct dest *d)
{
	struct agent *g = free_agent(t, d);

	if (g == NULL)
		dest_probe_result(d, true, SPAN_NONE);
	else if (!send_probe(g, d))
		agent_died(g);
}

static void run_one(struct span name, void *transport, void *arg)
{
	(void)name;
	(void)arg;
	transport_run(transport);
}

void transport_run_all(void)
{
	htab_each(&transports, run_one, NULL);
}
