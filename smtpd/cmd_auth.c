/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AUTH. Texts and log lines are those that administrators, fail2ban and pflogsumm know. A failure is answered after a pause that
 * does not depend on its reason.
 */
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/map/match.h"
#include "lib/proto/auth_name.h"
#include "lib/service/auth_ask.h"
#include "lib/service/sasl_talk.h"
#include "smtpd/auth.h"
#include "smtpd/discard.h"
#include "smtpd/rates.h"

static unsigned configured, in_clear, encrypted; /* mechanisms: all, and what the security options leave of them */

/* --- what is offered ---------------------------------------------------------------------------------------------- */

/* Options that rule out mechanisms; there is no anonymous one here, and those without forward secrecy are all of them. */
static unsigned allowed_by(const char *parameter, const char *options)
{
	struct span rest = span_cstr(options), word;
	unsigned set = configured;

	while (span_word(&rest, ", \t\r\n", &word))
		if (span_iis(word, "noplaintext"))
			set &= ~SASL_IN_CLEAR;
		else if (span_iis(word, "nodictionary") || span_iis(word, "noactive"))
			set &= SASL_PLUS | SASL_BIT(SASL_OAUTHBEARER) | SASL_BIT(SASL_XOAUTH2);
		else if (span_iis(word, "mutual_auth"))
			set &= SASL_PLUS | SASL_BIT(SASL_SCRAM_SHA_1) | SASL_BIT(SASL_SCRAM_SHA_256);
		else if (span_iis(word, "forward_secrecy"))
			set = 0;
		else if (!span_iis(word, "noanonymous"))
			log_fatal("%s: unknown SASL security option \"" SPAN_FMT "\"", parameter, SPAN_ARG(word));
	return set;
}

bool auth_filter_allows(const char *mechanism)
{
	struct match *filter = match_open(conf->smtpd_sasl_mechanism_filter, MATCH_STRING);

	return match_name(filter, span_cstr(mechanism)) == MAP_OK;
}

static void filter_configured(void)
{
	for (enum sasl_mech m = SASL_PLAIN; m < SASL_MECHS; m++)
		if (!auth_filter_allows(sasl_mech_str(m)))
			configured &= ~SASL_BIT(m);
}

void smtpd_auth_init(void)
{
	struct span unknown;

	if (!conf->smtpd_sasl_auth_enable)
		return;
	auth_dovecot_init();
	if (auth_dovecot_used())
		return;
	configured = sasl_mechs_parse(span_cstr(conf->auth_mechanisms), &unknown) & ~SASL_BIT(SASL_APOP);
	if (unknown.len)
		log_warn("auth_mechanisms: " SPAN_FMT " is not known here", SPAN_ARG(unknown));
	filter_configured();
	in_clear = allowed_by("smtpd_sasl_security_options", conf->smtpd_sasl_security_options);
	encrypted = allowed_by("smtpd_sasl_tls_security_options", conf->smtpd_sasl_tls_security_options);
}

/* Loopback, a client that speaks from the very address it speaks to, a trusted network: nobody listens in between. */
static bool unheard(const struct smtpd_session *s)
{
	if (!conf->disable_plaintext_auth || netaddr_is_loopback(&s->peer) || netaddr_eq(&s->peer, &s->local))
		return true;
	return match_netaddr(match_open(conf->login_trusted_networks, MATCH_NETWORK), &s->peer, SPAN_NONE) == MAP_OK;
}

bool smtpd_auth_active(const struct smtpd_session *s)
{
	if (!conf->smtpd_sasl_auth_enable || s->is_unix)
		return false;
	return conf->smtpd_sasl_exceptions_networks[0] == '\0' ||
	       match_netaddr(match_open(conf->smtpd_sasl_exceptions_networks, MATCH_NETWORK), &s->peer, s->client_name) ==
		       MAP_NOTFOUND;
}

bool smtpd_auth_encrypted(const struct smtpd_session *s)
{
	return s->tls != NULL;
}

