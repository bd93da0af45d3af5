/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtp/courier.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "lib/queue/outcome.h"
#include "smtp/letter.h"
#include "smtp/peer.h"
#include "smtp/site.h"
#include "smtp/tls_policy.h"

enum { SITE_FRESH_MS = 30 * 1000 };

struct courier {
	int qmgr;
	struct buf in, out; /* frames */
	struct arena a;     /* this job */
	char *room;         /* for encoding content */
	/* the destination, kept from job to job */
	struct arena site_arena;
	char *nexthop; /* NULL: none yet */
	struct site site;
	int64_t site_until_ms;
	struct peer *peer;
	int64_t leave_at_ms; /* nothing to do: the peer is let go then */
	size_t next_host;    /* in site.hosts: the one after peer's */
	/* this job */
	bool down; /* no host of the destination answers; its remaining messages are not tried */
	struct verdict down_why;
	struct span down_relay;
};

/* --- the destination ---------------------------------------------------------------------------------------------- */

static void leave(struct courier *c)
{
	peer_close(c->peer);
	c->peer = NULL;
}

static void head_for(struct courier *c, struct span nexthop)
{
	bool same = c->nexthop && span_is(nexthop, c->nexthop);
	int64_t now = clock_mono_ms();

	if (c->peer && (!same || now - c->peer->opened_ms > conf->smtp_connection_reuse_time_limit_ms))
		leave(c);
	if (same && (c->peer || now < c->site_until_ms))
		return;
	free(c->nexthop);
	c->nexthop = mem_strndup(nexthop.ptr, nexthop.len);
	arena_reset(&c->site_arena);
	c->site = (struct site){ 0 };
	c->site_until_ms = 0;
}

static void look_up(struct courier *c)
{
	if (clock_mono_ms() < c->site_until_ms)
		return;
	arena_reset(&c->site_arena);
	site_resolve(&c->site_arena, span_cstr(c->nexthop), &c->site);
	c->site_until_ms = clock_mono_ms() + (c->site.nhosts ? SITE_FRESH_MS : 0);
}

struct attempt {
	struct verdict why; /* of the last failure */
	struct span relay;  /* where it was, when a server was connected to */
	bool site_down;
	unsigned servers; /* connected to so far */
	bool probing;
};

/* As long as one host failed only for now, so did the destination. */
static void blame(struct attempt *t, struct verdict why, struct span relay)
{
	if (t->why.class == VERDICT_TEMP && why.class == VERDICT_PERM)
		return;
	t->why = why;
	t->relay = relay;
	t->site_down = why.class == VERDICT_TEMP && strcmp(why.dsn, "4.4.6") != 0;
}

/* Connect to the next host that takes a connection and is willing to talk. False: there is none left. */
static bool connect_next(struct courier *c, struct attempt *t)
{
	unsigned limit = (unsigned)conf->smtp_mx_session_limit;

	while (c->next_host < c->site.nhosts && (limit == 0 || t->servers < limit)) {
		const struct site_host *host = &c->site.hosts[c->next_host++];

		struct span relay = SPAN_NONE;
		struct verdict why;

		c->peer = peer_open(&c->a, host, t->probing, c->qmgr, &why, &relay);
		t->servers += relay.len > 0;
		if (c->peer)
			return true;
		if (relay.len == 0)
			log_info(SPAN_FMT, SPAN_ARG(why.text));
		blame(t, why, relay);
	}
	return false;
}

/* From the first host on. */
static bool connect_fresh(struct courier *c, struct attempt *t)
{
	if (tls_policy_forbids(&c->a, span_cstr(c->nexthop), &t->why))
		return false;
	look_up(c);
	c->next_host = 0;
	if (c->site.nhosts == 0) {
		t->why = c->site.trouble;
		t->why.text = arena_span(&c->a, t->why.text);
		t->site_down = c->site.unreachable;
		return false;
	}
	return connect_next(c, t);
}

/* --- one message -------------------------------------------------------------------------------------------------- */

/* Who failed for now is open again for the next server; what the last one said stays until that one says more. */
static void reopen_soft(struct letter *l)
{
	for (size_t i = 0; i < l->m->nrcpts; i++)
		if (l->rcpts[i].state == LETTER_SOFT)
			l->rcpts[i].state = LETTER_OPEN;
}

