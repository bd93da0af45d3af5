/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When is a child started. A service's listeners are watched only while none of its children has room for a session and
 * one more child is allowed; so a service at rest costs master nothing, and a child is started when somebody really
 * waits.
 */
#include "master/master.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

enum { SHORT_LIFE_MS = 1000, STRESS_WARN_MS = 1000 * 1000 };

#define TIMER_OWNER(t, member) ((struct service_state *)(void *)((char *)(t)-offsetof(struct service_state, member)))

struct service_state *service_find(const char *name, enum mastercf_type type)
{
	list_for_each(node, &master.services) {
		struct service_state *s = list_entry(node, struct service_state, node);

		if (s->type == type && strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

unsigned service_count(const struct service_state *s, bool draining)
{
	unsigned n = 0;

	list_for_each(node, &s->children)
		n += list_entry(node, struct child, node)->draining == draining;
	return n;
}

/* Somebody takes the next session, or is about to. */
static bool has_room(const struct service_state *s)
{
	list_for_each(node, &s->children) {
		struct child *c = list_entry(node, struct child, node);

		if (!c->draining && (!c->ready || !c->full))
			return true;
	}
	return false;
}

static bool may_grow(const struct service_state *s)
{
	return s->entry->maxproc == 0 || service_count(s, false) < (unsigned)s->entry->maxproc;
}

static bool wants_child(const struct service_state *s)
{
	return master.phase == MASTER_RUNNING && !s->retired && !s->throttled && !has_room(s) && may_grow(s);
}

/* --- stress ------------------------------------------------------------------------------------------------------- */

static bool runs_over(const struct service_state *s)
{
	return master.phase == MASTER_RUNNING && !s->retired && s->type == MASTERCF_INET && !has_room(s) && !may_grow(s);
}

static void tell_stress(struct service_state *s, bool stressed)
{
	s->stressed = stressed;
	list_for_each(node, &s->children)
		child_order(list_entry(node, struct child, node), stressed ? LINK_STRESS : LINK_CALM, -1);
}

static void warn_of_stress(struct service_state *s)
{
	int64_t now = clock_mono_ms();

	if (now < s->stress_warn_ms)
		return;
	s->stress_warn_ms = now + STRESS_WARN_MS;
	log_warn("service \"%s\" (%u) has reached its process limit \"%d\": new clients may experience noticeable delays", s->name,
		 s->nlisteners ? s->listeners[0]->at.addr.port : 0u, s->entry->maxproc);
	log_warn("to avoid this condition, increase the process count in master.cf, or sessions in main.cf, or reduce the service "
		 "time per client");
}

static void stress_over(struct loop_timer *t)
{
	struct service_state *s = TIMER_OWNER(t, stress);

	if (runs_over(s))
		loop_timer_set(master.loop, &s->stress, clock_mono_ms() + conf->service_stress_time_ms);
	else
		tell_stress(s, false);
}

/* The last place is taken: from now on, and for a while after one is free again, clients are served with less patience. */
static void watch_stress(struct service_state *s)
{
	if (!runs_over(s))
		return;
	warn_of_stress(s);
	if (!s->stressed)
		tell_stress(s, true);
	s->stress.fire = stress_over;
	loop_timer_set(master.loop, &s->stress, clock_mono_ms() + conf->service_stress_time_ms);
}

void service_greet(struct service_state *s, struct child *c)
{
	if (s->stressed)
		child_order(c, LINK_STRESS, -1);
}

/* --- starting ----------------------------------------------------------------------------------------------------- */

void service_settle(struct service_state *s)
{
	bool watch = wants_child(s);

	for (size_t i = 0; i < s->nlisteners; i++) {
		struct listener *l = s->listeners[i];

		if (watch && !l->source.registered)
			loop_add(master.loop, &l->source, EPOLLIN);
		else if (!watch)
			loop_del(master.loop, &l->source);
	}
	watch_stress(s);
}

static void throttle_over(struct loop_timer *t)
{
	struct service_state *s = TIMER_OWNER(t, throttle);

	s->throttled = false;
	service_settle(s);
}

static void throttle(struct service_state *s)
{
	int64_t now = clock_mono_ms();
	int64_t pause = backoff_next(&s->backoff, now, conf->service_throttle_time_ms);

	s->throttled = true;
	s->throttle.fire = throttle_over;
	loop_timer_set(master.loop, &s->throttle, now + pause);
}

static void start_child(struct service_state *s)
{
	s->used = true;
	if (child_start(s) == NULL)
		throttle(s);
	service_settle(s);
}

void service_listener_ready(struct loop_source *src, uint32_t events)
{
	struct listener *l = list_entry(src, struct listener, source);

	(void)events;
	if (l->service && !has_room(l->service))
		start_child(l->service);
}

void service_replace(struct service_state *s)
{
	if (wants_child(s))
		start_child(s);
}

/* --- wakeup ------------------------------------------------------------------------------------------------------- */

static void wake_up(struct loop_timer *t)
{
	struct service_state *s = TIMER_OWNER(t, wakeup);
	bool told = false;

	service_set_wakeup(s, false);
	list_for_each(node, &s->children) {
		struct child *c = list_entry(node, struct child, node);

		if (!c->draining && !told) {
			child_order(c, LINK_WAKEUP, -1);
			told = true;
		}
	}
	if (!told && !s->throttled && (s->used || !s->entry->wakeup_if_used))
		start_child(s);
}

void service_set_wakeup(struct service_state *s, bool now)
{
	s->wakeup.fire = wake_up;
	loop_timer_del(master.loop, &s->wakeup);
	if (s->entry->wakeup_s > 0 && !s->retired && master.phase == MASTER_RUNNING)
		loop_timer_set(master.loop, &s->wakeup,
			       clock_mono_ms() + (now ? 0 : s->entry->wakeup_s * INT64_C(1000)));
}

/* --- the end of a child ---------------------------------------------------------------------------------------------
 */

static bool log_end(const struct child *c, int status)
{
	const char *program = c->service->entry ? c->service->entry->program : c->service->name;

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (WIFEXITED(status))
		log_warn("process %s/%s pid %d exit status %d", conf->daemon_directory, program, (int)c->pid,
			 WEXITSTATUS(status));
	else if (master.phase == MASTER_RUNNING)
		log_warn("process %s/%s pid %d killed by signal %d", conf->daemon_directory, program, (int)c->pid,
			 WTERMSIG(status));
	return false;
}

void service_child_ended(struct child *c, int status)
{
	struct service_state *s = c->service;
	int64_t lived = clock_mono_ms() - c->started_ms;
	bool good = log_end(c, status);
	bool got_nowhere = !c->ready && !c->draining;

	if (!good)
		s->restarts++;
	s->total_gone += atomic_load(&c->board->total);
	child_free(c);
	if (s->retired && list_empty(&s->children)) {
		service_forget(s);
		return;
	}
	if (master.phase != MASTER_RUNNING)
		return;
	/* One that worked for a while is replaced when it is needed; one that never got anywhere must not be tried in a
	 * loop. */
	if (!s->throttled && (got_nowhere || (!good && lived < SHORT_LIFE_MS))) { /* several at once are one trouble */
		throttle(s);
		if (s->backoff.pause_ms >= 1000)
			log_warn("%s/%s: bad command startup -- throttling", conf->daemon_directory, s->entry->program);
	}
	if (!good && s->entry->wakeup_s > 0 && !s->entry->wakeup_if_used) /* it runs even if nobody connects */
		loop_timer_set(master.loop, &s->wakeup, s->throttled ? s->backoff.until_ms + 1 : clock_mono_ms());
	service_settle(s);
}

void service_forget(struct service_state *s)
{
	loop_timer_del(master.loop, &s->throttle);
	loop_timer_del(master.loop, &s->wakeup);
	loop_timer_del(master.loop, &s->stress);
	list_remove(&s->node);
	free(s->listeners);
	free(s->name);
	free(s);
}