static unsigned offer_now(const struct smtpd_session *s)
{
	if (smtpd_auth_encrypted(s))
		return encrypted;
	return (unheard(s) ? in_clear : in_clear & ~SASL_IN_CLEAR) & ~SASL_PLUS;
}

static const char *own_list(struct smtpd_session *s)
{
	unsigned offer = offer_now(s);
	const char *list = "";

	for (enum sasl_mech m = SASL_PLAIN; m < SASL_MECHS; m++)
		if (offer & SASL_BIT(m))
			list = arena_printf(&s->cmd, "%s%s%s", list, list[0] ? " " : "", sasl_mech_str(m));
	return list;
}

const char *smtpd_auth_ehlo(struct smtpd_session *s)
{
	if (!smtpd_auth_active(s) || s->sasl_user.len || (conf->smtpd_tls_auth_only && !smtpd_auth_encrypted(s)))
		return "";
	return auth_dovecot_used() ? auth_dovecot_list(s, unheard(s)) : own_list(s);
}

/* --- an exchange -------------------------------------------------------------------------------------------------- */

const char auth_refused[] = "535 5.7.8 Error: authentication failed";
const char auth_no_answer[] = "454 4.7.0 Temporary authentication failure";

void auth_failed(struct smtpd_session *s, struct span mechanism, struct span user, const char *code, const char *why)
{
	const char *name = user.len ? auth_name_for_log(&s->cmd, user) : "(unavailable)";
	const char *mech = auth_name_for_log(&s->cmd, mechanism);

	log_warn("%s: SASL %.100s authentication failed: %s, sasl_username=%.100s", s->client, mech, why, name);
	reply(s, "%s: %s", code, why);
}

void auth_done(struct smtpd_session *s, struct span mechanism, struct span user)
{
	s->sasl_method = arena_cstr(&s->arena, mechanism);
	s->sasl_user = arena_span(&s->arena, user);
	reply(s, "235 2.7.0 Authentication successful");
}

/* The question that counts. A refusal waits for its time, so that nobody can tell its reason from it. */
static void ask(struct smtpd_session *s, struct sasl_talk *t)
{
	int64_t asked_ms = clock_mono_ms();
	struct handover_reply r;
	enum auth_ask got = auth_ask(t->auth_path, t->q, -1, &s->cmd, &r);
	int64_t pause_ms = r.delay_ms > conf->auth_failure_delay_ms ? r.delay_ms : conf->auth_failure_delay_ms;

	if (got == AUTH_SAID && r.code == HANDOVER_OK) {
		auth_done(s, t->q->mechanism, r.user);
		return;
	}
	if (!sasl_talk_refused(t) || io_sleep_until(asked_ms + pause_ms) == IO_STOPPING)
		return; /* the next read says what has happened */
	if (got != AUTH_SAID || r.code == HANDOVER_TEMP)
		auth_failed(s, t->q->mechanism, t->q->user, auth_no_answer, "Connection lost to authentication server");
	else
		auth_failed(s, t->q->mechanism, t->q->user, auth_refused, "authentication failure");
}

void auth_aborted(struct smtpd_session *s, struct span mechanism, const char *text, const char *code)
{
	log_warn("%s: SASL " SPAN_FMT " authentication aborted%s", s->client, SPAN_ARG(mechanism), text);
	reply(s, "%s", code);
}