static bool another_server(struct courier *c, const struct attempt *t)
{
	size_t limit = (size_t)conf->smtp_mx_session_limit;

	return c->next_host < c->site.nhosts && (limit == 0 || t->servers < limit);
}

static void mark_ready(struct letter *l)
{
	for (size_t i = 0; i < l->m->nrcpts; i++)
		l->outcomes[i].ready_us = clock_wall_us();
}

/* No host to be had for those still open. */
static void give_up(struct courier *c, struct letter *l, const struct attempt *t)
{
	mark_ready(l);
	letter_fail(l, t->why, t->relay, true);
	if (!t->site_down)
		return;
	c->down = true;
	c->down_why = t->why;
	c->down_relay = t->relay;
}

/* Ask one server after the other until everybody is decided or there is no further server. */
static void try_servers(struct courier *c, struct letter *l, struct letter *next)
{
	struct attempt t = { .servers = c->peer != NULL };

	if (!letter_has(l, LETTER_OPEN))
		return;
	if (c->peer == NULL && !connect_fresh(c, &t)) {
		give_up(c, l, &t);
		return;
	}
	for (;;) {
		bool stale = !letter_send(l, c->peer, next);

		if (c->peer->dead)
			leave(c);
		if (stale) {
			leave(c);
			t.servers = 0;
			if (!connect_fresh(c, &t)) {
				give_up(c, l, &t);
				return;
			}
			continue;
		}
		if (!letter_has(l, LETTER_SOFT) || !another_server(c, &t))
			return;
		leave(c);
		if (!connect_next(c, &t))
			return; /* what the servers that spoke said stands */
		reopen_soft(l);
	}
}

static void carry(struct courier *c, struct letter *l, struct letter *next)
{
	l->start_us = clock_wall_us();
	for (size_t i = 0; i < l->m->nrcpts; i++)
		l->outcomes[i].start_us = l->start_us;
	if (c->down) {
		mark_ready(l);
		letter_fail(l, c->down_why, c->down_relay, true);
	} else {
		try_servers(c, l, next);
	}
	for (size_t i = 0; i < l->m->nrcpts; i++)
		outcome_log(l->m, &l->m->rcpts[i], &l->outcomes[i]);
}

static bool send_frame(struct courier *c)
{
	bool sent = frame_send(c->qmgr, buf_span(&c->out), -1, clock_deadline(conf->ipc_timeout_ms)) == IO_OK;

	buf_reset(&c->out);
	return sent;
}

/*
 * There is nothing to journal in. A message that is gone is done: whoever delivered the last of it removed it. A
 * damaged one qmgr reads again and puts aside.
 */
static bool report_unreadable(struct courier *c, const struct job_message *m, enum queue_status status)
{
	struct job_result r = { .noutcomes = m->nrcpts };

	log_warn("%s: queue file is %s", m->id, status == QUEUE_GONE ? "gone" : "corrupt");
	memcpy(r.id, m->id, sizeof r.id);
	r.outcomes = arena_array(&c->a, m->nrcpts, sizeof *r.outcomes);
	for (size_t i = 0; i < m->nrcpts; i++)
		r.outcomes[i] = (struct job_outcome){
			.index = m->rcpts[i].index,
			.class = status == QUEUE_GONE ? VERDICT_OK : VERDICT_TEMP,
		};
	return job_put_result(&c->out, &r) && send_frame(c);
}

static struct letter *open_letter(struct courier *c, const struct job_message *m)
{
	struct letter *l = arena_alloc(&c->a, sizeof *l);

	*l = (struct letter){ .a = &c->a, .m = m, .room = c->room };
	l->rcpts = arena_array(&c->a, m->nrcpts, sizeof *l->rcpts);
	l->outcomes = arena_array(&c->a, m->nrcpts, sizeof *l->outcomes);
	for (size_t i = 0; i < m->nrcpts; i++)
		l->rcpts[i].rcpt = &m->rcpts[i];
	l->opened = queue_open(m->id, &m->place, &l->content);
	if (l->opened == QUEUE_ERROR)
		letter_fail(l, verdict_errno(&c->a, "cannot open queue file", errno), SPAN_NONE, true);
	return l;
}

/* Is there something to be carried, or somebody to be told why not? */
static bool is_letter(const struct letter *l)
{
	return l->opened == QUEUE_OK || l->opened == QUEUE_ERROR;
}

