/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/proto/pop3_uidl.h"
#include "lib/service/service.h"
#include "pop3d/pop3d.h"

static void before_jail(void)
{
	if (!pop3_uidl_format_valid(conf->pop3_uidl_format))
		log_fatal("pop3_uidl_format = %s: %%u, %%v and at most 70 visible characters are expected",
			  conf->pop3_uidl_format);
}

static void run(const int *listeners, int nlisteners)
{
	static const struct userproc up = { .protocol = "pop3", .serve = session_serve, .one_process_per_user = true };

	store_set_locking(conf->mailbox_delivery_lock, conf->mbox_lock_timeout_ms, conf->stale_lock_time_ms);
	userproc_run(listeners, nlisteners, &up);
}

int main(int argc, char **argv)
{
	static const struct service s = {
		.program = "pop3d",
		.shape = SERVICE_RUN,
		.identity = SERVICE_AS_ROOT,
		.before_jail = before_jail,
		.run = run,
	};

	return service_main(argc, argv, &s);
}
