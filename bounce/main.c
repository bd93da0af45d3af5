/* SPDX-License-Identifier: BSD-2-Clause */
/* bounce(8): tells senders what became of their mail. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "bounce/bounce.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/io/frame.h"
#include "lib/route/route.h"
#include "lib/service/service.h"

enum { ANSWER_TIMEOUT_MS = 60 * 1000 };

static void prepare(void)
{
	signal(SIGPIPE, SIG_IGN);
	route_init();
}

/* One outcome for the message, with index 0: OK done, TEMP to be done again. */
static bool answer(int fd, const struct job_message *m, bool done)
{
	struct job_outcome outcome = { .class = done ? VERDICT_OK : VERDICT_TEMP };
	struct job_result result = { .outcomes = &outcome, .noutcomes = 1 };
	struct buf frame;
	bool ok;

	memcpy(result.id, m->id, sizeof result.id);
	result.reason = done ? SPAN_NONE : SPAN("a notice could not be written");
	buf_init(&frame, FRAME_MAX);
	ok = job_put_result(&frame, &result) &&
	     frame_send(fd, buf_span(&frame), -1, clock_deadline(ANSWER_TIMEOUT_MS)) == IO_OK;
	buf_free(&frame);
	return ok;
}

static bool run_job(int fd, struct span frame)
{
	struct arena a = ARENA_INIT;
	struct job job;
	bool ok = job_get_job(frame, &a, &job);

	if (!ok)
		log_warn("a job that makes no sense");
	for (size_t i = 0; ok && i < job.nmessages; i++)
		ok = answer(fd, &job.messages[i], bounce_message(job.kind, &job.messages[i]));
	arena_free(&a);
	return ok;
}

static void session(const struct service_session *s)
{
	int work = queue_work_begin();
	struct buf frame;

	buf_init(&frame, FRAME_MAX);
	while (service_wait_request(s->fd, CLOCK_NEVER) == IO_OK && frame_recv(s->fd, &frame, NULL, CLOCK_NEVER) == IO_OK)
		if (job_type(buf_span(&frame)) == JOB_FRAME_JOB && !run_job(s->fd, buf_span(&frame)))
			break;
	buf_free(&frame);
	close(s->fd);
	queue_work_end(work);
}

int main(int argc, char **argv)
{
	static const struct service bounce = {
		.program = "bounce",
		.shape = SERVICE_SINGLE,
		.identity = SERVICE_AS_MAIL_OWNER,
		.before_jail = template_read,
		.after_jail = prepare,
		.session = session,
		.at_exit = job_announce_end,
	};

	return service_main(argc, argv, &bounce);
}
