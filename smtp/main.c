/* SPDX-License-Identifier: BSD-2-Clause */
/* smtp: delivers mail to other servers; under the name lmtp, by LMTP to mailbox servers. See courier.h for the life of
 * a session. */
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/dns.h"
#include "lib/service/service.h"
#include "smtp/courier.h"
#include "smtp/self.h"
#include "smtp/site.h"
#include "smtp/tls_policy.h"

static void before_jail(void)
{
	if (site_lmtp)
		lmtp_take_settings();
	if (!dns_set_server(span_cstr(conf->smtp_dns_server)))
		log_fatal("smtp_dns_server is not ADDRESS:PORT: %s", conf->smtp_dns_server);
	tls_policy_init();
	self_init();
}

int main(int argc, char **argv)
{
	static struct service smtp = {
		.program = "smtp",
		.shape = SERVICE_THREADS,
		.identity = SERVICE_AS_MAIL_OWNER,
		.before_jail = before_jail,
		.session = courier_session,
	};

	site_lmtp = span_ends(span_cstr(argv[0]), "lmtp");
	if (site_lmtp)
		smtp.program = "lmtp";
	return service_main(argc, argv, &smtp);
}
