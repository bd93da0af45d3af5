/* SPDX-License-Identifier: BSD-2-Clause */
/* STARTTLS, RFC 3207; implicit TLS, RFC 8314; what a log line and a Received: field say about it. */
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/service/tlsdoor.h"
#include "smtpd/discard.h"
#include "smtpd/rates.h"
#include "smtpd/session.h"
#include "smtpd/starttls.h"

enum level { LEVEL_NONE, LEVEL_MAY, LEVEL_ENCRYPT };

static enum level level;

static enum level read_level(void)
{
	const char *text = conf->smtpd_tls_security_level;

	if (*text == '\0')
		text = conf->smtpd_enforce_tls ? "encrypt" : conf->smtpd_use_tls ? "may" : "none";
	if (conf->smtpd_tls_wrappermode || strcmp(text, "encrypt") == 0)
		return LEVEL_ENCRYPT;
	if (strcmp(text, "may") == 0)
		return LEVEL_MAY;
	if (strcmp(text, "none") == 0)
		return LEVEL_NONE;
	log_warn("smtpd_tls_security_level: %s: none, may or encrypt is expected; taken for encrypt", text);
	return LEVEL_ENCRYPT;
}

static const char *cipher_list(const char *parameter, const char *grade)
{
	const char *list = tls_grade(grade);

	if (list == NULL)
		log_warn("%s: %s: no such grade, medium is used", parameter, grade);
	if (list && strcmp(grade, "high") == 0 && *conf->tls_high_cipherlist)
		return conf->tls_high_cipherlist;
	if (list && strcmp(grade, "high") != 0 && *conf->tls_medium_cipherlist)
		return conf->tls_medium_cipherlist;
	return list ? list : tls_grade("medium");
}

static const char *excluded(bool demanded)
{
	static char both[2048];

	snprintf(both, sizeof both, "%s %s", conf->smtpd_tls_exclude_ciphers,
		 demanded ? conf->smtpd_tls_mandatory_exclude_ciphers : "");
	return both;
}

/* Is a certificate demanded that we can trust? Only where TLS is. */
static bool cert_demanded(void)
{
	return level == LEVEL_ENCRYPT && conf->smtpd_tls_req_ccert;
}

void starttls_open(void)
{
	struct tls_settings set = {
		.session_context = service_name(),
		.groups = conf->tls_eecdh_auto_curves,
		.ca_file = conf->smtpd_tls_CAfile,
		.ca_dir = conf->smtpd_tls_CApath,
		.verify_depth = (int)conf->smtpd_tls_ccert_verifydepth,
		.fingerprint_digest = conf->smtpd_tls_fingerprint_digest,
		.server_order = conf->tls_preempt_cipherlist,
	};
	bool demanded;

	level = read_level();
	demanded = level == LEVEL_ENCRYPT;
	set.protocols = demanded ? conf->smtpd_tls_mandatory_protocols : conf->smtpd_tls_protocols;
	set.ciphers = demanded ? cipher_list("smtpd_tls_mandatory_ciphers", conf->smtpd_tls_mandatory_ciphers)
			       : cipher_list("smtpd_tls_ciphers", conf->smtpd_tls_ciphers);
	set.exclude_ciphers = excluded(demanded);
	set.ask_cert = conf->smtpd_tls_ask_ccert || cert_demanded();
	if (conf->smtpd_tls_req_ccert && level == LEVEL_MAY)
		log_warn("smtpd_tls_req_ccert: not in use without smtpd_tls_security_level = encrypt");
	if (level != LEVEL_NONE)
		tlsdoor_open(TLS_SMTPD, &set);
}

void starttls_first_look(void)
{
	if (level == LEVEL_NONE)
		return;
	if (!tls_configured(conf, TLS_SMTPD))
		log_warn("smtpd_tls_security_level: no certificate is configured, so there is no TLS");
	else
		(void)tlsdoor_ready();
}

bool starttls_offered(const struct smtpd_session *s)
{
	return s->tls == NULL && !s->is_unix && level != LEVEL_NONE && !conf->smtpd_tls_wrappermode && tlsdoor_ready();
}

bool starttls_missing(const struct smtpd_session *s)
{
	return level == LEVEL_ENCRYPT && s->tls == NULL && !s->is_unix;
}

/* --- the handshake ------------------------------------------------------------------------------------------------ */

static const char *trust(const struct tls_info *i)
{
	return i->peer_cert ? i->peer_trusted ? "Trusted" : "Untrusted" : "Anonymous";
}

static void log_established(const struct smtpd_session *s)
{
	struct buf b;

	if (conf->smtpd_tls_loglevel < 1)
		return;
	buf_init(&b, 1024);
	tls_describe(&b, s->tls, " ");
	log_info("%s TLS connection %s from %s: %s", trust(s->tls), s->tls->resumed ? "reused" : "established", s->client,
		 buf_cstr(&b));
	buf_free(&b);
}

