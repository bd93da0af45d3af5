/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a message. Awake, its recipients are sorted into tasks; when the last task is done a round is over: notices that
 * are owed are written (as tasks of their own), and then the message is removed or goes to sleep until its next attempt.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/queue/outcome.h"
#include "lib/queue/verify.h"
#include "qmgr/qmgr.h"
#include "qmgr/sort.h"

enum { GONE_SLOTS = 4096, CRASHES_MAX = 3, RETRY_AFTER_CRASH_MS = 1000, SETTLE_STEP = 4, FLUSH_STEP = 1000 };

static struct htab messages;
static struct list unsettled = LIST_INIT(unsettled); /* asleep, and still in the log */
static size_t awake_count, probe_count, old_count; /* the last two: of those that are awake */
/* Ids of messages removed lately: the announcement of one that the scan found first may still be on its way. */
static char gone[GONE_SLOTS][QUEUE_ID_MAX];

static void timer_fired(struct loop_timer *timer);
static void end_round(struct message *m);

struct message *message_find(struct span id)
{
	return htab_get(&messages, id);
}

size_t message_count(void)
{
	return messages.count;
}

size_t message_awake_count(void)
{
	return awake_count;
}

size_t message_old_count(void)
{
	return old_count;
}

bool message_too_many_probes(void)
{
	return probe_count > (size_t)conf->address_verify_pending_request_limit;
}

void message_each(void (*each)(struct span id, void *message, void *arg), void *arg)
{
	htab_each(&messages, each, arg);
}

/* --- coming and going --------------------------------------------------------------------------------------------- */

static char *gone_slot(const char *id)
{
	return gone[hash_bytes(span_cstr(id)) % GONE_SLOTS];
}

static void drop_waits(struct message *m)
{
	struct list_node *n;

	while ((n = list_first(&m->waits)) != NULL) {
		struct wait *w = list_entry(n, struct wait, in_message);

		list_remove(&w->in_message);
		list_remove(&w->in_dest);
		free(w);
	}
}

static void drop_awake(struct message *m)
{
	if (m->awake == NULL)
		return;
	probe_count -= message_is_probe(m);
	old_count -= m->line != READY_NEW;
	arena_free(&m->awake->arena);
	free(m->awake);
	m->awake = NULL;
	awake_count--;
}

/* What a listing says of it stays in memory: a queue is listed without reading its files. */
static void summarize(struct message *m)
{
	summary_free(m->summary);
	m->summary = m->awake->reasons_unknown || m->reread ? NULL : summary_make(&m->awake->env);
	drop_awake(m);
}

static void drop_summary(struct message *m)
{
	summary_free(m->summary);
	m->summary = NULL;
}

static void forget(struct message *m)
{
	memcpy(gone_slot(m->id), m->id, QUEUE_ID_MAX);
	htab_del(&messages, span_cstr(m->id));
	loop_timer_del(qmgr_loop, &m->timer);
	list_remove(&m->in_ready);
	list_remove(&m->in_unsettled);
	drop_waits(m);
	drop_awake(m);
	summary_free(m->summary);
	free(m);
}

static void remove_done(struct message *m)
{
	if (!m->awake->removed && queue_remove(m->id, &m->place) < 0) {
		/* It stays, and would be delivered again: try again before anything else does. */
		log_error("%s: cannot remove the delivered message: %m", m->id);
		drop_awake(m);
		m->state = MESSAGE_ASLEEP;
		loop_timer_set(qmgr_loop, &m->timer, clock_deadline(conf->minimal_backoff_time_ms));
		return;
	}
	log_info("%s: removed", m->id);
	forget(m);
}

static void keep_awake(struct message *m, const struct queue_envelope *env)
{
	m->awake = mem_zalloc(sizeof *m->awake);
	awake_count++;
	sort_copy_envelope(&m->awake->arena, env, &m->awake->env);
	probe_count += message_is_probe(m);
	old_count += m->line != READY_NEW;
}

struct message *message_add(const char *id, const struct queue_place *place, const struct queue_envelope *env)
{
	struct message *m;

