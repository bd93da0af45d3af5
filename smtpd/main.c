/* SPDX-License-Identifier: BSD-2-Clause */
/* smtpd: takes mail from the network and from sendmail(1) into the queue. See smtpd(8). */
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/dns.h"
#include "lib/queue/job.h"
#include "lib/queue/verify.h"
#include "lib/route/route.h"
#include "lib/service/layout.h"
#include "lib/service/peers.h"
#include "lib/service/service.h"
#include "smtpd/access.h"
#include "smtpd/auth.h"
#include "smtpd/peaks.h"
#include "smtpd/rates.h"
#include "smtpd/session.h"
#include "smtpd/starttls.h"
#include "smtpd/submission.h"

static void option(const char *name, const char *value)
{
	(void)name;
	(void)value;
	smtpd_lmtp = true; /* -L, the only one */
}

static void before_jail(void)
{
	if (!dns_set_server(span_cstr(conf->smtp_dns_server)))
		log_fatal("smtp_dns_server is not ADDRESS:PORT: %s", conf->smtp_dns_server);
	starttls_open();
	if (conf->smtpd_client_connection_count_limit > 0)
		peers_open("smtpd");
	rates_open();
	submission_open();
	if (service_chrooted() && !layout_as_mail_owner(conf, verify_open))
		log_warn("cannot become %s: %m", conf->mail_owner);
}

static void after_jail(void)
{
	route_init();
	access_init();
	starttls_first_look();
	smtpd_auth_init();
	if (queue_log_start((uint64_t)conf->queue_log_segment_size, (size_t)conf->queue_log_message_limit) < 0)
		log_warn("no queue log, every message gets a file of its own: %m");
}

static void at_exit(void)
{
	peaks_leave();
	job_announce_end();
}

int main(int argc, char **argv)
{
	static const struct service smtpd = {
		.program = "smtpd",
		.shape = SERVICE_THREADS,
		.identity = SERVICE_AS_MAIL_OWNER,
		.option = option,
		.option_letters = "L",
		.before_jail = before_jail,
		.after_jail = after_jail,
		.session = smtpd_session,
		.tick = peaks_tick,
		.at_exit = at_exit,
	};

	return service_main(argc, argv, &smtpd);
}