static bool deliver(struct courier *c, struct letter *l, struct letter *next)
{
	if (!is_letter(l))
		return report_unreadable(c, l->m, l->opened);
	carry(c, l, next && is_letter(next) ? next : NULL);
	return outcome_report(l->m, l->outcomes, c->down, c->down ? c->down_why.text : SPAN_NONE, &c->out) && send_frame(c);
}

static void close_letter(struct letter *l)
{
	if (l && l->opened == QUEUE_OK)
		queue_close(l->content);
}

/* Each is opened before the one ahead of it is sent: its envelope may go with that one. False: qmgr is gone. */
static bool deliver_all(struct courier *c, const struct job *job)
{
	struct letter *l = job->nmessages ? open_letter(c, &job->messages[0]) : NULL;
	bool ok = true;

	for (size_t i = 1; ok && l; i++) {
		struct letter *next = i < job->nmessages ? open_letter(c, &job->messages[i]) : NULL;

		ok = deliver(c, l, next);
		close_letter(l);
		l = next;
	}
	close_letter(l);
	return ok;
}

/* --- jobs --------------------------------------------------------------------------------------------------------- */

/* Is anybody there? The connection is kept: jobs are to follow when there is. */
static bool probe(struct courier *c, bool patient)
{
	struct job_result result = { .id = "" };
	struct attempt t = { .probing = !patient };

	leave(c);
	c->site_until_ms = 0;
	if (!connect_fresh(c, &t)) {
		result.site_down = t.site_down;
		result.reason = t.why.text;
	}
	return job_put_result(&c->out, &result) && send_frame(c);
}

static bool do_job(struct courier *c)
{
	struct job job;

	arena_reset(&c->a);
	if (!job_get_job(buf_span(&c->in), &c->a, &job)) {
		log_error("malformed job from the queue manager");
		return false;
	}
	if (job.kind != JOB_DELIVER && job.kind != JOB_PROBE && job.kind != JOB_PROBE_LONG) {
		log_error("the queue manager asked for something that smtp does not do: %d", (int)job.kind);
		return false;
	}
	c->down = false;
	head_for(c, job.nexthop);
	if (job.kind != JOB_DELIVER)
		return probe(c, job.kind == JOB_PROBE_LONG);
	return deliver_all(c, &job);
}

static void let_go(struct courier *c)
{
	leave(c);
	c->site_until_ms = 0; /* lots are drawn anew: equal hosts share the load */
}

/* For as long as more mail may well follow, the connection stays: making one costs more than a letter. */
static bool idle(struct courier *c)
{
	if (service_draining() || conf->smtp_connection_cache_time_limit_ms == 0)
		let_go(c);
	else
		c->leave_at_ms = clock_deadline(conf->smtp_connection_cache_time_limit_ms);
	return !service_draining();
}

/* False: the session is over. */
static bool next_frame(struct courier *c)
{
	enum io_status status;

	buf_reset(&c->in);
	status = service_wait_request(c->qmgr, c->peer ? c->leave_at_ms : CLOCK_NEVER);
	if (status == IO_OK)
		status = frame_recv(c->qmgr, &c->in, NULL, CLOCK_NEVER);
	c->leave_at_ms = CLOCK_NEVER;
	if (status == IO_TIMEOUT) {
		let_go(c);
		return true;
	}
	if (status != IO_OK)
		return false;
	switch (job_type(buf_span(&c->in))) {
	case JOB_FRAME_JOB:
		return do_job(c);
	case JOB_FRAME_IDLE:
		return idle(c);
	default:
		log_error("unexpected frame from the queue manager");
		return false;
	}
}

void courier_session(const struct service_session *session)
{
	struct courier c = { .qmgr = session->fd, .room = mem_alloc(LETTER_ROOM_BYTES), .leave_at_ms = CLOCK_NEVER };
	int work = queue_work_begin();

	buf_init(&c.in, FRAME_MAX);
	buf_init(&c.out, FRAME_MAX);
	while (next_frame(&c))
		;
	leave(&c);
	close(c.qmgr);
	buf_free(&c.in);
	buf_free(&c.out);
	arena_free(&c.a);
	arena_free(&c.site_arena);
	free(c.nexthop);
	free(c.room);
	queue_work_end(work);
}
