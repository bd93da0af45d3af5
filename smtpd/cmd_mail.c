/* SPDX-License-Identifier: BSD-2-Clause */
/* MAIL FROM and RSET, RFC 5321 4.1.1.2 and 4.1.1.5. */
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/proto/idna.h"
#include "lib/proto/verp.h"
#include "lib/route/route.h"
#include "smtpd/access.h"
#include "smtpd/auth.h"
#include "smtpd/discard.h"
#include "smtpd/rates.h"
#include "smtpd/session.h"

void cmd_rset(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	(void)cmd;
	transaction_reset(s);
	reply(s, "250 2.0.0 Ok");
}

static bool size_is_fine(struct smtpd_session *s, const struct smtp_mail *mail)
{
	uint64_t size = mail->has_size ? mail->size : 0;

	if (conf->message_size_limit > 0 && size > (uint64_t)conf->message_size_limit) {
		log_reject(s, "MAIL", "552 5.3.4 Message size exceeds fixed limit", SPAN_NONE);
		reply(s, "552 5.3.4 Message size exceeds fixed limit");
		return false;
	}
	if (!space_left(size)) {
		log_warn("not enough free space in mail queue: mail from %s is put off", s->client);
		reply(s, "452 4.3.1 Insufficient system storage");
		return false;
	}
	return true;
}

static bool verp_is_fine(struct smtpd_session *s, struct smtp_mail *mail)
{
	if (!mail->has_verp)
		return true;
	if (mail->verp.len == 0)
		mail->verp = span_cstr(conf->default_verp_delimiters);
	if (!verp_delimiters_valid(mail->verp, conf->verp_delimiter_filter))
		reply(s, "501 5.5.4 Error: XVERP needs two characters from %s", conf->verp_delimiter_filter);
	else if (addr_is_null(mail->from))
		reply(s, "503 5.5.4 Error: XVERP requires non-null sender");
	else
		return true;
	return false;
}

static uint32_t envelope_flags(const struct smtpd_session *s, const struct smtp_mail *mail)
{
	return (mail->body == SMTP_BODY_8BITMIME ? QUEUE_8BIT : 0u) |
	       (mail->ret == SMTP_RET_FULL ? QUEUE_RET_FULL : 0u) | (mail->ret == SMTP_RET_HDRS ? QUEUE_RET_HDRS : 0u) |
	       (mail->smtputf8 ? QUEUE_SMTPUTF8 : 0u) | (s->is_sendmail ? QUEUE_LOCAL : 0u);
}

/* What was not offered is not taken. */
static bool was_offered(struct smtpd_session *s, const struct smtp_mail *mail)
{
	if (s->discard & DISCARD_DSN && (mail->ret || mail->envid.len))
		reply(s, "501 5.7.1 DSN support is disabled");
	else if (mail->smtputf8 && (s->discard & DISCARD_SMTPUTF8 || (!conf->smtputf8_enable && !s->is_sendmail)))
		reply(s, SPAN_FMT, SPAN_ARG(smtp_cmd_reply(&s->cmd, SMTP_CMD_OPTION, SPAN("SMTPUTF8"))));
	else if (mail->has_verp && !verp_allowed(s))
		reply(s, SPAN_FMT, SPAN_ARG(smtp_cmd_reply(&s->cmd, SMTP_CMD_OPTION, SPAN("XVERP"))));
	else
		return true;
	return false;
}

void cmd_mail(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	unsigned flags = conf->strict_rfc821_envelopes ? SMTP_PARSE_STRICT : 0;
	struct transaction *t = &s->txn;
	struct smtp_mail mail;
	struct span detail, sender = SPAN_NONE;
	enum smtp_cmd_err err;
	const char *why;

	if (conf->smtpd_helo_required && s->helo.len == 0) {
		reply(s, "503 5.5.1 Error: send HELO/EHLO first");
		return;
	}
	if (t->have_sender) {
		reply(s, "503 5.5.1 Error: nested MAIL command");
		return;
	}
	err = smtp_mail_parse(&t->arena, cmd->args, flags, &mail, &detail);
	if (err != SMTP_CMD_OK) {
		reply(s, SPAN_FMT, SPAN_ARG(smtp_cmd_reply(&s->cmd, err, detail)));
		return;
	}
	if (!was_offered(s, &mail) || !verp_is_fine(s, &mail))
		return;
	if (!addr_is_null(mail.from))
		sender = idna_address(&s->cmd, route_rewrite(&s->cmd, addr_internal(&s->cmd, mail.from)));
	if (sender.len && !address_has_place(sender)) {
		reply(s, "501 5.1.7 Bad sender address syntax");
		return;
	}
	if (!size_is_fine(s, &mail) || !smtpd_auth_mail(s, &mail) || !rates_allow(s, RATE_MESSAGE))
		return;
	/* The parsed pieces may point into the command line: the transaction outlives it. */
	t->sender_given = arena_span(&t->arena, addr_internal(&s->cmd, mail.from));
	t->env.sender = arena_span(&t->arena, sender);
	t->env.envid = arena_span(&t->arena, mail.envid);
	t->env.verp = arena_span(&t->arena, mail.verp);
	t->env.sasl_user = s->sasl_user;
	t->env.flags = envelope_flags(s, &mail);
	t->env.arrival_us = clock_wall_us();
	t->size = mail.has_size ? mail.size : 0;
	t->have_sender = true;
	if (access_mail(s, &why)) {
		reply(s, "250 2.1.0 Ok");
		return;
	}
	transaction_reset(s);
	reply(s, "%s", why);
}
