/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tools ask for. A listing is written by a forked child from its own copy of our memory: nobody waits for it. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/io/frame.h"
#include "qmgr/qmgr.h"

enum { ANSWER_MS = 60 * 1000, LIST_FRAME_BYTES = 32 * 1024, AHEAD = 8 };

static void answer(int fd, const char *text)
{
	struct buf b;

	buf_init(&b, FRAME_MAX);
	if (job_put_answer(&b, true, span_cstr(text)))
		(void)!frame_send(fd, buf_span(&b), -1, 0); /* a tool that does not read gets no answer */
	buf_free(&b);
}

/* --- flush -------------------------------------------------------------------------------------------------------- */

struct site {
	struct span name;
	bool found;
};

static void flush_site_in(struct span key, void *dest, void *arg)
{
	struct site *site = arg;
	struct dest *d = dest;
	ptrdiff_t at = span_rchr(key, '@');

	if (!span_ieq(d->nexthop, site->name) && !(at >= 0 && span_ieq(span_skip(key, (size_t)at + 1), site->name)))
		return;
	site->found = true;
	dest_probe_now(d);
	dest_release_waiters(d);
}

static void flush_site(struct span name, void *transport, void *arg)
{
	struct transport *t = transport;

	(void)name;
	htab_each(&t->dests, flush_site_in, arg);
}

/* --- listing ------------------------------------------------------------------------------------------------------ */

/* A million ids are sorted by their first bytes, which lie side by side, and not by following as many pointers. */
struct listed {
	uint64_t key[2];
	const char *id;
	const struct queue_place *place;
	struct message *message; /* NULL: the scan has not come to it yet */
};

struct listing {
	struct listed *messages;
	size_t n, capacity;
	struct arena unread; /* ids and places of what is not in memory */
	struct arena scratch;
	int fd;
	struct buf entries, frame;
};

/* key: the bytes of the id */
static void add(struct listing *l, struct span key, const char *id, const struct queue_place *place, struct message *message)
{
	struct listed *at;

	if (l->n == l->capacity) {
		l->capacity = l->capacity ? 2 * l->capacity : message_count() + 1;
		l->messages = mem_realloc_array(l->messages, l->capacity, sizeof *l->messages);
	}
	at = &l->messages[l->n++];
	*at = (struct listed){ .id = id, .place = place, .message = message };
	memcpy(at->key, key.ptr, key.len < sizeof at->key ? key.len : sizeof at->key);
	at->key[0] = be64toh(at->key[0]);
	at->key[1] = be64toh(at->key[1]);
}

static void collect(struct span id, void *message, void *arg)
{
	struct message *m = message;

	add(arg, id, m->id, &m->place, m);
}

static bool collect_unread(const char *id, const struct queue_place *place, void *arg)
{
	struct listing *l = arg;
	struct {
		char id[QUEUE_ID_MAX];
		struct queue_place place;
	} *copy;

	if (message_find(span_cstr(id)) || kept_by_agent(id))
		return true;
	copy = arena_alloc(&l->unread, sizeof *copy);
	memset(copy, 0, sizeof *copy);
	memcpy(copy->id, id, strlen(id));
	copy->place = *place;
	add(l, span_cstr(id), copy->id, &copy->place, NULL);
	return true;
}

static int by_id(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	if (x->key[0] != y->key[0])
		return x->key[0] < y->key[0] ? -1 : 1;
	if (x->key[1] != y->key[1])
		return x->key[1] < y->key[1] ? -1 : 1;
	return strcmp(x->id, y->id);
}

static void send_entries(struct listing *l, bool done)
{
	if (!job_put_answer(&l->frame, done, buf_span(&l->entries)) ||
	    frame_send(l->fd, buf_span(&l->frame), -1, clock_deadline(ANSWER_MS)) != IO_OK)
		_exit(1);
	buf_reset(&l->entries);
}

/* Recipients that wait for a site without an attempt of their own have no reason in the journal: the site has one. */
static void add_reason(const struct message *m, struct queue_envelope *env)
{
	struct list_node *first = list_first(&m->waits);

	for (size_t i = 0; first && i < env->nrcpts; i++)
		if (env->rcpts[i].state == QUEUE_RCPT_PENDING && env->rcpts[i].reason.len == 0)
			env->rcpts[i].reason = span_cstr(list_entry(first, struct wait, in_message)->dest->reason);
}

static enum job_list_state state_of(const struct message *m, const struct queue_envelope *env)
{
	static const enum job_list_state states[] = {
		[MESSAGE_ASLEEP] = JOB_LIST_DEFERRED, [MESSAGE_HELD] = JOB_LIST_HOLD, [MESSAGE_AWAKE] = JOB_LIST_ACTIVE,
	};

	if (m == NULL)
		return env->held ? JOB_LIST_HOLD : JOB_LIST_INCOMING;
	return m->fresh && m->state == MESSAGE_ASLEEP ? JOB_LIST_INCOMING : states[m->state];
}

/* One that does not fit a frame (thousands of recipients) is listed with as many of them as fit. */
static void add_entry(struct listing *l, const struct message *m, struct queue_envelope *env)
{
	enum job_list_state state = state_of(m, env);
	size_t before = l->entries.len;

	if (m)
		add_reason(m, env);
	job_put_list_entry(&l->entries, state, env);
	while (l->entries.overflow && env->nrcpts > 1) {
		l->entries.overflow = false;
		buf_truncate(&l->entries, before);
		if (before > 0)
			send_entries(l, false); /* again, alone in its frame */
		else
			env->nrcpts /= 2;
		before = 0;
		job_put_list_entry(&l->entries, state, env);
	}
	if (l->entries.len > LIST_FRAME_BYTES)
		send_entries(l, false);
}

