/* SPDX-License-Identifier: BSD-2-Clause */
/* EHLO and HELO, RFC 5321 4.1.1.1. */
#include "lib/conf/conf.h"
#include "smtpd/access.h"
#include "smtpd/auth.h"
#include "smtpd/session.h"

/* False: refused, the reply is given and the client is as it was. */
static bool greeted(struct smtpd_session *s, struct span name, bool esmtp)
{
	struct span helo = s->helo;
	bool was_esmtp = s->esmtp;
	const char *why;

	transaction_reset(s);
	s->helo = arena_span(&s->arena, span_head(name, 255));
	s->esmtp = esmtp;
	if (access_helo(s, &why))
		return true;
	s->helo = helo;
	s->esmtp = was_esmtp;
	reply(s, "%s", why);
	return false;
}

void cmd_helo(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	if (cmd->args.len == 0) {
		reply(s, "501 Syntax: HELO hostname");
		return;
	}
	if (!greeted(s, cmd->args, false))
		return;
	reply(s, "250 %s", conf->myhostname);
}

void cmd_ehlo(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	if (cmd->args.len == 0) {
		reply(s, "501 Syntax: EHLO hostname");
		return;
	}
	if (!greeted(s, cmd->args, true))
		return;
	reply(s, "250-%s", conf->myhostname);
	reply(s, "250-PIPELINING");
	if (conf->message_size_limit > 0)
		reply(s, "250-SIZE %lld", (long long)conf->message_size_limit);
	else
		reply(s, "250-SIZE");
	if (!conf->disable_vrfy_command)
		reply(s, "250-VRFY");
	smtpd_auth_ehlo(s);
	reply(s, "250-ENHANCEDSTATUSCODES");
	reply(s, "250-8BITMIME");
	reply(s, "250-DSN");
	reply(s, "250 CHUNKING");
}
