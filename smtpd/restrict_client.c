/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules about the client's address and session. */
#include "lib/conf/conf.h"
#include "lib/route/route.h"
#include "smtpd/restrict.h"

enum decision permit_mynetworks(struct check *c, const struct use *u)
{
	(void)u;
	return c->s->trusted ? PERMIT : c->s->trust_unknown ? refuse_lookup(c, c->name) : NEXT;
}

enum decision permit_inet_interfaces(struct check *c, const struct use *u)
{
	(void)u;
	return route_is_interface(&c->s->peer) ? PERMIT : NEXT;
}

enum decision permit_sasl_authenticated(struct check *c, const struct use *u)
{
	(void)u;
	return c->s->sasl_user.len ? PERMIT : NEXT;
}

enum decision reject_unknown_client(struct check *c, const struct use *u)
{
	struct smtpd_session *s = c->s;

	(void)u;
	if (s->name_status == DNS_OK)
		return NEXT;
	return refuse(c, s->name_status == DNS_TEMP ? 450 : (int)conf->unknown_client_reject_code, "4.7.25",
		      "Client host rejected: cannot find your hostname, [%s]", s->peer_text);
}

enum decision reject_unknown_reverse_client(struct check *c, const struct use *u)
{
	struct smtpd_session *s = c->s;

	(void)u;
	if (s->reverse_status == DNS_OK)
		return NEXT;
	return refuse(c, s->reverse_status == DNS_TEMP ? 450 : (int)conf->unknown_client_reject_code, "4.7.1",
		      "Client host rejected: cannot find your reverse hostname, [%s]", s->peer_text);
}

enum decision reject_plaintext_session(struct check *c, const struct use *u)
{
	(void)u;
	return c->s->tls ? NEXT : refuse(c, (int)conf->plaintext_reject_code, "4.7.1", "Session encryption is required");
}

/* Input that waits where the client had to wait for a reply; pipelining as such is allowed after EHLO. */
enum decision reject_unauth_pipelining(struct check *c, const struct use *u)
{
	struct smtpd_session *s = c->s;
	bool must_wait = !s->esmtp || c->stage == ACCESS_DATA || c->stage == ACCESS_ETRN || c->stage == ACCESS_CLIENT;

	(void)u;
	if (!must_wait || s->last_verb == SMTP_VERB_BDAT || !stream_has_input(s->stream))
		return NEXT;
	return refuse(c, 503, "5.5.0", "<" SPAN_FMT ">: %s rejected: Improper use of SMTP command pipelining", SPAN_ARG(c->name),
		      c->what);
}
