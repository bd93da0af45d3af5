/* SPDX-License-Identifier: BSD-2-Clause */
/* EHLO and HELO, RFC 5321 4.1.1.1. */
#include "lib/conf/conf.h"
#include "smtpd/access.h"
#include "smtpd/auth.h"
#include "smtpd/session.h"
#include "smtpd/starttls.h"

/* False: refused, the reply is given and the client is as it was. */
static bool greeted(struct smtpd_session *s, struct span name, bool esmtp)
{
	struct span helo = s->helo;
	const char *why;

	transaction_reset(s);
	s->helo = arena_span(&s->arena, name);
	if (access_helo(s, esmtp ? "EHLO" : "HELO", &why)) {
		s->esmtp = esmtp;
		return true;
	}
	s->helo = helo;
	reply(s, "%s", why);
	return false;
}

static void extended_greeting(struct smtpd_session *s, struct span name, const char *verb)
{
	if (name.len == 0) {
		reply(s, "501 Syntax: %s hostname", verb);
		return;
	}
	if (!greeted(s, name, true))
		return;
	reply(s, "250-%s", conf->myhostname);
	reply(s, "250-PIPELINING");
	if (conf->message_size_limit > 0)
		reply(s, "250-SIZE %lld", (long long)conf->message_size_limit);
	else
		reply(s, "250-SIZE");
	if (!conf->disable_vrfy_command)
		reply(s, "250-VRFY");
	if (starttls_offered(s))
		reply(s, "250-STARTTLS");
	reply(s, "250-ETRN");
	if (xclient_allowed(s))
		reply(s, "250-XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT");
	if (xforward_allowed(s))
		reply(s, "250-XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT");
	smtpd_auth_ehlo(s);
	reply(s, "250-ENHANCEDSTATUSCODES");
	reply(s, "250-8BITMIME");
	reply(s, "250-DSN");
	if (conf->smtputf8_enable)
		reply(s, "250-SMTPUTF8");
	reply(s, "250-LIMITS RCPTMAX=%lld", (long long)conf->smtpd_recipient_limit);
	reply(s, "250 CHUNKING");
}

/* RFC 2033 4.1: the one protocol has no use for the other's greeting. */
static bool wrong_greeting(struct smtpd_session *s, bool lmtp)
{
	if (lmtp == smtpd_lmtp)
		return false;
	reply(s, "500 5.5.1 Error: %s", smtpd_lmtp ? "use LHLO" : "command not recognized");
	return true;
}

void cmd_lhlo(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	if (!wrong_greeting(s, true))
		extended_greeting(s, cmd->args, "LHLO");
}

void cmd_ehlo(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	if (!wrong_greeting(s, false))
		extended_greeting(s, cmd->args, "EHLO");
}

void cmd_helo(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	if (wrong_greeting(s, false))
		return;
	if (cmd->args.len == 0) {
		reply(s, "501 Syntax: HELO hostname");
		return;
	}
	if (!greeted(s, cmd->args, false))
		return;
	reply(s, "250 %s", conf->myhostname);
}
