/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is told what.
 *
 *	sender        failure                               delay, success
 *	somebody      notice from <>                        notice from <>
 *	<>            to the postmaster, from double-        nothing
 *	              bounce@, when notify_classes has
 *	              2bounce; else nothing
 *	double-bounce@ nothing                              nothing
 *
 * Mail with variable return paths (XVERP) has a failure notice for each recipient, unless disable_verp_bounces.
 *
 * notify_classes bounce and delay send the postmaster a copy, from double-bounce@. The journal is written after the
 * notices are durable: a crash between the two repeats a notice, it never loses one.
 */
#include "bounce/bounce.h"

#include <errno.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/proto/addr.h"
#include "lib/proto/verp.h"

struct selection {
	struct arena a;
	uint32_t *failed; /* to be journaled */
	size_t nfailed;
	uint32_t *told; /* of these, or of the delayed or delivered ones: those the sender wants to hear of */
	size_t ntold;
};

static bool wants(const struct queue_rcpt *r, unsigned what)
{
	/* RFC 3461 5.1.1: without NOTIFY, failures are reported and delays may be. */
	return r->notify == 0 ? what != QUEUE_NOTIFY_SUCCESS : (r->notify & what) != 0;
}

static bool in_job(const struct job_message *jm, uint32_t index)
{
	for (size_t i = 0; i < jm->nrcpts; i++)
		if (jm->rcpts[i].index == index)
			return true;
	return false;
}

static bool concerns(enum job_kind kind, const struct job_message *jm, const struct queue_rcpt *r, uint32_t index)
{
	switch (kind) {
	case JOB_BOUNCE:
		return r->state == QUEUE_RCPT_BOUNCED;
	case JOB_EXPIRE:
		return r->state == QUEUE_RCPT_BOUNCED || r->state == QUEUE_RCPT_PENDING;
	case JOB_WARN:
		return r->state == QUEUE_RCPT_PENDING;
	case JOB_SUCCESS:
		return in_job(jm, index);
	case JOB_DELIVER:
	case JOB_PROBE:
	case JOB_PROBE_LONG:
		break;
	}
	return false;
}

/* The sender has heard of its delay, and is to hear of its end. */
static bool delay_cleared(const struct queue_envelope *env, const struct queue_rcpt *r)
{
	return conf->confirm_delay_cleared && env->delay_warned && wants(r, QUEUE_NOTIFY_DELAY);
}

static void select_rcpts(struct selection *s, enum job_kind kind, const struct job_message *jm,
			 const struct queue_envelope *env)
{
	unsigned what = kind == JOB_WARN      ? QUEUE_NOTIFY_DELAY
			: kind == JOB_SUCCESS ? QUEUE_NOTIFY_SUCCESS
					      : QUEUE_NOTIFY_FAILURE;

	s->failed = arena_array(&s->a, env->nrcpts, sizeof *s->failed);
	s->told = arena_array(&s->a, env->nrcpts, sizeof *s->told);
	for (uint32_t i = 0; i < env->nrcpts; i++) {
		if (!concerns(kind, jm, &env->rcpts[i], i))
			continue;
		s->failed[s->nfailed++] = i;
		if (wants(&env->rcpts[i], what) || (kind == JOB_SUCCESS && delay_cleared(env, &env->rcpts[i])))
			s->told[s->ntold++] = i;
	}
}

/* --- notices ------------------------------------------------------------------------------------------------------ */

static bool class_on(const char *name)
{
	struct span rest = span_cstr(conf->notify_classes), word;

	while (span_word(&rest, ", \t\r\n", &word))
		if (span_iis(word, name))
			return true;
	return false;
}

static struct span double_bounce(struct arena *a)
{
	return span_cstr(arena_printf(a, "%s@%s", conf->double_bounce_sender, conf->myorigin));
}

static bool from_double_bounce(struct span sender)
{
	return span_iis(addr_split(sender).local, conf->double_bounce_sender);
}

/* The sender is many: each of them hears of its recipient alone. */
static bool send_each(struct queue_message *m, struct notice n, const struct selection *s)
{
	const struct queue_envelope *env = queue_envelope(m);
	bool ok = true;

	n.nrcpts = 1;
	for (size_t i = 0; ok && i < s->ntold; i++) {
		const struct queue_rcpt *r = &env->rcpts[s->told[i]];
		struct arena a = ARENA_INIT;

		n.rcpts = s->told + i;
		n.to = verp_sender(&a, env->verp, env->sender, r->original.len ? r->original : r->address);
		ok = notice_send(m, &n);
		arena_free(&a);
	}
	return ok;
}

/* A notice may report on NOTICE_RCPTS_MAX recipients: as many notices as it takes. */
static bool send_all(struct queue_message *m, struct notice n, const struct selection *s)
{
	for (size_t at = 0; at < s->ntold; at += NOTICE_RCPTS_MAX) {
		n.rcpts = s->told + at;
		n.nrcpts = s->ntold - at < NOTICE_RCPTS_MAX ? s->ntold - at : NOTICE_RCPTS_MAX;
		if (!notice_send(m, &n))
			return false;
	}
	return true;
}

