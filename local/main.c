/* SPDX-License-Identifier: BSD-2-Clause */
/* local(8): delivery to the users of this machine, and to virtual mailboxes. */
#include <signal.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "lib/queue/job.h"
#include "lib/route/route.h"
#include "lib/service/service.h"
#include "lib/store/dotlock.h"
#include "local/local.h"

static void prepare(void)
{
	signal(SIGPIPE, SIG_IGN);
	dotlock_set_stale_ms(conf->stale_lock_time_ms);
	route_init();
}

static void session(const struct service_session *s)
{
	int work = queue_work_begin();
	struct buf frame;

	buf_init(&frame, FRAME_MAX);
	while (service_wait_request(s->fd, CLOCK_NEVER) == IO_OK && frame_recv(s->fd, &frame, NULL, CLOCK_NEVER) == IO_OK)
		if (job_type(buf_span(&frame)) == JOB_FRAME_JOB && !job_run(s->fd, buf_span(&frame)))
			break;
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
