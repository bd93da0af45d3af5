/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plays qmgr to one delivery worker: jobplay QUEUE_DIRECTORY SOCKET, then one command a line on standard input, answers
 * on standard output, each command's last line being "ok" or "failed: why".
 *
 *	new NAME SENDER FLAGS FILE RCPT...	put a message in the queue; SENDER `-': null
 *						RCPT: address[|notify[|orcpt[|original]]]
 *	last 0|1				whether the jobs to follow hold all pending recipients (1)
 *	job TRANSPORT NEXTHOP NAME...		"result NAME down=0 0=sent 1=deferred (reason)" for each
 *						"passed": sent and passed_on
 *	probe TRANSPORT NEXTHOP			"probe down=1 (reason)"
 *	idle					nothing to do for this destination
 *	show NAME				"rcpt 0 state=1 attempts=0 dsn=2.0.0 relay=R (reason)" for each
 *						or "gone"
 *	drop					close the connection and make a new one
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/io/frame.h"
#include "lib/queue/job.h"

enum { MESSAGES_MAX = 20000, WORDS_MAX = 4096, WAIT_MS = 120000 };

static struct message {
	char *name;
	struct queue_envelope env;
	struct queue_place place;
} messages[MESSAGES_MAX];
static size_t nmessages;

static struct arena forever, command;
static struct buf frame;
static const char *socket_path;
static int worker = -1;
static bool last = true;

static void fail(const char *what)
{
	printf("failed: %s: %s\n", what, strerrordesc_np(errno));
}

static struct message *find(struct span name)
{
	for (size_t i = nmessages; i-- > 0;)
		if (span_is(name, messages[i].name))
			return &messages[i];
	return NULL;
}

/* --- new ---------------------------------------------------------------------------------------------------------- */

static struct queue_rcpt parse_rcpt(struct span text)
{
	struct queue_rcpt r = { .address = arena_span(&forever, span_cut(&text, '|')) };
	uint64_t notify = 0;
	struct span word = span_cut(&text, '|');

	if (word.len)
		must(span_u64(word, 15, &notify));
	r.notify = (uint8_t)notify;
	r.orcpt = arena_span(&forever, span_cut(&text, '|'));
	r.original = arena_span(&forever, text);
	return r;
}

static bool copy_file(struct queue_writer *w, const char *path)
{
	char bytes[65536];
	FILE *f = fopen(path, "r");
	size_t n;

	if (f == NULL)
		return false;
	while ((n = fread(bytes, 1, sizeof bytes, f)) > 0)
		queue_write(w, span_of(bytes, n));
	fclose(f);
	return true;
}

static void do_new(const struct span *w, size_t n)
{
	struct message *m = &messages[nmessages];
	struct queue_writer *writer;
	uint64_t flags;

	must(n >= 6 && nmessages < MESSAGES_MAX && span_u64(w[3], UINT32_MAX, &flags));
	*m = (struct message){ .name = mem_strndup(w[1].ptr, w[1].len) };
	queue_new_id(m->env.id);
	m->env.arrival_us = clock_wall_us();
	m->env.sender = span_is(w[2], "-") ? SPAN_NONE : arena_span(&forever, w[2]);
	m->env.flags = (uint32_t)flags;
	m->env.nrcpts = n - 5;
	m->env.rcpts = arena_array(&forever, n - 5, sizeof *m->env.rcpts);
	for (size_t i = 5; i < n; i++)
		m->env.rcpts[i - 5] = parse_rcpt(w[i]);
	writer = queue_create(&m->env);
	if (!copy_file(writer, arena_cstr(&command, w[4]))) {
		queue_abort(writer);
		fail("content");
		return;
	}
	m->env.size = queue_written(writer);
	if (queue_commit(writer, &m->place) < 0) {
		fail("queue_commit");
		return;
	}
	nmessages++;
	printf("id %s\nok\n", m->env.id);
}

/* --- job, probe --------------------------------------------------------------------------------------------------- */

static bool send_frame(void)
{
	if (worker < 0)
		worker = frame_connect(socket_path, clock_deadline(WAIT_MS));
	return worker >= 0 && frame_send(worker, buf_span(&frame), -1, clock_deadline(WAIT_MS)) == IO_OK;
}

static void print_result(const struct job_result *r)
{
	static const char *const classes[] = { "sent", "deferred", "bounced" };
	const char *name = "?";

	for (size_t i = 0; i < nmessages; i++)
		if (strcmp(messages[i].env.id, r->id) == 0)
			name = messages[i].name;
	if (r->id[0] == '\0')
		printf("probe down=%d", r->site_down);
	else
		printf("result %s down=%d", name, r->site_down);
	for (size_t i = 0; i < r->noutcomes; i++)
		printf(" %u=%s", r->outcomes[i].index,
		       r->outcomes[i].passed_on ? "passed" : classes[r->outcomes[i].class]);
	printf(" (" SPAN_FMT ")\n", SPAN_ARG(r->reason));
}

static void await_results(size_t n)
{
	while (n > 0) {
		struct job_result *list;
		enum io_status status;
		size_t got;

		buf_reset(&frame);
		status = frame_recv(worker, &frame, NULL, clock_deadline(WAIT_MS));
		if (status != IO_OK || !job_get_results(buf_span(&frame), &command, &list, &got) || got > n) {
			printf("failed: no result: %s\n", io_status_str(status));
			close(worker);
			worker = -1;
			return;
		}
		for (size_t i = 0; i < got; i++)
			print_result(&list[i]);
		n -= got;
	}
	printf("ok\n");
}

static void fill_message(struct job_message *jm, const struct message *m)
{
	*jm = (struct job_message){
		.place = m->place,
		.sender = m->env.sender,
		.flags = m->env.flags,
		.size = m->env.size,
		.arrival_us = m->env.arrival_us,
		.active_us = clock_wall_us(),
		.last = last,
		.nrcpts = m->env.nrcpts,
	};
	memcpy(jm->id, m->env.id, sizeof jm->id);
	jm->rcpts = arena_array(&command, jm->nrcpts, sizeof *jm->rcpts);
	for (size_t i = 0; i < jm->nrcpts; i++) {
		const struct queue_rcpt *r = &m->env.rcpts[i];

		jm->rcpts[i] = (struct job_rcpt){ (uint32_t)i, r->address, r->original, r->orcpt, r->notify };
	}
}

static void do_job(const struct span *w, size_t n)
{
	struct job job = { .kind = JOB_DELIVER };

	must(n >= 3);
	if (span_is(w[0], "probe"))
		job.kind = JOB_PROBE;
	job.transport = w[1];
	job.nexthop = w[2];
	job.nmessages = n - 3;
	job.messages = arena_array(&command, n - 3, sizeof *job.messages);
	for (size_t i = 3; i < n; i++) {
		const struct message *m = find(w[i]);

		must(m != NULL);
		fill_message(&job.messages[i - 3], m);
	}
	if (!job_put_job(&frame, &job) || !send_frame())
		fail("sending the job");
	else
		await_results(job.kind == JOB_PROBE ? 1 : job.nmessages);
}

/* --- the rest ----------------------------------------------------------------------------------------------------- */

static void do_show(struct span name)
{
	const struct message *m = find(name);
	const struct queue_envelope *env;
	struct queue_message *q;

	must(m != NULL);
	if (queue_open(m->env.id, &m->place, &q) != QUEUE_OK) {
		printf("gone\nok\n");
		return;
	}
	env = queue_envelope(q);
	for (size_t i = 0; i < env->nrcpts; i++) {
		const struct queue_rcpt *r = &env->rcpts[i];

		printf("rcpt %zu state=%d attempts=%u dsn=%s relay=" SPAN_FMT " (" SPAN_FMT ")\n", i, (int)r->state,
		       r->attempts, r->dsn, SPAN_ARG(r->relay), SPAN_ARG(r->reason));
	}
	queue_close(q);
	printf("ok\n");
}

static void obey(struct span line)
{
	static struct span w[WORDS_MAX];
	size_t n = 0;

	while (n < WORDS_MAX && span_word(&line, " \n", &w[n]))
		n++;
	if (n == 0)
		return;
	if (span_is(w[0], "new")) {
		do_new(w, n);
	} else if (span_is(w[0], "job") || span_is(w[0], "probe")) {
		do_job(w, n);
	} else if (span_is(w[0], "show")) {
		do_show(w[1]);
	} else if (span_is(w[0], "idle")) {
		puts(job_put_idle(&frame) && send_frame() ? "ok" : "failed: idle");
	} else if (span_is(w[0], "last")) {
		last = span_is(w[1], "1");
		puts("ok");
	} else if (span_is(w[0], "drop")) {
		close(worker);
		worker = -1;
		puts("ok");
	} else {
		puts("failed: unknown command");
	}
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t len;

	if (argc != 3 || chdir(argv[1]) < 0) {
		fprintf(stderr, "usage: jobplay QUEUE_DIRECTORY SOCKET\n");
		return 64;
	}
	socket_path = argv[2];
	buf_init(&frame, FRAME_MAX);
	if (queue_prepare() < 0) {
		perror("queue_prepare");
		return 1;
	}
	while ((len = getline(&line, &room, stdin)) > 0) {
		arena_reset(&command);
		obey(span_of(line, (size_t)len));
		fflush(stdout);
	}
	return 0;
}