	if (htab_get(&messages, span_cstr(id)) || (env && strcmp(gone_slot(id), id) == 0) || kept_by_agent(id))
		return NULL;
	m = mem_zalloc(sizeof *m);
	memcpy(m->id, id, QUEUE_ID_MAX);
	m->place = *place;
	m->timer.fire = timer_fired;
	m->fresh = env != NULL;
	m->found = env == NULL || scan_may_have_found(id);
	m->kept = kept_take(id);
	list_init(&m->waits);
	htab_put(&messages, span_cstr(m->id), m);
	if (env)
		ready_count_new();
	if (env && ready_place_for_new()) {
		keep_awake(m, env);
		message_wake(m); /* new mail does not stand in line behind what sleeps */
		return htab_get(&messages, span_cstr(id));
	}
	message_wake_now(m, false);
	return m;
}

/* --- awake -------------------------------------------------------------------------------------------------------- */

/* Read it from disk. False: it is gone, damaged (moved aside) or cannot be read now; m is no more, or sleeps. */
static bool load(struct message *m)
{
	struct queue_message *file;
	enum queue_status status = queue_open(m->id, &m->place, &file);

	switch (status) {
	case QUEUE_OK:
		break;
	case QUEUE_GONE:
		forget(m);
		return false;
	case QUEUE_CORRUPT:
		log_error("%s: the queue file is damaged: moved to corrupt/%s", m->id, m->id);
		if (queue_move_corrupt(m->id, &m->place) < 0)
			log_error("%s: cannot be moved: %m", m->id);
		forget(m);
		return false;
	case QUEUE_ERROR:
		log_error("%s: cannot read the queue file: %m", m->id);
		m->state = MESSAGE_ASLEEP;
		loop_timer_set(qmgr_loop, &m->timer, clock_deadline(conf->minimal_backoff_time_ms));
		return false;
	}
	keep_awake(m, queue_envelope(file));
	queue_close(file);
	if (m->awake->env.corrupt_journal && queue_repair(m->id, &m->place) < 0)
		log_error("%s: cannot repair the journal: %m", m->id);
	return true;
}

void message_wake(struct message *m)
{
	struct queue_envelope *env;

	loop_timer_del(qmgr_loop, &m->timer);
	if (m->awake == NULL && !load(m))
		return;
	env = &m->awake->env;
	if (env->held) {
		m->state = MESSAGE_HELD;
		drop_waits(m);
		summarize(m);
		return;
	}
	if (m->state == MESSAGE_ASLEEP && sort_nothing_due(m)) { /* started up, or one of several sites came back */
		int64_t due = sort_next_attempt_ms(m);

		m->looked_at = true;
		summarize(m);
		loop_timer_set(qmgr_loop, &m->timer, due);
		return;
	}
	m->state = MESSAGE_AWAKE;
	m->reread = false;
	drop_summary(m);
	m->awake->active_us = clock_wall_us();
	m->awake->again = m->found || !m->fresh;
	log_info("%s: from=<" SPAN_FMT ">, size=%llu, nrcpt=%zu (queue active)", m->id, SPAN_ARG(env->sender),
		 (unsigned long long)env->size, env->nrcpts);
	m->awake->tasks = 1; /* our own hand on it: sorting may finish tasks at once */
	sort_into_tasks(m);
	m->flush = m->fresh = m->released = false;
	if (--m->awake->tasks == 0)
		end_round(m);
}

void message_wake_now(struct message *m, bool flush)
{
	m->flush |= flush;
	if (m->state == MESSAGE_AWAKE) {
		m->reread = true;
		return;
	}
	if (m->state != MESSAGE_HELD)
		ready_add(m, m->fresh ? READY_NEW : m->looked_at && !m->released ? READY_PATIENT : READY_PROMPT);
}

static void timer_fired(struct loop_timer *timer)
{
	message_wake_now(list_entry(timer, struct message, timer), false);
}

/*
 * A walk over a million messages takes a good part of a second, so it is made in pieces. Who asks again meanwhile means also
 * those that the walk has passed.
 */
static struct {
	bool asked, walking;
	size_t at;
} flush;

static void flush_one(struct span id, void *message, void *arg)
{
	(void)id;
	(void)arg;
	message_wake_now(message, true);
}

void message_flush_all(void)
{
	flush.asked = true;
}

