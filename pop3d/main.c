/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/conf/conf.h"
#include "lib/service/service.h"
#include "pop3d/pop3d.h"

static void run(const int *listeners, int nlisteners)
{
	struct userproc up = { .protocol = "pop3", .serve = session_serve, .one_process_per_user = true,
			       .login_delay_ms = conf->pop3_login_delay_ms };

	store_set_locking(conf->mailbox_delivery_lock, conf->mbox_lock_timeout_ms, conf->stale_lock_time_ms);
	userproc_run(listeners, nlisteners, &up);
}

int main(int argc, char **argv)
{
	static const struct service s = {
		.program = "pop3d",
		.shape = SERVICE_RUN,
		.identity = SERVICE_AS_ROOT,
		.before_jail = options_read,
		.run = run,
	};

	return service_main(argc, argv, &s);
}
