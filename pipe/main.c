/* SPDX-License-Identifier: BSD-2-Clause */
/* pipe(8): delivery to commands that master.cf names. */
#include <signal.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/io/frame.h"
#include "lib/service/service.h"
#include "pipe/pipe.h"

static char *const *words;
static size_t nwords;

static void keep_words(char *const *w, size_t n)
{
	words = w;
	nwords = n;
}

static void prepare(void)
{
	signal(SIGPIPE, SIG_IGN);
	attributes_read(words, nwords);
}

/* False: the session is over. */
static bool next_job(int fd, struct buf *frame)
{
	if (service_wait_request(fd, CLOCK_NEVER) != IO_OK || frame_recv(fd, frame, NULL, CLOCK_NEVER) != IO_OK)
		return false;
	return job_type(buf_span(frame)) != JOB_FRAME_JOB || job_run(fd, buf_span(frame));
}

static void session(const struct service_session *s)
{
	int work = queue_work_begin();
	struct buf frame;

	buf_init(&frame, FRAME_MAX);
	while (next_job(s->fd, &frame))
		;
	buf_free(&frame);
	close(s->fd);
	queue_work_end(work);
}

int main(int argc, char **argv)
{
	static const struct service pipe_service = {
		.program = "pipe",
		.shape = SERVICE_SINGLE,
		.identity = SERVICE_AS_ROOT,
		.words = keep_words,
		.after_jail = prepare,
		.session = session,
	};

	return service_main(argc, argv, &pipe_service);
}
