/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "lib/proto/dsn.h"
#include "lib/queue/outcome.h"
#include "lib/service/command.h"
#include "lib/service/service.h"
#include "pipe/pipe.h"

enum { ANSWER_TIMEOUT_MS = 60 * 1000, ENVIRONMENT_MAX = 64 };

/* --- one command -------------------------------------------------------------------------------------------------- */

/* export_environment and a path: nothing that came with the letter. */
static char **environment(struct arena *a)
{
	char **items = arena_array(a, ENVIRONMENT_MAX + 2, sizeof *items);
	struct span rest = span_cstr(conf->export_environment), word;
	size_t n = 0;

	items[n++] = arena_strdup(a, "PATH=/usr/bin:/bin");
	while (n < ENVIRONMENT_MAX && span_word(&rest, ", \t\r\n", &word)) {
		const char *text = arena_cstr(a, word), *value = getenv(text);

		if (span_chr(word, '=') > 0)
			items[n++] = arena_strdup(a, text);
		else if (value)
			items[n++] = arena_printf(a, "%s=%s", text, value);
	}
	items[n] = NULL;
	return items;
}

/* A command may say itself what its failure means: "5.2.2 mailbox is full". */
static bool own_status(struct span said, char dsn_r[12], struct span *text_r)
{
	struct span word;

	*text_r = said;
	if (!span_word(text_r, " \t", &word) || !verdict_dsn_valid(word) || word.len >= 12 || word.ptr[0] == '2')
		return false;
	memcpy(dsn_r, word.ptr, word.len);
	dsn_r[word.len] = '\0';
	*text_r = span_trim(*text_r);
	return true;
}

static const char *in_brackets(struct arena *a, struct span said)
{
	return said.len ? arena_printf(a, " (" SPAN_FMT ")", SPAN_ARG(said)) : "";
}

static struct verdict judge(struct arena *a, int status, struct span said)
{
	const char *output = said.len ? arena_printf(a, ". Command output: " SPAN_FMT, SPAN_ARG(said)) : "";
	const char *path = pipe_attributes.argv[0];
	const struct dsn_exit *e;
	char dsn[12];
	struct span text;

	if (WIFSIGNALED(status))
		return verdict_make(a, "4.3.0", "command died of signal %d: \"%s\"%s", WTERMSIG(status), path, output);
	if (WEXITSTATUS(status) == 0)
		return verdict_make(a, "2.0.0", "delivered via %s service%s", service_name(), in_brackets(a, said));
	if (own_status(said, dsn, &text))
		return verdict_make(a, dsn, SPAN_FMT, SPAN_ARG(text));
	e = dsn_from_exit(WEXITSTATUS(status));
	if (e->status == WEXITSTATUS(status))
		return verdict_make(a, e->dsn, "%s%s", e->text, output);
	return verdict_make(a, e->dsn, "command ended with status %d: \"%s\"%s", WEXITSTATUS(status), path, output);
}

static struct verdict run(const struct delivery *d, struct letter *l, char **argv)
{
	struct content content;
	struct command c = {
		.argv = argv,
		.environment = environment(d->a),
		.directory = pipe_attributes.directory,
		.root = rights_privileged() ? pipe_attributes.root : NULL,
		.rights = &pipe_attributes.rights,
		.next = content_next,
		.arg = &content,
		.deadline_ms = clock_deadline(
		    conf_transport_time_ms(conf, service_name(), "_time_limit", conf->command_time_limit_ms)),
	};
	struct verdict v = { 0 };
	struct buf output;
	int status = 0;

	content_init(&content, d, l);
	buf_init(&output, COMMAND_OUTPUT_MAX);
	switch (command_run(&c, &status, &output)) {
	case COMMAND_NOT_STARTED:
		v = verdict_errno(d->a, "cannot start a command", errno);
		break;
	case COMMAND_NOT_FED:
		v = verdict_make(d->a, "4.3.0", "cannot read the queue file");
		break;
	case COMMAND_TIMED_OUT:
		v = verdict_make(d->a, "4.3.0", "command time limit exceeded: \"%s\"", argv[0]);
		break;
	case COMMAND_ENDED:
		v = judge(d->a, status, command_said(d->a, &output));
		break;
	}
	buf_free(&output);
	content_free(&content);
	return v;
}

static struct verdict deliver(const struct delivery *d, struct letter *l)
{
	struct verdict why;
	char **argv;

