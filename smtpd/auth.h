/* SPDX-License-Identifier: BSD-2-Clause */
/* AUTH, RFC 4954: what is offered, who the client is. The secrets are with auth; see lib/service/sasl_talk.h. */
#pragma once
#include "smtpd/session.h"

/* Read the parameters, before threads start. A mechanism or option that is not known is logged. */
void smtpd_auth_init(void);
/* Is AUTH in force on this connection at all, whatever the encryption? */
bool smtpd_auth_active(const struct smtpd_session *s);
/* Is the connection encrypted, and by what: bindings of its channel for SCRAM-*-PLUS. */
bool smtpd_auth_encrypted(const struct smtpd_session *s);
/* The mechanisms for the EHLO keyword line; empty: none are to be had now. */
const char *smtpd_auth_ehlo(struct smtpd_session *s);
/* MAIL ... AUTH=: false when it may not be given here; the reply is sent. */
bool smtpd_auth_mail(struct smtpd_session *s, const struct smtp_mail *mail);
/* ", sasl_method=PLAIN, sasl_username=u", or nothing: the end of the client= line. In s->cmd. */
const char *smtpd_auth_log(struct smtpd_session *s);

/* --- how an exchange ends: log line and reply */
extern const char auth_refused[], auth_no_answer[];
/* user: as given, may be empty; code: one of the above. */
void auth_failed(struct smtpd_session *s, struct span mechanism, struct span user, const char *code, const char *why);
void auth_done(struct smtpd_session *s, struct span mechanism, struct span user);
void auth_aborted(struct smtpd_session *s, struct span mechanism, const char *text, const char *code);

/* smtpd_sasl_mechanism_filter */
bool auth_filter_allows(const char *mechanism);

/* --- auth_dovecot.c: smtpd_sasl_type = dovecot, another server decides */
void auth_dovecot_init(void);
bool auth_dovecot_used(void);
/* unheard: nobody can listen in, though there is no TLS. */
const char *auth_dovecot_list(struct smtpd_session *s, bool unheard);
void auth_dovecot(struct smtpd_session *s, struct span mechanism, struct span initial, bool unheard);