static void log_untrusted(const struct smtpd_session *s, const struct tls_info *i)
{
	const char *whose = strncmp(i->peer_why, "certificate ", 12) == 0 ? "client " : "";

	if (i->peer_cert && !i->peer_trusted && (cert_demanded() || conf->smtpd_tls_loglevel > 1))
		log_info("%scertificate verification failed for %s: %s", whose, s->client, i->peer_why);
}

static void check_certificate(struct smtpd_session *s, const struct tls_info *i)
{
	if (!cert_demanded() || i->peer_trusted)
		return;
	s->no_cert = i->peer_cert ? "Client certificate not trusted" : "No client certificate presented";
	log_info("NOQUEUE: abort: TLS from %s: %s", s->client, s->no_cert);
}

/* A session that is resumed costs little. False: too many new ones, the reply is given. */
static bool new_session_is_fine(struct smtpd_session *s)
{
	return s->tls->resumed || rates_allow(s, RATE_TLS);
}

/* False: the session is over; whatever could be said has been. */
static bool handshake(struct smtpd_session *s, struct tls_context *c)
{
	struct tls_info *info = arena_alloc(&s->arena, sizeof *info);
	int64_t until = clock_deadline(conf->smtpd_starttls_timeout_ms);
	char why[TLS_WHY_MAX];

	stream_set_timeout(s->stream, 0);
	if (tls_accept(s->stream, c, until, info, why) != IO_OK) {
		log_info("SSL_accept error from %s: %s", s->client, why);
		(void)rates_count(s, RATE_TLS); /* it cost us as much as one that succeeds */
		return false;
	}
	stream_set_timeout(s->stream, conf->smtpd_timeout_ms);
	s->tls = info;
	log_untrusted(s, info);
	log_established(s);
	if (!new_session_is_fine(s))
		return false;
	check_certificate(s, info);
	return true;
}

bool starttls_wrapped(struct smtpd_session *s)
{
	struct tls_context *c;
	bool ok;

	if (rates_exceeded(s, RATE_TLS)) {
		log_warn("Refusing TLS service request from %s for service %s", s->client, service_name());
		return false;
	}
	c = tlsdoor_use();
	ok = c && handshake(s, c);
	if (c == NULL)
		log_warn("%s: no certificate for a connection that is to begin with TLS", s->client);
	else if (!ok && !s->quit)
		log_info("lost connection after CONNECT from %s", s->client);
	tls_context_free(c);
	return ok;
}

/* What was said in the clear, anybody may have said: it is forgotten. */
static void forget(struct smtpd_session *s)
{
	transaction_reset(s);
	s->helo = SPAN_NONE;
	s->esmtp = false;
	s->sasl_user = SPAN_NONE;
	s->sasl_method = NULL;
	s->put_off_helo = NULL;
}

/* Why there is no TLS for this client now: a reply, or NULL. */
static const char *objection(const struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	if (cmd->args.len)
		return "501 5.5.4 Syntax: STARTTLS";
	if (s->tls)
		return "554 5.5.1 Error: TLS already active";
	if (level == LEVEL_NONE || s->is_unix || s->discard & DISCARD_STARTTLS)
		return "502 5.5.1 Error: command not implemented";
	return NULL;
}

static void begin_tls(struct smtpd_session *s, struct tls_context *c)
{
	if (stream_has_input(s->stream)) { /* somebody on the way may have put it there */
		log_info("plaintext after STARTTLS from %s: connection is closed", s->client);
		reply(s, "554 5.5.0 Error: SMTP protocol synchronization");
		s->quit = true;
		return;
	}
	reply(s, "220 2.0.0 Ready to start TLS");
	if (handshake(s, c)) {
		forget(s);
		return;
	}
	if (!s->quit) {
		s->errors++;
		log_info("lost connection after STARTTLS from %s", s->client);
	}
	s->quit = true;
}

void cmd_starttls(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	const char *why = objection(s, cmd);
	struct tls_context *c;

	if (why) {
		reply(s, "%s", why);
		return;
	}
	c = tlsdoor_use();
	if (c == NULL) {
		reply(s, "454 4.7.0 TLS not available due to local problem");
	} else if (rates_exceeded(s, RATE_TLS)) {
		log_warn("Refusing STARTTLS request from %s for service %s", s->client, service_name());
		reply(s, "454 4.7.0 Error: too many new TLS sessions from %s", s->client);
	} else {
		begin_tls(s, c);
	}
	tls_context_free(c);
}

/* --- the trace ---------------------------------------------------------------------------------------------------- */

void starttls_received(struct buf *b, const struct smtpd_session *s)
{
	const struct tls_info *i = s->tls;

	if (i == NULL || !conf->smtpd_tls_received_header)
		return;
	buf_adds(b, "\n\t(using ");
	tls_describe(b, i, "\n\t ");
	buf_adds(b, ")");
	if (i->peer_cert)
		buf_addf(b, "\n\t(Client CN \"%s\", Issuer \"%s\" (%s))", i->peer_subject, i->peer_issuer,
			 i->peer_trusted ? "verified OK" : "not verified");
	else
		buf_adds(b, i->asked_cert ? "\n\t(Client did not present a certificate)" : "\n\t(No client certificate requested)");
}
