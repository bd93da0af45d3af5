/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/map/match.h"
#include "login/login.h"
#include "lib/service/peers.h"

struct match *login_trusted;
bool login_implicit_tls;
unsigned login_mechanisms;

static const struct protocol *protocol;

static void option(const char *name, const char *value)
{
	if (strcmp(name, "t") == 0)
		login_implicit_tls = true;
	else if (strcmp(value, protocol_imap.name) == 0)
		protocol = &protocol_imap;
	else if (strcmp(value, protocol_pop3.name) == 0)
		protocol = &protocol_pop3;
	else
		log_fatal("-P %s: imap or pop3 is expected", value);
}

static void read_mechanisms(void)
{
	struct span unknown;

	login_mechanisms = sasl_mechs_parse(span_cstr(conf->auth_mechanisms), &unknown);
	if (unknown.len)
		log_warn("auth_mechanisms: %.*s is not known here", SPAN_ARG(unknown));
}

static void before_jail(void)
{
	if (protocol == NULL)
		log_fatal("login needs -P imap or -P pop3 in master.cf");
	login_trusted = match_open(conf->login_trusted_networks, MATCH_NETWORK);
	read_mechanisms();
	starttls_open();
	peers_open(strcmp(protocol->name, "imap") == 0 ? "login-imap" : "login-pop3");
}

static void session(const struct service_session *s)
{
	session_run(s, protocol);
}

int main(int argc, char **argv)
{
	static const struct service s = {
		.program = "login",
		.shape = SERVICE_THREADS,
		.identity = SERVICE_AS_LOGIN,
		.option = option,
		.option_letters = "P:t",
		.before_jail = before_jail,
		.after_jail = starttls_first_look,
		.session = session,
	};

	return service_main(argc, argv, &s);
}
