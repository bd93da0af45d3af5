/* SPDX-License-Identifier: BSD-2-Clause */
/* sasl: answers other mail programs that ask whether a password is right. See sasl(8). */
#include "sasl/sasl.h"

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/proto/sasl_server.h"

unsigned sasl_mechanisms;

static void before_jail(void)
{
	struct span unknown;

	sasl_mechanisms = sasl_mechs_parse(span_cstr(conf->auth_mechanisms), &unknown) & ~(SASL_PLUS | SASL_BIT(SASL_APOP));
	if (unknown.len)
		log_warn("auth_mechanisms: " SPAN_FMT " is not known here", SPAN_ARG(unknown));
}

int main(int argc, char **argv)
{
	static const struct service s = {
		.program = "sasl",
		.shape = SERVICE_THREADS,
		.identity = SERVICE_AS_MAIL_OWNER,
		.before_jail = before_jail,
		.session = sasl_session,
	};

	return service_main(argc, argv, &s);
}
