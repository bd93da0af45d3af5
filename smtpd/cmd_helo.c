/* SPDX-License-Identifier: BSD-2-Clause */
/* EHLO and HELO, RFC 5321 4.1.1.1. */
#include <stdarg.h>

#include "lib/base/buf.h"
#include "lib/conf/conf.h"
#include "smtpd/access.h"
#include "smtpd/auth.h"
#include "smtpd/discard.h"
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

/* The lines of a greeting: which is the last one turns out at the end. */
struct greeting {
	struct smtpd_session *s;
	struct buf line;
};

static void __attribute__((format(printf, 3, 4))) offer(struct greeting *g, unsigned discard, const char *fmt, ...)
{
	va_list ap;

	if (g->s->discard & discard)
		return;
	if (g->line.len)
		reply(g->s, "250-%s", buf_cstr(&g->line));
	buf_reset(&g->line);
	va_start(ap, fmt);
	(void)buf_addv(&g->line, fmt, ap);
	va_end(ap);
}

static void offer_auth(struct greeting *g)
{
	const char *list = g->s->discard & DISCARD_AUTH ? "" : smtpd_auth_ehlo(g->s);

	if (list[0] == '\0')
		return;
	offer(g, DISCARD_AUTH, "AUTH %s", list);
	if (conf->broken_sasl_auth_clients)
		offer(g, DISCARD_AUTH, "AUTH=%s", list);
}

static void offer_trust(struct greeting *g)
{
	if (verp_allowed(g->s))
		offer(g, 0, "XVERP");
	if (xclient_allowed(g->s))
		offer(g, DISCARD_XCLIENT, "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT");
	if (xforward_allowed(g->s))
		offer(g, DISCARD_XFORWARD, "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT");
}

static void offer_all(struct greeting *g)
{
	offer(g, 0, "%s", conf->myhostname);
	offer(g, DISCARD_PIPELINING, "PIPELINING");
	if (conf->message_size_limit > 0)
		offer(g, DISCARD_SIZE, "SIZE %lld", (long long)conf->message_size_limit);
	else
		offer(g, DISCARD_SIZE, "SIZE");
	if (!conf->disable_vrfy_command)
		offer(g, DISCARD_VRFY, "VRFY");
	offer(g, DISCARD_ETRN, "ETRN");
	if (starttls_offered(g->s))
		offer(g, DISCARD_STARTTLS, "STARTTLS");
	offer_auth(g);
	offer_trust(g);
	offer(g, DISCARD_ENHANCEDSTATUSCODES, "ENHANCEDSTATUSCODES");
	offer(g, DISCARD_8BITMIME, "8BITMIME");
	offer(g, DISCARD_DSN, "DSN");
	if (conf->smtputf8_enable)
		offer(g, DISCARD_SMTPUTF8, "SMTPUTF8");
	offer(g, DISCARD_LIMITS, "LIMITS RCPTMAX=%lld", (long long)conf->smtpd_recipient_limit);
	offer(g, DISCARD_CHUNKING, "CHUNKING");
}

static void extended_greeting(struct smtpd_session *s, struct span name, const char *verb)
{
	struct greeting g = { .s = s };

	if (name.len == 0) {
		reply(s, "501 Syntax: %s hostname", verb);
		return;
	}
	if (!greeted(s, name, true) || !discard_known(s))
		return;
	buf_init(&g.line, 1024);
	offer_all(&g);
	reply(s, "250 %s", buf_cstr(&g.line));
	buf_free(&g.line);
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
