/* SPDX-License-Identifier: BSD-2-Clause */
/* POP3's AUTH (RFC 5034) and IMAP's AUTHENTICATE (RFC 3501 6.2.2, RFC 4959): both speak "+ " and base64. */
#include "lib/conf/conf.h"
#include "lib/proto/pop3_cmd.h"
#include "login/login.h"

unsigned sasl_offer(const struct login *l)
{
	unsigned offer = (l->tls ? login_mechanisms : login_mechanisms & ~SASL_PLUS) & ~SASL_BIT(SASL_APOP);

	if (starttls_missing(l)) /* not even a proof that shows no password */
		return 0;
	return plain_is_fine(l) ? offer : offer & ~SASL_IN_CLEAR;
}

enum sasl_mech sasl_choose(struct login *l, struct span name, bool *in_clear_r)
{
	enum sasl_mech mech = sasl_mech_find(name);

	*in_clear_r = false;
	if (!(login_mechanisms & SASL_BIT(mech)))
		return SASL_NO_MECHANISM;
	*in_clear_r = ((SASL_BIT(mech) & SASL_IN_CLEAR) || starttls_missing(l)) && !password_allowed(l);
	return *in_clear_r || (sasl_offer(l) & SASL_BIT(mech)) ? mech : SASL_NO_MECHANISM;
}

enum sasl_talk_end sasl_exchange(struct login *l, enum sasl_mech mech, struct span initial, struct credentials *c)
{
	enum sasl_talk_end end;

	question_init(l, &c->question, c->tag);
	c->talk = (struct sasl_talk){
		.io = l->io,
		.arena = &l->arena,
		.prompt = "+ ",
		.line_max = POP3_AUTH_LINE_MAX,
		.auth_path = "login/auth",
		.host = conf->myhostname,
		.q = &c->question,
	};
	sasl_talk_bind(&c->talk, l->tls, sasl_offer(l), c->bindings);
	end = sasl_talk(&c->talk, mech, initial);
	l->sasl_unfinished = end == SASL_TALK_LOST && c->talk.client_was_asked;
	return end;
}
