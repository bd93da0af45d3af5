/* SPDX-License-Identifier: BSD-2-Clause */
/* local(8): delivery to the users of this machine, and to virtual mailboxes. */
#include <signal.h>
#include <unistd.h>

#include "lib/conf/conf.h"
#include "lib/base/clock.h"
#include "lib/io/frame.h"
#include "lib/queue/job.h"
#include "lib/route/route.h"
#include "lib/service/service.h"
#include "lib/store/dotlock.h"
#include "local/later.h"
#include "local/local.h"

static void prepare(void)
{
	signal(SIGPIPE, SIG_IGN);
	dotlock_set_stale_ms(conf->stale_lock_time_ms);
	route_init();
}

/* False: the session is over. */
static bool next_job(int fd, struct buf *frame)
{
	switch (service_wait_request(fd, later_deadline())) {
	case IO_OK:
		if (frame_recv(fd, frame, NULL, CLOCK_NEVER) != IO_OK)
			return false;
		return job_type(buf_span(frame)) != JOB_FRAME_JOB || job_run(fd, buf_span(frame));
	case IO_TIMEOUT:
		later_sync();
		return true;
	default:
		return false;
	}
}

static void session(const struct service_session *s)
{
	int work = queue_work_begin();
	struct buf frame;

	buf_init(&frame, FRAME_MAX);
	while (next_job(s->fd, &frame))
		;
	later_sync();
	buf_free(&frame);
	close(s->fd);
	queue_work_end(work);
}

int main(int argc, char **argv)
{
	static const struct service local = {
		.program = "local",
		.shape = SERVICE_SINGLE,
		.identity = SERVICE_AS_ROOT,
		.after_jail = prepare,
		.session = session,
		.at_exit = job_announce_end,
	};

	return service_main(argc, argv, &local);
}
