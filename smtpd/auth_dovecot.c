/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smtpd_sasl_type = dovecot. The base64 goes to and fro as it is; the other server knows the mechanisms, counts failures and makes
 * refusals late. smtpd_sasl_path = private/auth, which is what such settings say where Postfix and Dovecot work together, is the
 * place of our own auth, which then decides as always.
 */
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/service/dovecot_ask.h"
#include "smtpd/auth.h"

static bool used;
static struct dovecot_options in_clear, encrypted;

static void read_options(const char *parameter, const char *value, struct dovecot_options *o)
{
	struct span unknown;

	if (!dovecot_options_parse(span_cstr(value), o, &unknown))
		log_fatal("%s: unknown SASL security option \"" SPAN_FMT "\"", parameter, SPAN_ARG(unknown));
}

void auth_dovecot_init(void)
{
	struct span path = span_cstr(conf->smtpd_sasl_path);

	if (span_starts(path, "unix:"))
		path = span_skip(path, 5);
	used = strcmp(conf->smtpd_sasl_type, "dovecot") == 0 && !span_is(path, "private/auth");
	read_options("smtpd_sasl_security_options", conf->smtpd_sasl_security_options, &in_clear);
	read_options("smtpd_sasl_tls_security_options", conf->smtpd_sasl_tls_security_options, &encrypted);
}

bool auth_dovecot_used(void)
{
	return used;
}

static const char *filtered(struct smtpd_session *s, const char *list)
{
	struct span rest = span_cstr(list), word;
	const char *left = "";

	while (span_word(&rest, " ", &word))
		if (auth_filter_allows(arena_cstr(&s->cmd, word)))
			left = arena_printf(&s->cmd, "%s%s" SPAN_FMT, left, left[0] ? " " : "", SPAN_ARG(word));
	return left;
}

static const char *list_for(struct smtpd_session *s, bool safe)
{
	struct dovecot_options o = smtpd_auth_encrypted(s) ? encrypted : in_clear;

	if (!safe)
		o.without |= DOVECOT_PLAINTEXT;
	return filtered(s, dovecot_mechanisms(&s->cmd, conf->smtpd_sasl_path, &o));
}

const char *auth_dovecot_list(struct smtpd_session *s, bool unheard)
{
	return list_for(s, unheard || smtpd_auth_encrypted(s));
}

/* The name as the list has it, or an empty one. */
static struct span listed(const char *list, struct span name)
{
	struct span rest = span_cstr(list), word;

	while (span_word(&rest, " ", &word))
		if (span_ieq(word, name))
			return word;
	return SPAN_NONE;
}

static void wipe(struct span s)
{
	if (s.len)
		mem_wipe((char *)(uintptr_t)s.ptr, s.len);
}

/* The client's answer to a challenge goes on. False: the exchange is over, and the client has been told. */
static bool relay(struct smtpd_session *s, struct dovecot_exchange **x, struct span mechanism, enum dovecot_said *said,
		  struct span *text)
{
	struct span line;
	enum io_status st;

	reply(s, "334 " SPAN_FMT, SPAN_ARG(*text));
	st = stream_line(s->stream, (size_t)conf->smtpd_sasl_response_limit + 2, &line, NULL);
	if (st == IO_TOO_LONG)
		auth_aborted(s, mechanism, ": message too large", "500 5.5.6 SASL authentication failed: message too large");
	else if (st == IO_OK && span_is(line, "*"))
		auth_aborted(s, mechanism, "", "501 5.7.0 Authentication aborted");
	else if (st == IO_OK && !dovecot_is_base64(line))
		auth_failed(s, mechanism, SPAN_NONE, auth_refused, "Invalid base64 data in continued response");
	if (st != IO_OK || !dovecot_is_base64(line)) { /* of a lost connection the next read says so */
		wipe(st == IO_OK ? line : SPAN_NONE);
		return false;
	}
	*said = dovecot_continue(&s->cmd, x, line, text);
	wipe(line);
	return true;
}

static void exchange(struct smtpd_session *s, struct span mechanism, struct span initial)
{
	const struct dovecot_question q = {
		.endpoint = conf->smtpd_sasl_path,
		.service = conf->smtpd_sasl_service,
		.mechanism = mechanism,
		.initial = span_is(initial, "=") ? SPAN("") : initial,
		.remote = s->peer,
		.local = s->local,
		.secured = smtpd_auth_encrypted(s),
	};
	struct dovecot_exchange *x;
	struct span text;
	enum dovecot_said said = dovecot_begin(&s->cmd, &q, &x, &text);

	while (said == DOVECOT_SAID_CONT)
		if (!relay(s, &x, mechanism, &said, &text)) {
			dovecot_cancel(&x);
			return;
		}
	if (said == DOVECOT_SAID_OK)
		auth_done(s, mechanism, text);
	else if (said == DOVECOT_SAID_TEMP)
		auth_failed(s, mechanism, SPAN_NONE, auth_no_answer, text.len ? text.ptr : "try again later");
	else
		auth_failed(s, mechanism, SPAN_NONE, auth_refused, text.len ? text.ptr : "authentication failure");
}

void auth_dovecot(struct smtpd_session *s, struct span mechanism, struct span initial, bool unheard)
{
	struct span name = listed(auth_dovecot_list(s, unheard), mechanism);

	if (name.len == 0 && listed(list_for(s, true), mechanism).len)
		reply(s, "538 5.7.11 Encryption required for requested authentication mechanism");
	else if (name.len == 0)
		auth_failed(s, mechanism, SPAN_NONE, auth_refused, "Invalid authentication mechanism");
	else if (initial.ptr && !dovecot_is_base64(initial))
		auth_failed(s, name, SPAN_NONE, auth_refused, "Invalid base64 data in initial response");
	else
		exchange(s, name, initial);
	wipe(initial);
}