	if (pipe_attributes.size && d->letter->m->size > pipe_attributes.size)
		return verdict_make(d->a, "5.2.3", "message size %llu exceeds size limit %llu of the %s service",
				    (unsigned long long)d->letter->m->size, (unsigned long long)pipe_attributes.size,
				    service_name());
	if (pipe_attributes.flags & PIPE_DELIVERED_TO && letter_looped(l, d->rcpts[0].address))
		return verdict_make(d->a, "5.4.6", "mail forwarding loop for " SPAN_FMT, SPAN_ARG(d->rcpts[0].address));
	argv = macros_argv(d, &why);
	if (argv && d->letter->m->flags & QUEUE_PROBE)
		return verdict_make(d->a, "2.0.0", "delivers to command: %s", argv[0]);
	return argv ? run(d, l, argv) : why;
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

/* One command for all recipients, unless it is to see whom a copy is for. */
static void deliver_all(struct delivery *d, struct letter *l, struct outcome *of)
{
	size_t n = l->m->nrcpts;
	size_t share = pipe_attributes.flags & (PIPE_DELIVERED_TO | PIPE_ORIGINAL_TO) ? 1 : n;

	for (size_t i = 0; i < n; i += share) {
		struct verdict v;

		d->rcpts = l->m->rcpts + i;
		d->nrcpts = share;
		v = deliver(d, l);
		for (size_t r = i; r < i + share; r++) {
			of[r].verdict = v;
			outcome_log(l->m, &l->m->rcpts[r], &of[r]);
		}
	}
}

/* There is nothing to journal in. One that is gone is done; a damaged one qmgr reads again. */
static bool put_unreadable(struct arena *a, const struct job_message *m, enum queue_status status, struct buf *frame)
{
	struct job_result r = { .noutcomes = m->nrcpts };

	memcpy(r.id, m->id, sizeof r.id);
	r.outcomes = arena_array(a, m->nrcpts, sizeof *r.outcomes);
	for (size_t i = 0; i < m->nrcpts; i++)
		r.outcomes[i] = (struct job_outcome){
			.index = m->rcpts[i].index,
			.class = status == QUEUE_GONE ? VERDICT_OK : VERDICT_TEMP,
		};
	return job_put_result(frame, &r);
}

/* Writing things down may make a file in the queue: it must not be root's. */
static bool put_outcomes(const struct job_message *m, const struct outcome *of, struct buf *frame)
{
	bool ok;

	if (!rights_become_mail_owner())
		log_warn("cannot become the owner of the queue: %m");
	ok = outcome_report(m, of, false, SPAN_NONE, frame);
	rights_restore();
	return ok;
}

static bool deliver_message(int fd, struct arena *a, struct span nexthop, const struct job_message *m)
{
	struct letter letter;
	enum queue_status status = letter_open(&letter, a, m);
	struct outcome *of = arena_array(a, m->nrcpts, sizeof *of);
	struct delivery d = { .a = a, .letter = &letter, .nexthop = nexthop };
	struct buf frame;
	bool ok;

	for (size_t i = 0; i < m->nrcpts; i++) {
		of[i].relay = span_cstr(service_name());
		of[i].start_us = letter.start_us;
		of[i].verdict = verdict_make(a, "4.3.0", "cannot read the queue file");
	}
	if (status == QUEUE_OK) {
		deliver_all(&d, &letter, of);
		letter_close(&letter);
	}
	for (size_t i = 0; status == QUEUE_ERROR && i < m->nrcpts; i++)
		outcome_log(m, &m->rcpts[i], &of[i]);
	buf_init(&frame, FRAME_MAX);
	ok = status == QUEUE_GONE || status == QUEUE_CORRUPT ? put_unreadable(a, m, status, &frame)
							     : put_outcomes(m, of, &frame);
	ok = ok && frame_send(fd, buf_span(&frame), -1, clock_deadline(ANSWER_TIMEOUT_MS)) == IO_OK;
	buf_free(&frame);
	return ok;
}

bool job_run(int fd, struct span frame)
{
	struct arena a = ARENA_INIT;
	struct job job;
	bool ok = job_get_job(frame, &a, &job) && job.kind == JOB_DELIVER;

	if (!ok)
		log_warn("a job that makes no sense");
	for (size_t i = 0; ok && i < job.nmessages; i++)
		ok = deliver_message(fd, &a, job.nexthop, &job.messages[i]);
	arena_free(&a);
	return ok;
}
