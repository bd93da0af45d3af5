/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reject_unverified_sender, reject_unverified_recipient: would mail to this address be delivered? What is not in the cache is found
 * out by a probe, a letter that is carried up to the point where it would be delivered; its result comes into the cache.
 */
#include "lib/queue/verify.h"

#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/wait.h"
#include "lib/queue/job.h"
#include "lib/route/route.h"
#include "smtpd/restrict.h"

enum { RECIPIENTS_MAX = 1000, LOOK_FIRST_MS = 20, LOOK_MAX_MS = 320 };

/* --- the probe ---------------------------------------------------------------------------------------------------- */

static struct span probe_sender(struct arena *a)
{
	struct span text = span_cstr(conf->address_verify_sender);
	long long ttl_s = conf->address_verify_sender_ttl_ms / 1000;
	struct addr addr;

	if (text.len == 0 || span_is(text, "<>"))
		return SPAN_NONE;
	addr = addr_split(route_rewrite(a, text));
	if (ttl_s > 0) /* an address that nobody can list for long */
		addr.local = span_cstr(arena_printf(a, SPAN_FMT "%llx", SPAN_ARG(addr.local),
						    (unsigned long long)(time(NULL) / ttl_s)));
	return addr_internal(a, addr);
}

static bool put_in_queue(struct arena *a, struct queue_envelope *env)
{
	struct queue_place place;
	struct queue_writer *w = queue_create(env);

	queue_write(w, span_cstr(arena_printf(a, "Message-ID: <%s@%s>\n\n", env->id, conf->myhostname)));
	env->size = queue_written(w);
	if (queue_commit(w, &place) < 0) {
		log_error("%s: queue file write error: %m", env->id);
		return false;
	}
	log_info("%s: message-id=<%s@%s>", env->id, env->id, conf->myhostname);
	(void)job_announce(env, &place);
	return true;
}

/* Nobody is told of what becomes of it but the cache. */
static void send_probe(struct arena *a, struct span address)
{
	struct queue_envelope env = { .arrival_us = clock_wall_us(), .flags = QUEUE_PROBE | QUEUE_LOCAL };
	enum map_status st;
	struct span *list;

	st = route_virtual_alias(a, address, RECIPIENTS_MAX, &list, &env.nrcpts);
	if (st != MAP_OK) {
		verify_update(address, VERDICT_TEMP,
			      st == MAP_TEMP ? SPAN("Temporary lookup failure") : SPAN("Alias expansion error"));
		return;
	}
	queue_new_id(env.id);
	env.sender = probe_sender(a);
	env.rcpts = arena_array(a, env.nrcpts ? env.nrcpts : 1, sizeof *env.rcpts);
	for (size_t i = 0; i < env.nrcpts; i++)
		env.rcpts[i] = (struct queue_rcpt){ .address = list[i],
						    .original = span_eq(list[i], address) ? SPAN_NONE : address,
						    .notify = QUEUE_NOTIFY_NEVER };
	if (!put_in_queue(a, &env))
		verify_forget(address);
}

/* --- the question ------------------------------------------------------------------------------------------------- */

static bool ask(struct check *c, struct span address, struct verify_answer *r)
{
	if (!verify_query(address, true, r))
		return false;
	if (r->probe)
		send_probe(&c->s->cmd, address);
	return true;
}

/* address_verify_poll_count looks at the cache, address_verify_poll_delay between them; a result is seen as soon as it is there. */
static bool ask_and_wait(struct check *c, struct span address, struct verify_answer *r)
{
	int64_t until_ms = clock_deadline((conf->address_verify_poll_count - 1) * conf->address_verify_poll_delay_ms);
	int64_t pause_ms = LOOK_FIRST_MS;

	if (!ask(c, address, r))
		return false;
	if (r->status == VERIFY_UNKNOWN)
		(void)!stream_flush(c->s->stream); /* replies gathered so far */
	while (r->status == VERIFY_UNKNOWN && clock_mono_ms() < until_ms) {
		int64_t next_ms = clock_deadline(pause_ms);

		if (io_sleep_until(next_ms < until_ms ? next_ms : until_ms) == IO_STOPPING)
			break;
		pause_ms = pause_ms < LOOK_MAX_MS ? 2 * pause_ms : LOOK_MAX_MS;
		if (!verify_query(address, false, r))
			return false;
	}
	return true;
}

struct replies {
	int reject_code, defer_code;
	const char *tempfail_action, *reason, *dsn;
};

static enum decision judge(struct check *c, struct about_text t, const struct replies *p, const struct verify_answer *r)
{
	const char *why = *p->reason ? p->reason : r->text;
	int code = r->status == VERIFY_OK ? 250 : r->status == VERIFY_BOUNCE ? p->reject_code : p->defer_code;

	if (code < 400)
		return NEXT;
	if (code < 500)
		return put_off(c, p->tempfail_action, code, p->dsn, "<" SPAN_FMT ">: %s rejected: unverified address: %.250s",
			       SPAN_ARG(t.name), t.what, why);
	return refuse(c, code, p->dsn, "<" SPAN_FMT ">: %s rejected: undeliverable address: %s", SPAN_ARG(t.name), t.what, why);
}

enum decision reject_unverified(struct check *c, const struct use *u)
{
	bool is_sender = u->rule->about == ABOUT_SENDER;
	const struct replies for_sender = { (int)conf->unverified_sender_reject_code, (int)conf->unverified_sender_defer_code,
					    conf->unverified_sender_tempfail_action, conf->unverified_sender_reject_reason,
					    "4.1.7" };
	const struct replies for_recipient = { (int)conf->unverified_recipient_reject_code,
					       (int)conf->unverified_recipient_defer_code,
					       conf->unverified_recipient_tempfail_action,
					       conf->unverified_recipient_reject_reason, "4.1.1" };
	const struct replies *p = is_sender ? &for_sender : &for_recipient;
	struct about_text t = about_text(c, u->rule->about);
	struct verify_answer r;

	if (!t.present)
		return NEXT;
	if (ask_and_wait(c, is_sender ? c->s->txn.env.sender : c->recipient, &r))
		return judge(c, t, p, &r);
	return put_off(c, p->tempfail_action, 450, p->dsn, "<" SPAN_FMT ">: %s rejected: address verification problem",
		       SPAN_ARG(t.name), t.what);
}
