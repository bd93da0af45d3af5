/* SPDX-License-Identifier: BSD-2-Clause */
/* EHLO and HELO, RFC 5321 4.1.1.1. */
#include "lib/conf/conf.h"
#include "smtpd/auth.h"
#include "smtpd/session.h"

static void greeted(struct smtpd_session *s, struct span name, bool esmtp)
{
	transaction_reset(s);
	s->helo = arena_span(&s->arena, span_head(name, 255));
	s->esmtp = esmtp;
}

void cmd_helo(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	if (cmd->args.len == 0) {
		reply(s, "501 Syntax: HELO hostname");
		return;
	}
	greeted(s, cmd->args, false);
	reply(s, "250 %s", conf->myhostname);
}

void cmd_ehlo(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	if (cmd->args.len == 0) {
		reply(s, "501 Syntax: EHLO hostname");
		return;
	}
	greeted(s, cmd->args, true);
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
	reply(s, "250 DSN");
}