static bool headers_only(const struct queue_envelope *env)
{
	return (env->flags & QUEUE_RET_HDRS) || env->size > (uint64_t)conf->bounce_size_limit;
}

static bool tell_failure(struct queue_message *m, struct selection *s, bool expired)
{
	const struct queue_envelope *env = queue_envelope(m);
	struct notice n = {
		.kind = DSN_FAILURE,
		.to = env->sender,
		.what = "sender non-delivery notification",
		.headers_only = headers_only(env),
		.expired = expired,
	};
	struct notice copy = n;

	copy.to = span_cstr(conf->bounce_notice_recipient);
	copy.sender = double_bounce(&s->a);
	copy.what = "postmaster non-delivery notification";
	if (from_double_bounce(env->sender)) {
		log_warn("%s: undeliverable postmaster notification discarded", env->id);
		return true;
	}
	if (env->sender.len == 0)
		return !class_on("2bounce") || send_all(m, copy, s);
	if (env->verp.len && !conf->disable_verp_bounces ? !send_each(m, n, s) : !send_all(m, n, s))
		return false;
	copy.headers_only = true;
	return !class_on("bounce") || send_all(m, copy, s);
}

static bool tell_delay(struct queue_message *m, struct selection *s)
{
	const struct queue_envelope *env = queue_envelope(m);
	struct notice n = {
		.kind = DSN_DELAY,
		.to = env->sender,
		.what = "sender delay notification",
		.headers_only = true,
		.retry_until = (time_t)(env->arrival_us / 1000000 + conf->maximal_queue_lifetime_ms / 1000),
	};

	if (env->sender.len == 0 || from_double_bounce(env->sender))
		return true;
	if (!send_all(m, n, s))
		return false;
	n.to = span_cstr(conf->bounce_notice_recipient);
	n.sender = double_bounce(&s->a);
	n.what = "postmaster delay notification";
	return !class_on("delay") || send_all(m, n, s);
}

static bool tell_success(struct queue_message *m, struct selection *s)
{
	const struct queue_envelope *env = queue_envelope(m);
	struct notice n = {
		.kind = DSN_SUCCESS,
		.to = env->sender,
		.what = "sender delivery status notification",
		.headers_only = true,
	};

	return env->sender.len == 0 || from_double_bounce(env->sender) || send_all(m, n, s);
}

/* --- the journal -------------------------------------------------------------------------------------------------- */

/* A recipient whose time is over keeps its last reason: NOTIFIED repeats it. */
static bool journal_failed(struct selection *s, const struct job_message *jm, const struct queue_envelope *env)
{
	struct queue_journal_entry *entries = arena_array(&s->a, s->nfailed, sizeof *entries);

	for (size_t i = 0; i < s->nfailed; i++) {
		const struct queue_rcpt *r = &env->rcpts[s->failed[i]];

		entries[i] = (struct queue_journal_entry){
			.type = QUEUE_REC_NOTIFIED,
			.rcpt = s->failed[i],
			.reason = r->reason,
			.relay = r->relay,
		};
		memcpy(entries[i].dsn, r->dsn, sizeof entries[i].dsn);
	}
	return queue_journal(jm->id, &jm->place, entries, s->nfailed, true) == 0 || errno == ENOENT;
}

static bool journal_warned(const struct job_message *jm)
{
	const struct queue_journal_entry entry = { .type = QUEUE_REC_DELAY_WARNED };

	return queue_journal(jm->id, &jm->place, &entry, 1, true) == 0 || errno == ENOENT;
}

static bool tell_and_journal(struct selection *s, struct queue_message *m, enum job_kind kind,
			     const struct job_message *jm)
{
	const struct queue_envelope *env = queue_envelope(m);
	bool ok = true;

	if (kind == JOB_WARN)
		return (s->ntold == 0 || tell_delay(m, s)) && journal_warned(jm);
	if (kind == JOB_SUCCESS)
		return s->ntold == 0 || tell_success(m, s);
	if (s->ntold > 0)
		ok = tell_failure(m, s, kind == JOB_EXPIRE);
	return ok && (s->nfailed == 0 || journal_failed(s, jm, env));
}

bool bounce_message(enum job_kind kind, const struct job_message *jm)
{
	struct selection s = { .a = ARENA_INIT };
	struct queue_message *m;
	bool ok;

	switch (queue_open(jm->id, &jm->place, &m)) {
	case QUEUE_OK:
		break;
	case QUEUE_GONE:
		return true;
	case QUEUE_CORRUPT:
		log_error("%s: the queue file is damaged; moved aside", jm->id);
		if (queue_move_corrupt(jm->id, &jm->place) < 0)
			log_error("%s: cannot move the damaged queue file: %m", jm->id);
		return true;
	case QUEUE_ERROR:
	default:
		log_error("%s: cannot read the queue file: %m", jm->id);
		return false;
	}
	select_rcpts(&s, kind, jm, queue_envelope(m));
	ok = tell_and_journal(&s, m, kind, jm);
	if (!ok)
		log_warn("%s: the sender cannot be told now; again later", jm->id);
	queue_close(m);
	arena_free(&s.a);
	return ok;
}
