/* SPDX-License-Identifier: BSD-2-Clause */
/* qmgr: decides which message goes where and when, and hands it to a delivery agent. See qmgr(8). */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/queue/flow.h"
#include "lib/route/route.h"
#include "lib/service/service.h"
#include "qmgr/qmgr.h"

struct loop *qmgr_loop;

static struct loop_source orders;
static struct loop_timer again, settle, trim;

enum { SETTLE_MS = 20, TRIM_MS = 10 * 1000, SEGMENTS_KEPT = 4 };

static void order_ready(struct loop_source *src, uint32_t events)
{
	(void)src;
	(void)events;
	switch (service_read_order()) {
	case SERVICE_ORDER_DRAIN: /* a new qmgr takes over: what is on disk is all it needs */
	case SERVICE_ORDER_STOP:
		loop_stop(qmgr_loop);
		break;
	case SERVICE_ORDER_WAKEUP:
	case SERVICE_ORDER_NONE:
		break;
	}
}

static void child_ended(int signo, void *arg)
{
	(void)signo;
	(void)arg;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void settle_some(struct loop_timer *t)
{
	(void)t;
	message_settle_some();
}

static void trim_log(struct loop_timer *t)
{
	if (queue_log_trim(SEGMENTS_KEPT) < 0 && errno != EOPNOTSUPP)
		log_warn("cannot give back the space of the queue log: %m");
	loop_timer_set(qmgr_loop, t, clock_deadline(TRIM_MS));
}

static void nothing(struct loop_timer *t)
{
	(void)t;
}

/* After each round of events: take up what is ready, read on in a scan, and hand out all that came together. */
static void between_rounds(void *arg)
{
	bool more = scan_step();

	(void)arg;
	more |= message_flush_some();
	more |= ready_pump();
	queue_flow_show(ready_new_waits());
	transport_run_all();
	if (more)
		loop_timer_set(qmgr_loop, &again, clock_mono_ms());
	else if (message_unsettled() && settle.index == 0)
		loop_timer_set(qmgr_loop, &settle, clock_deadline(SETTLE_MS));
	log_release(); /* what the round logged, in one write */
	log_hold();
}

static void run(const int *listeners, int nlisteners)
{
	if (nlisteners < 1)
		log_fatal("no socket to listen on: this program is run by master");
	qmgr_loop = loop_new();
	loop_signal(qmgr_loop, SIGCHLD, child_ended, NULL);
	again.fire = nothing;
	settle.fire = settle_some;
	trim.fire = trim_log;
	loop_timer_set(qmgr_loop, &trim, clock_deadline(TRIM_MS));
	orders.fd = service_order_fd();
	orders.ready = order_ready;
	loop_add(qmgr_loop, &orders, EPOLLIN);
	intake_listen(listeners[0]);
	scan_start(0);
	loop_set_idle(qmgr_loop, between_rounds, NULL);
	loop_run(qmgr_loop);
}

int main(int argc, char **argv)
{
	static const struct service qmgr = {
		.program = "qmgr",
		.shape = SERVICE_RUN,
		.identity = SERVICE_AS_MAIL_OWNER,
		.before_jail = services_read,
		.after_jail = route_init,
		.run = run,
		.exclusive = true,
	};

	return service_main(argc, argv, &qmgr);
}
