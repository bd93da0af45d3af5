/* SPDX-License-Identifier: BSD-2-Clause */
/* NOOP, VRFY, EXPN, HELP, QUIT: RFC 5321 4.1.1.6 to 4.1.1.10. */
#include "lib/conf/conf.h"
#include "lib/route/route.h"
#include "smtpd/access.h"
#include "smtpd/session.h"

void cmd_noop(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	(void)cmd;
	reply(s, "250 2.0.0 Ok");
}

/* A stranger learns nothing here that would spare him a RCPT; those who may relay get the real answer. */
void cmd_vrfy(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	struct span given, address;
	struct addr addr;
	const char *text;

	if (conf->disable_vrfy_command) {
		reply(s, "502 5.5.1 VRFY command is disabled");
		return;
	}
	if (cmd->args.len == 0) {
		reply(s, "501 5.5.4 Syntax: VRFY address");
		return;
	}
	if (addr_path_parse(&s->cmd, &(struct span){ cmd->args.ptr, cmd->args.len }, ADDR_LENIENT, &addr) != ADDR_OK) {
		reply(s, "501 5.1.3 Bad recipient address syntax");
		return;
	}
	given = addr_internal(&s->cmd, addr);
	address = route_rewrite(&s->cmd, addr_internal(&s->cmd, addr));
	if (s->trusted && !access_vrfy(s, address, given, &text))
		reply(s, "%s", text);
	else
		reply(s, "252 2.0.0 " SPAN_FMT, SPAN_ARG(addr_external(&s->cmd, addr)));
}

void cmd_expn(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	(void)cmd;
	reply(s, "502 5.5.1 Error: command not implemented");
}

void cmd_help(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	(void)cmd;
	reply(s, "214 2.0.0 %s MAIL RCPT DATA RSET NOOP VRFY HELP QUIT", smtpd_lmtp ? "LHLO" : "EHLO HELO");
}

void cmd_quit(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	(void)cmd;
	reply(s, "221 2.0.0 Bye");
	s->quit = true;
}