bool message_flush_some(void)
{
	if (!flush.walking && flush.asked) {
		flush.asked = false;
		flush.walking = true;
		flush.at = 0;
	}
	if (flush.walking)
		flush.walking = htab_walk(&messages, &flush.at, FLUSH_STEP, flush_one, NULL);
	return flush.walking || flush.asked;
}

/* postsuper changed it on disk: held, released, requeued, expired or deleted. */
void message_changed(struct message *m)
{
	struct queue_message *file;

	if (m->state == MESSAGE_AWAKE) {
		m->reread = true;
		return;
	}
	drop_summary(m);
	m->looked_at = false;
	if (queue_open(m->id, &m->place, &file) == QUEUE_OK) {
		const struct queue_envelope *env = queue_envelope(file);

		m->state = MESSAGE_ASLEEP;
		m->flush |= env->expired;
		queue_close(file);
	}
	message_wake_now(m, m->state == MESSAGE_HELD);
}

/* --- what becomes of recipients ----------------------------------------------------------------------------------- */

static void set_reason(struct message *m, struct queue_rcpt *r, struct span reason)
{
	r->reason = arena_span(&m->awake->arena, reason);
	m->awake->reasons_unknown |= reason.len == 0;
}

static void count_outcome(struct message *m, uint32_t rcpt, enum verdict_class class)
{
	struct queue_rcpt *r = &m->awake->env.rcpts[rcpt];

	r->last_us = clock_wall_us();
	switch (class) {
	case VERDICT_OK:
		r->state = QUEUE_RCPT_DELIVERED;
		break;
	case VERDICT_PERM:
		r->state = QUEUE_RCPT_BOUNCED;
		break;
	case VERDICT_TEMP:
		r->attempts++;
		break;
	}
}

bool message_is_probe(const struct message *m)
{
	return (m->awake->env.flags & QUEUE_PROBE) != 0;
}

/* Whatever came of it, this recipient of a probe is done with; only when nothing came it is asked again. */
static void probe_outcome(struct message *m, uint32_t rcpt, enum verdict_class class, struct span reason)
{
	const struct queue_rcpt *r = &m->awake->env.rcpts[rcpt];

	if (reason.len && r->original.len)
		verify_update(r->original, class, reason);
	if (reason.len)
		verify_update(r->address, class, reason);
	count_outcome(m, rcpt, reason.len ? VERDICT_OK : class == VERDICT_PERM ? VERDICT_TEMP : class);
}

void message_outcome(struct message *m, uint32_t rcpt, enum verdict_class class, struct span reason)
{
	if (rcpt >= m->awake->env.nrcpts)
		return;
	if (message_is_probe(m)) {
		probe_outcome(m, rcpt, class, reason);
		return;
	}
	count_outcome(m, rcpt, class);
	if (class != VERDICT_OK)
		set_reason(m, &m->awake->env.rcpts[rcpt], reason);
}

void message_passed_on(struct message *m, uint32_t rcpt)
{
	struct queue_envelope *env = &m->awake->env;

	if (rcpt < env->nrcpts)
		env->rcpts[rcpt].notify &= (uint8_t)~QUEUE_NOTIFY_SUCCESS;
}

void message_notice_failed(struct message *m)
{
	m->awake->notice_failed = true;
}

static void log_verdict(struct message *m, uint32_t rcpt, struct verdict v)
{
	const struct queue_rcpt *r = &m->awake->env.rcpts[rcpt];
	struct job_rcpt jr = { rcpt, r->address, r->original, r->orcpt, r->notify };
	struct job_message jm = { .arrival_us = m->awake->env.arrival_us,
				  .active_us = m->awake->active_us,
				  .flags = m->awake->env.flags };
	struct outcome o = { .verdict = v, .start_us = clock_wall_us() };

	memcpy(jm.id, m->id, sizeof jm.id);
	outcome_log(&jm, &jr, &o);
}

/* How it counts: a failure for good that is not in the journal would be told to nobody, so it is tried again. */
static enum verdict_class journal_verdict(struct message *m, uint32_t rcpt, struct verdict v)
{
	static const enum queue_record types[] = {
		[VERDICT_OK] = QUEUE_REC_DELIVERED,
		[VERDICT_TEMP] = QUEUE_REC_DEFERRED,
		[VERDICT_PERM] = QUEUE_REC_BOUNCED,
	};
	struct queue_journal_entry e = { types[v.class], rcpt, "", v.text, SPAN_NONE };

