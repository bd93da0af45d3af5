/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/imapd.h"
#include "lib/conf/conf.h"
#include "lib/service/service.h"

static void run(const int *listeners, int nlisteners)
{
	static const struct userproc up = {
		.protocol = "imap",
		.serve = session_serve,
		.one_process_per_user = true,
	};

	store_set_locking(conf->mailbox_delivery_lock, conf->mbox_lock_timeout_ms, conf->stale_lock_time_ms);
	userproc_run(listeners, nlisteners, &up);
}

int main(int argc, char **argv)
{
	static const struct service s = {
		.program = "imapd",
		.shape = SERVICE_RUN,
		.identity = SERVICE_AS_ROOT,
		.run = run,
	};

	return service_main(argc, argv, &s);
}
