/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One JOB: a destination and the messages for it. Letters that go plainly into one mailbox share its lock and one
 * fsync: they stay `pending' until the mailbox is closed. Everything else is done at once, with no mailbox open,
 * because an alias or command may want the same one.
 *
 * A recipient that means several things is done in an order that leaves little to repeat when something is to be tried
 * again: what is known to be impossible now, commands, files, mailboxes, copies into the queue. A mailbox among
 * several that does not take the letter now gets a queue entry of its own.
 */
#include "local/local.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/io/frame.h"
#include "lib/queue/outcome.h"
#include "local/later.h"

enum { ANSWER_TIMEOUT_MS = 60 * 1000, RESULTS_BYTES = FRAME_MAX / 2 };

struct task {
	struct letter letter;
	struct outcome *of; /* one per recipient */
	size_t pending;     /* recipients that wait for the mailbox to be closed */
	bool kept;          /* delivered, removed from the queue when its mailbox is durable */
	enum queue_status status;
};

struct pending {
	struct pending *next;
	struct task *task;
	size_t rcpt;
	const struct action *act;
};

struct run {
	struct arena *a;
	int fd;
	struct job job;
	struct span relay;
	struct mailbox *box;
	struct pending *pending, *last_pending;
	struct span planned; /* plan is this address's */
	struct plan plan;
	struct buf results;     /* RESULT frame under way */
	bool broken; /* qmgr does not take answers any more */
};

/* --- results ------------------------------------------------------------------------------------------------------ */

/* Writing things down may make a file in the queue: it must not be root's. */
static bool report_as_mail_owner(const struct job_message *m, const struct outcome *of, struct buf *frame)
{
	bool ok;

	if (!rights_become_mail_owner())
		log_warn("cannot become the owner of the queue: %m");
	ok = outcome_report(m, of, false, SPAN_NONE, frame);
	rights_restore();
	return ok;
}

static void send_results(struct run *run)
{
	if (run->results.len && frame_send(run->fd, buf_span(&run->results), -1, clock_deadline(ANSWER_TIMEOUT_MS)) != IO_OK)
		run->broken = true;
	buf_reset(&run->results);
}

/* There is nothing to journal in. One that is gone is done; a damaged one qmgr reads again and puts aside. */
static bool report_unreadable(struct run *run, const struct task *t)
{
	const struct job_message *m = t->letter.m;
	struct job_result result = { .noutcomes = m->nrcpts };
	enum verdict_class class = t->status == QUEUE_GONE ? VERDICT_OK : VERDICT_TEMP;

	memcpy(result.id, m->id, sizeof result.id);
	result.outcomes = arena_array(run->a, m->nrcpts, sizeof *result.outcomes);
	for (size_t i = 0; i < m->nrcpts; i++)
		result.outcomes[i] = (struct job_outcome){ .index = m->rcpts[i].index, .class = class };
	return job_add_result(&run->results, &result);
}

/* Results go out together, at the end of the job or before something that may take long. */
static void report(struct run *run, const struct task *t)
{
	const struct job_message *m = t->letter.m;
	bool ok;

	if (run->results.len > RESULTS_BYTES)
		send_results(run);
	if (t->status == QUEUE_GONE || t->status == QUEUE_CORRUPT)
		ok = report_unreadable(run, t);
	else if (t->kept)
		ok = outcome_report_kept(m, t->of, &run->results);
	else
		ok = report_as_mail_owner(m, t->of, &run->results);
	if (!ok)
		run->broken = true;
}

static void log_piece(struct run *run, struct task *t, size_t rcpt, const struct action *act, struct verdict v)
{
	const struct job_rcpt *r = &t->letter.m->rcpts[rcpt];
	struct job_rcpt piece = *r;
	struct outcome o = { .verdict = v, .relay = run->relay, .start_us = t->letter.start_us };

	piece.address = act->address;
	if (r->original.len == 0)
		piece.original = r->address;
	outcome_log(t->letter.m, &piece, &o);
}

/* The worst of what a recipient's parts came to; of equals the first. */
static void merge(struct task *t, size_t rcpt, struct verdict v)
{
	static const int weight[] = { [VERDICT_OK] = 0, [VERDICT_PERM] = 1, [VERDICT_TEMP] = 2 };
	struct outcome *o = &t->of[rcpt];

	if (!o->verdict.dsn[0] || weight[v.class] > weight[o->verdict.class])
		o->verdict = v;
}

static void settle(struct run *run, struct task *t, size_t rcpt, const struct action *act, struct verdict v)
{
	log_piece(run, t, rcpt, act, v);
	merge(t, rcpt, v);
}

/* Only a message that is done with this mailbox may wait for it in the queue: of others, the journal must tell the truth now. */
static bool may_wait(const struct run *run)
{
	if (!later_allowed())
		return false;
	for (const struct pending *p = run->pending; p; p = p->next)
		if (!p->task->letter.m->last || p->task->letter.m->nrcpts != 1 || p->task->pending != 1)
			return false;
	return true;
}

static void close_mailbox(struct run *run)
{
	struct deliver_wait wait = { .fd = -1 };
	const char *path = NULL;
	struct verdict v;

	if (!run->box)
		return;
	v = may_wait(run) ? mailbox_release(run->box, run->a, &wait, &path) : mailbox_close(run->box, run->a);
	run->box = NULL;
	for (struct pending *p = run->pending; p; p = p->next) {
		settle(run, p->task, p->rcpt, p->act, v);
		if (wait.wait) {
			later_add(path, &wait, p->task->letter.m);
			p->task->kept = true;
		}
		if (--p->task->pending == 0)
			report(run, p->task);
	}
	run->pending = NULL;
}

/* --- one plain mailbox -------------------------------------------------------------------------------------------- */

static struct verdict loop_verdict(struct run *run, const struct action *act)
{
	return verdict_make(run->a, "5.4.6", "mail forwarding loop for " SPAN_FMT, SPAN_ARG(act->delivered));
}

static struct verdict add_to_mailbox(struct run *run, struct task *t, size_t rcpt, const struct action *act)
{
	struct verdict v;

	if (run->box && !mailbox_is(run->box, act))
		close_mailbox(run);
	if (!run->box)
		run->box = mailbox_open(run->a, act, &v);
	if (!run->box)
		return v;
	return mailbox_add(run->box, run->a, &t->letter, &t->letter.m->rcpts[rcpt], act);
}

static void deliver_plain(struct run *run, struct task *t, size_t rcpt, const struct action *act)
{
	struct pending *p;
	struct verdict v =
	    letter_looped(&t->letter, act->delivered) ? loop_verdict(run, act) : add_to_mailbox(run, t, rcpt, act);

	if (v.class != VERDICT_OK) {
		settle(run, t, rcpt, act, v);
		return;
	}
	p = arena_alloc(run->a, sizeof *p);
	*p = (struct pending){ NULL, t, rcpt, act };
	*(run->pending ? &run->last_pending->next : &run->pending) = p;
	run->last_pending = p;
	t->pending++;
}

/* --- everything else ---------------------------------------------------------------------------------------------- */

/* A mailbox or file by itself. */
static struct verdict deliver_alone(struct run *run, struct task *t, size_t rcpt, const struct action *act)
{
	struct verdict v;
	struct mailbox *box = mailbox_open(run->a, act, &v);

	if (!box)
		return v;
	v = mailbox_add(box, run->a, &t->letter, &t->letter.m->rcpts[rcpt], act);
	if (v.class == VERDICT_OK)
		return mailbox_close(box, run->a);
	(void)mailbox_close(box, run->a);
	return v;
}

/* The copy of a mailbox that is to be tried later: \user goes straight to it, past aliases and .forward. */
static void postpone(struct run *run, struct action *act)
{
	act->kind = ACTION_FORWARD;
	act->address = span_cstr(arena_printf(run->a, "\\" SPAN_FMT, SPAN_ARG(act->address)));
	act->delivered = SPAN_NONE;
}

static struct verdict deliver_action(struct run *run, struct task *t, size_t rcpt, const struct action *act)
{
	if (act->kind == ACTION_FAIL)
		return act->verdict;
	if (letter_looped(&t->letter, act->delivered))
		return loop_verdict(run, act);
	if (act->kind == ACTION_COMMAND)
		return command_deliver(run->a, &t->letter, &t->letter.m->rcpts[rcpt], act);
	return deliver_alone(run, t, rcpt, act);
}

/* All actions of one kind. False: one of them is to be tried again, and nothing has been done yet that it would repeat.
 */
static bool deliver_kind(struct run *run, struct task *t, size_t rcpt, struct plan *p, enum action_kind kind,
			 bool *done)
{
	for (struct action *act = p->first; act; act = act->next) {
		struct verdict v;

		if (act->kind != kind)
			continue;
		v = deliver_action(run, t, rcpt, act);
		if (v.class == VERDICT_TEMP && kind == ACTION_MAILBOX && p->count > 1) {
			postpone(run, act);
			continue;
		}
		settle(run, t, rcpt, act, v);
		if (v.class == VERDICT_TEMP && !*done)
			return false;
		*done |= v.class == VERDICT_OK;
	}
	return true;
}

static bool same_copy(const struct action *x, const struct action *y)
{
	return span_eq(x->sender, y->sender) && (x->sender.ptr != NULL) == (y->sender.ptr != NULL) &&
	       span_eq(x->delivered, y->delivered);
}

/* One new message for all addresses that have sender and Delivered-To: in common with first. */
static void deliver_copy(struct run *run, struct task *t, size_t rcpt, struct action *first, bool *taken, size_t n)
{
	struct span *addresses = arena_array(run->a, n, sizeof *addresses);
	struct forward_to to = { .sender = first->sender, .delivered = first->delivered, .addresses = addresses };
	struct verdict v;
	size_t i = 0;

	for (struct action *act = first; act; act = act->next, i++)
		if (act->kind == ACTION_FORWARD && same_copy(first, act)) {
			taken[i] = true;
			addresses[to.count++] = act->address;
		}
	v = letter_looped(&t->letter, first->delivered)
		? loop_verdict(run, first)
		: forward_letter(run->a, &t->letter, &t->letter.m->rcpts[rcpt], &to);
	for (struct action *act = first; act; act = act->next)
		if (act->kind == ACTION_FORWARD && same_copy(first, act))
			log_piece(run, t, rcpt, act, v);
	merge(t, rcpt, v);
}

static void deliver_copies(struct run *run, struct task *t, size_t rcpt, struct plan *p)
{
	bool *taken = arena_array(run->a, p->count, sizeof *taken);
	size_t i = 0;

	for (struct action *act = p->first; act; act = act->next, i++)
		if (act->kind == ACTION_FORWARD && !taken[i])
			deliver_copy(run, t, rcpt, act, taken + i, p->count - i);
}

static const struct action *impossible_now(const struct plan *p)
{
	for (const struct action *act = p->first; act; act = act->next)
		if (act->kind == ACTION_FAIL && act->verdict.class == VERDICT_TEMP)
			return act;
	return NULL;
}

static void deliver_complex(struct run *run, struct task *t, size_t rcpt, struct plan *p)
{
	const struct action *stop = impossible_now(p);
	bool done = false;

	close_mailbox(run);
	send_results(run);
	if (stop) {
		settle(run, t, rcpt, stop, stop->verdict);
		return;
	}
	if (deliver_kind(run, t, rcpt, p, ACTION_COMMAND, &done) && deliver_kind(run, t, rcpt, p, ACTION_FILE, &done) &&
	    deliver_kind(run, t, rcpt, p, ACTION_MAILBOX, &done)) {
		deliver_copies(run, t, rcpt, p);
		deliver_kind(run, t, rcpt, p, ACTION_FAIL, &done);
	}
}

/* --- probes -------------------------------------------------------------------------------------------------------- */

static struct verdict would_do(struct run *run, const struct action *act)
{
	switch (act->kind) {
	case ACTION_FAIL:
		return act->verdict;
	case ACTION_MAILBOX:
		return verdict_make(run->a, "2.0.0", "delivers to mailbox");
	case ACTION_FILE:
		return verdict_make(run->a, "2.0.0", "delivers to file: %s", act->text);
	case ACTION_COMMAND:
		return verdict_make(run->a, "2.0.0", "delivers to command: %s", act->text);
	case ACTION_FORWARD:
		break;
	}
	return verdict_make(run->a, "2.0.0", "forwards to " SPAN_FMT, SPAN_ARG(act->address));
}

/* Nothing is delivered: is there anything that would take the letter? */
static void deliver_probe(struct run *run, struct task *t, size_t rcpt)
{
	struct outcome *o = &t->of[rcpt];

	o->verdict = verdict_make(run->a, "2.0.0", "delivers to nothing");
	for (struct action *act = run->plan.first; act; act = act->next) {
		struct verdict v = would_do(run, act);

		if (act == run->plan.first || v.class == VERDICT_OK)
			o->verdict = v;
		if (v.class == VERDICT_OK)
			break;
	}
	outcome_log(t->letter.m, &t->letter.m->rcpts[rcpt], o);
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

static void make_plan(struct run *run, struct span address)
{
	/* postpone() changes a plan; so only the plan of a plain mailbox is used twice. */
	if (run->planned.ptr && span_eq(run->planned, address) && run->plan.count == 1 &&
	    run->plan.first->kind == ACTION_MAILBOX)
		return;
	close_mailbox(run); /* whose owner we are while it is open */
	run->planned = address;
	run->plan = (struct plan){ NULL, NULL, 0 };
	if (span_is(run->job.transport, "virtual"))
		virtual_recipient(run->a, address, &run->plan);
	else
		expand_recipient(run->a, address, &run->plan);
}

static void deliver_rcpt(struct run *run, struct task *t, size_t rcpt)
{
	make_plan(run, t->letter.m->rcpts[rcpt].address);
	if (t->letter.m->flags & QUEUE_PROBE)
		deliver_probe(run, t, rcpt);
	else if (run->plan.count == 1 && run->plan.first->kind == ACTION_MAILBOX)
		deliver_plain(run, t, rcpt, run->plan.first);
	else
		deliver_complex(run, t, rcpt, &run->plan);
}

/* Before any mailbox is open: while one is, the process is its owner and may not read the queue. */
static void open_message(struct run *run, struct task *t, const struct job_message *m)
{
	t->of = arena_array(run->a, m->nrcpts, sizeof *t->of);
	t->status = letter_open(&t->letter, run->a, m);
}

static void deliver_message(struct run *run, struct task *t)
{
	const struct job_message *m = t->letter.m;

	for (size_t i = 0; i < m->nrcpts; i++) {
		t->of[i].relay = run->relay;
		t->of[i].start_us = t->letter.start_us;
		if (t->status == QUEUE_OK)
			deliver_rcpt(run, t, i);
		else
			t->of[i].verdict = verdict_make(run->a, "4.3.0", "cannot read the queue file");
	}
	if (t->pending == 0)
		report(run, t);
}

static void close_message(struct task *t)
{
	if (t->status == QUEUE_OK)
		letter_close(&t->letter);
}

bool job_run(int fd, struct span frame)
{
	struct arena a = ARENA_INIT;
	struct run run = { .a = &a, .fd = fd };
	struct task *tasks;

	if (!job_get_job(frame, &a, &run.job) || run.job.kind != JOB_DELIVER) {
		log_warn("a job that makes no sense");
		arena_free(&a);
		return false;
	}
	buf_init(&run.results, FRAME_MAX);
	log_hold();
	run.relay = span_is(run.job.transport, "virtual") ? SPAN("virtual") : SPAN("local");
	tasks = arena_array(&a, run.job.nmessages, sizeof *tasks);
	for (size_t i = 0; i < run.job.nmessages; i++)
		open_message(&run, &tasks[i], &run.job.messages[i]);
	for (size_t i = 0; i < run.job.nmessages && !run.broken; i++)
		deliver_message(&run, &tasks[i]);
	close_mailbox(&run);
	for (size_t i = 0; i < run.job.nmessages; i++)
		close_message(&tasks[i]);
	log_release(); /* before qmgr says "removed" */
	send_results(&run);
	buf_free(&run.results);
	arena_free(&a);
	later_run();
	return !run.broken;
}