	memcpy(e.dsn, v.dsn, sizeof e.dsn);
	if (queue_journal(m->id, &m->place, &e, 1, v.class != VERDICT_TEMP) == 0)
		return v.class;
	log_warn("%s: cannot write the journal: %m", m->id);
	return v.class == VERDICT_PERM ? VERDICT_TEMP : v.class;
}

void message_verdict(struct message *m, uint32_t rcpt, struct verdict v)
{
	struct verdict final = outcome_final(v);

	log_verdict(m, rcpt, v);
	if (message_is_probe(m)) {
		probe_outcome(m, rcpt, v.class, v.text);
		return;
	}
	/* No attempt was made, so what is in the log stays there for now: the listing takes the reason from the destination. */
	if (final.class == VERDICT_PERM || m->place.segment == 0) {
		final.class = journal_verdict(m, rcpt, final);
		set_reason(m, &m->awake->env.rcpts[rcpt], final.text);
	}
	count_outcome(m, rcpt, final.class);
}

void message_settle(struct message *m, uint32_t rcpt, struct verdict v)
{
	struct verdict final = outcome_final(v);

	log_verdict(m, rcpt, v);
	if (message_is_probe(m)) {
		probe_outcome(m, rcpt, v.class, v.text);
		return;
	}
	/* The removal of the message says that its only recipient is done with. */
	if (final.class != VERDICT_OK || m->awake->env.nrcpts > 1)
		final.class = journal_verdict(m, rcpt, final);
	message_outcome(m, rcpt, final.class, final.text);
}

/* --- the end of a round ------------------------------------------------------------------------------------------- */

void message_task_done(struct task *t)
{
	struct message *m = t->message;

	list_remove(&t->in_dest);
	if (--m->awake->tasks == 0)
		end_round(m);
}

static void sleep_until(struct message *m, int64_t at_ms)
{
	m->looked_at = !m->reread;
	summarize(m);
	m->state = MESSAGE_ASLEEP;
	loop_timer_set(qmgr_loop, &m->timer, at_ms);
	if (m->place.segment && !list_linked(&m->in_unsettled))
		list_append(&unsettled, &m->in_unsettled);
}

/* What sleeps must not keep a segment of the log from being used again. Each costs two syncs: a few at a time, between
 * other work. */
void message_settle_some(void)
{
	for (int i = 0; i < SETTLE_STEP; i++) {
		struct list_node *n = list_first(&unsettled);
		struct message *m = n ? list_entry(n, struct message, in_unsettled) : NULL;

		if (m == NULL)
			return;
		list_remove(n);
		if (m->state == MESSAGE_AWAKE)
			continue; /* again when it sleeps */
		if (queue_settle(m->id, &m->place) < 0) {
			log_warn("%s: cannot be moved out of the queue log: %m", m->id);
			list_append(&unsettled, n);
			return;
		}
		m->place = (struct queue_place){ 0 };
	}
}

bool message_unsettled(void)
{
	return !list_empty(&unsettled);
}

static void end_round(struct message *m)
{
	struct queue_envelope *env = &m->awake->env;
	int64_t due;

	/* A site came back, or postsuper was here, while it was awake: what is on disk decides. Not when all is delivered: that is
	 * not written down, because the removal of the file says it. */
	if (m->reread && !sort_all_done(env)) {
		sleep_until(m, clock_mono_ms()); /* without a summary */
		m->reread = false;
		return;
	}
	if (!m->awake->notice_failed && sort_notices(m))
		return; /* their end leads here again */
	if (!m->awake->notice_failed && sort_all_done(env)) {
		remove_done(m);
		return;
	}
	due = sort_next_attempt_ms(m);
	if (m->awake->notice_failed && due < clock_deadline(conf->minimal_backoff_time_ms))
		due = clock_deadline(conf->minimal_backoff_time_ms);
	if (m->crashes > 0 && m->crashes <= CRASHES_MAX)
		due = clock_deadline(RETRY_AFTER_CRASH_MS);
	sleep_until(m, due);
}
