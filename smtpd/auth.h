/* SPDX-License-Identifier: BSD-2-Clause */
/* AUTH, RFC 4954: what is offered, who the client is. The secrets are with auth; see lib/service/sasl_talk.h. */
#pragma once
#include "smtpd/session.h"

/* Read the parameters, before threads start. A mechanism or option that is not known is logged. */
void smtpd_auth_init(void);
/* The mechanisms this client may use now, SASL_BIT(); 0: AUTH is not offered. */
unsigned smtpd_auth_offer(const struct smtpd_session *s);
/* "PLAIN LOGIN" for the EHLO reply, in s->cmd. */
const char *smtpd_auth_list(struct smtpd_session *s, unsigned offer);
/* Is AUTH in force on this connection at all, whatever the encryption? */
bool smtpd_auth_active(const struct smtpd_session *s);
/* Is the connection encrypted, and by what: bindings of its channel for SCRAM-*-PLUS. */
bool smtpd_auth_encrypted(const struct smtpd_session *s);
/* The EHLO keyword lines: AUTH, and with broken_sasl_auth_clients its old form. */
void smtpd_auth_ehlo(struct smtpd_session *s);
/* MAIL ... AUTH=: false when it may not be given here; the reply is sent. */
bool smtpd_auth_mail(struct smtpd_session *s, const struct smtp_mail *mail);
/* ", sasl_method=PLAIN, sasl_username=u", or nothing: the end of the client= line. In s->cmd. */
const char *smtpd_auth_log(struct smtpd_session *s);