/* From memory, when all is there that a listing shows. */
static bool list_remembered(struct listing *l, const struct message *m)
{
	struct queue_envelope env;

	if (m->awake && !m->awake->reasons_unknown && !m->reread) {
		env = m->awake->env;
	} else if (m->summary) {
		summary_get(m->summary, &l->scratch, &env);
		memcpy(env.id, m->id, sizeof env.id);
	} else {
		return false;
	}
	add_entry(l, m, &env);
	arena_reset(&l->scratch);
	return true;
}

static void list_message(struct listing *l, const struct listed *at)
{
	struct queue_message *file;
	struct queue_envelope env;

	if (at->message && list_remembered(l, at->message))
		return;
	if (queue_open_envelope(at->id, at->place, &file) != QUEUE_OK)
		return; /* delivered meanwhile */
	env = *queue_envelope(file);
	add_entry(l, at->message, &env);
	queue_close(file);
}

/* Messages lie about in memory: most of the time of a listing would be spent on waiting for one after the other. */
static void look_ahead(const struct listing *l, size_t i)
{
	if (i + 2 * AHEAD < l->n)
		__builtin_prefetch(l->messages[i + 2 * AHEAD].message ? &l->messages[i + 2 * AHEAD].message->state : NULL);
	if (i + AHEAD < l->n && l->messages[i + AHEAD].message)
		__builtin_prefetch(l->messages[i + AHEAD].message->summary);
}

static void list(int fd)
{
	struct listing l = { .fd = fd, .unread = ARENA_INIT, .scratch = ARENA_INIT };

	message_each(collect, &l);
	if (!scan_complete())
		queue_scan(collect_unread, &l); /* as much as can be read: the rest would not be delivered either */
	if (l.n)
		qsort(l.messages, l.n, sizeof *l.messages, by_id);
	buf_init(&l.entries, FRAME_MAX - 64);
	buf_init(&l.frame, FRAME_MAX);
	for (size_t i = 0; i < l.n; i++) {
		look_ahead(&l, i);
		list_message(&l, &l.messages[i]);
	}
	send_entries(&l, true);
	_exit(0);
}

static void start_list(int fd)
{
	switch (fork()) {
	case -1:
		log_warn("cannot fork to list the queue: %m");
		break;
	case 0:
		list(fd);
		break;
	default:
		break; /* reaped by the loop's SIGCHLD handler */
	}
}

/* --- status ------------------------------------------------------------------------------------------------------- */

static void status_dest(struct span key, void *dest, void *arg)
{
	const struct dest *d = dest;
	size_t waiting = 0;

	if (d->state != DEST_DOWN)
		return;
	list_for_each(n, &d->waiters)
		waiting++;
	buf_addf(arg, "down " SPAN_FMT " waiting %zu probes %u (%s)\n", SPAN_ARG(key), waiting, d->probes, d->reason);
}

static void status_transport(struct span name, void *transport, void *arg)
{
	struct transport *t = transport;

	buf_addf(arg, "transport " SPAN_FMT " agents %u destinations %zu%s\n", SPAN_ARG(name), t->agents, t->dests.count,
		 t->down ? " unavailable" : "");
	htab_each(&t->dests, status_dest, arg);
}

static void status(int fd)
{
	struct buf text;

	buf_init(&text, FRAME_MAX / 2);
	buf_addf(&text, "messages %zu active %zu\n", message_count(), message_awake_count());
	transport_each(status_transport, &text);
	answer(fd, buf_cstr(&text));
	buf_free(&text);
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static void changed(const char *id)
{
	struct message *m = message_find(span_cstr(id));

	if (m)
		message_changed(m);
	else if (!kept_by_agent(id))
		scan_start(0);
}

static void undelivered(const char *id)
{
	struct message *m = message_find(span_cstr(id));

	kept_drop(id);
	if (m)
		m->kept = false;
	changed(id);
}

bool control_request(int fd, const struct job_control *c, bool privileged)
{
	struct site site = { c->argument, false };
	char id[QUEUE_ID_MAX];
	struct message *m;

	snprintf(id, sizeof id, SPAN_FMT, SPAN_ARG(c->argument));

	switch (c->verb) {
	case JOB_VERB_FLUSH:
		message_flush_all();
		answer(fd, "ok");
		break;
	case JOB_VERB_FLUSH_ID:
		m = message_find(c->argument);
		if (m)
			message_wake_now(m, true);
		answer(fd, m ? "ok" : "no such message");
		break;
	case JOB_VERB_FLUSH_SITE:
		transport_each(flush_site, &site);
		answer(fd, site.found ? "ok" : "nothing is queued for this site");
		break;
	case JOB_VERB_LIST:
		start_list(fd);
		return false;
	case JOB_VERB_CHANGED:
		if (privileged)
			changed(id);
		answer(fd, privileged ? "ok" : "not permitted");
		break;
	case JOB_VERB_UNDELIVERED:
		if (privileged)
			undelivered(id);
		break;
	case JOB_VERB_STATUS:
		status(fd);
		break;
	default:
		answer(fd, "unknown request");
	}
	return true;
}