static void exchange(struct smtpd_session *s, enum sasl_mech mech, struct span initial)
{
	struct handover_login q = {
		.service = SPAN("smtp"),
		.remote = s->peer,
		.local = s->local,
		.secured = smtpd_auth_encrypted(s),
	};
	struct sasl_talk t = {
		.io = s->stream,
		.arena = &s->cmd,
		.prompt = "334 ",
		.line_max = (size_t)conf->smtpd_sasl_response_limit + 2,
		.auth_path = "private/auth",
		.host = conf->myhostname,
		.realm = span_cstr(conf->smtpd_sasl_local_domain),
		.q = &q,
	};
	struct sasl_binding bindings[SASL_TALK_BINDINGS];

	sasl_talk_bind(&t, s->tls, offer_now(s), bindings);
	switch (sasl_talk(&t, mech, initial)) {
	case SASL_TALK_READY:
		ask(s, &t);
		break;
	case SASL_TALK_CANCELLED:
		auth_aborted(s, q.mechanism, "", "501 5.7.0 Authentication aborted");
		break;
	case SASL_TALK_TOO_LONG:
		auth_aborted(s, q.mechanism, ": message too large", "500 5.5.6 SASL authentication failed: message too large");
		break;
	case SASL_TALK_NOT_BASE64:
		auth_failed(s, q.mechanism, q.user, auth_refused, "Invalid base64 data");
		break;
	case SASL_TALK_MALFORMED:
		auth_failed(s, q.mechanism, q.user, auth_refused, "malformed response");
		break;
	case SASL_TALK_TEMP:
		auth_failed(s, q.mechanism, q.user, auth_no_answer, "Connection lost to authentication server");
		break;
	case SASL_TALK_LOST: /* the next read says so */
		break;
	}
	sasl_talk_wipe(&t);
}

/* May AUTH come now? */
static bool may_come_now(struct smtpd_session *s)
{
	if (s->helo.len == 0 && (conf->smtpd_helo_required || !s->esmtp))
		reply(s, "503 5.5.1 Error: send HELO/EHLO first");
	else if (!smtpd_auth_active(s) || s->discard & DISCARD_AUTH)
		reply(s, "503 5.5.1 Error: authentication not enabled");
	else if (s->txn.have_sender)
		reply(s, "503 5.5.1 Error: MAIL transaction in progress");
	else if (conf->smtpd_tls_auth_only && !smtpd_auth_encrypted(s))
		reply(s, "538 5.7.0 Encryption required for requested authentication mechanism");
	else if (s->sasl_user.len)
		reply(s, "503 5.5.1 Error: already authenticated");
	else
		return true;
	return false;
}

void cmd_auth(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	struct span args = cmd->args, name, initial = SPAN_NONE, more;
	enum sasl_mech mech;

	if (!may_come_now(s) || !rates_allow(s, RATE_AUTH))
		return;
	if (!span_word(&args, " \t", &name) || (span_word(&args, " \t", &initial) && span_word(&args, " \t", &more))) {
		reply(s, "501 5.5.4 Syntax: AUTH mechanism");
		return;
	}
	if (initial.len == 0)
		initial = SPAN_NONE;
	mech = sasl_mech_find(name);
	if (auth_dovecot_used())
		auth_dovecot(s, name, initial, unheard(s));
	else if (offer_now(s) & SASL_BIT(mech))
		exchange(s, mech, initial);
	else if (in_clear & SASL_BIT(mech) & SASL_IN_CLEAR)
		reply(s, "538 5.7.11 Encryption required for requested authentication mechanism");
	else
		auth_failed(s, name, SPAN_NONE, auth_refused, "Invalid authentication mechanism");
}

/* --- what follows from it ----------------------------------------------------------------------------------------- */

bool smtpd_auth_mail(struct smtpd_session *s, const struct smtp_mail *mail)
{
	if (!mail->has_auth)
		return true;
	if (!smtpd_auth_active(s)) {
		reply(s, "503 5.5.4 Error: authentication disabled");
		return false;
	}
	s->txn.sasl_sender = arena_span(&s->txn.arena, mail->auth);
	return true;
}

const char *smtpd_auth_log(struct smtpd_session *s)
{
	struct span sender = s->txn.sasl_sender;
	const char *text = "";

	if (s->sasl_user.len)
		text = arena_printf(&s->cmd, ", sasl_method=%s, sasl_username=" SPAN_FMT, s->sasl_method, SPAN_ARG(s->sasl_user));
	return sender.len ? arena_printf(&s->cmd, "%s, sasl_sender=" SPAN_FMT, text, SPAN_ARG(sender)) : text;
}
