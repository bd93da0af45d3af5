/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/sasl_server.h"

#include <string.h>

#include "lib/base/base64.h"
#include "lib/proto/sasl.h"
#include "lib/proto/sasl_scram.h"

/* --- names -------------------------------------------------------------------------------------------------------- */

static const char *const names[SASL_MECHS] = {
	[SASL_NO_MECHANISM] = "",
	[SASL_PLAIN] = "PLAIN",
	[SASL_LOGIN] = "LOGIN",
	[SASL_CRAM_MD5] = "CRAM-MD5",
	[SASL_SCRAM_SHA_1] = "SCRAM-SHA-1",
	[SASL_SCRAM_SHA_1_PLUS] = "SCRAM-SHA-1-PLUS",
	[SASL_SCRAM_SHA_256] = "SCRAM-SHA-256",
	[SASL_SCRAM_SHA_256_PLUS] = "SCRAM-SHA-256-PLUS",
	[SASL_OAUTHBEARER] = "OAUTHBEARER",
	[SASL_XOAUTH2] = "XOAUTH2",
	[SASL_APOP] = "APOP",
};

const char *sasl_mech_str(enum sasl_mech mech)
{
	return mech < SASL_MECHS ? names[mech] : "";
}

enum sasl_mech sasl_mech_find(struct span name)
{
	for (enum sasl_mech m = SASL_PLAIN; m < SASL_MECHS; m++)
		if (span_iis(name, names[m]))
			return m;
	return SASL_NO_MECHANISM;
}

bool sasl_mech_is_scram(enum sasl_mech mech)
{
	return mech >= SASL_SCRAM_SHA_1 && mech <= SASL_SCRAM_SHA_256_PLUS;
}

unsigned sasl_mechs_parse(struct span list, struct span *unknown_r)
{
	unsigned set = 0;
	struct span word;

	*unknown_r = SPAN_NONE;
	while (span_word(&list, ", \t\r\n", &word)) {
		enum sasl_mech m = sasl_mech_find(word);

		if (m == SASL_NO_MECHANISM)
			*unknown_r = word;
		else
			set |= SASL_BIT(m);
	}
	return set;
}

/* --- the mechanisms ----------------------------------------------------------------------------------------------- */

static enum sasl_step ask(struct sasl_server *s, struct span challenge)
{
	s->challenge = challenge;
	s->state++;
	return SASL_CHALLENGE;
}

static enum sasl_step plain(struct sasl_server *s, struct span message)
{
	struct sasl_plain p;

	if (!sasl_plain_parse(message, &p))
		return SASL_MALFORMED;
	s->user = p.authcid;
	s->password = p.password;
	return p.authzid.len == 0 || span_eq(p.authzid, p.authcid) ? SASL_VERIFY : SASL_FORBIDDEN;
}

static enum sasl_step login(struct sasl_server *s, struct span message)
{
	if (s->state == 1) {
		s->user = message;
		return message.len ? ask(s, SPAN("Password:")) : SASL_MALFORMED;
	}
	s->password = message;
	return SASL_VERIFY;
}

static enum sasl_step cram_md5(struct sasl_server *s, struct span message)
{
	ptrdiff_t blank = span_rchr(message, ' ');

	if (blank <= 0 || message.len - (size_t)blank != 33)
		return SASL_MALFORMED;
	s->user = span_head(message, (size_t)blank);
	s->password = span_skip(message, (size_t)blank + 1);
	return SASL_VERIFY;
}

/* The parts of both OAuth forms end with ^A; the token is that of the part "auth=Bearer ". */
static enum sasl_step bearer(struct sasl_server *s, struct span parts)
{
	struct span token = SPAN_NONE;

	while (parts.len && parts.ptr[0] != '\1') {
		struct span part = span_cut(&parts, '\1');

		if (span_istarts(part, "auth=Bearer "))
			token = span_trim(span_skip(part, 12));
		else if (s->mech == SASL_XOAUTH2 && span_starts(part, "user="))
			s->user = span_skip(part, 5);
	}
	s->password = token;
	return s->user.len && token.len ? SASL_VERIFY : SASL_MALFORMED;
}

static enum sasl_step oauth(struct sasl_server *s, struct span message)
{
	struct span header, word;

	if (s->state > 1)
		return SASL_MALFORMED;
	if (s->mech == SASL_XOAUTH2)
		return bearer(s, message);
	if (!span_starts(message, "n,") && !span_starts(message, "y,"))
		return SASL_MALFORMED;
	header = span_cut(&message, '\1');
	(void)span_cut(&header, ',');
	word = span_cut(&header, ',');
	if (!span_starts(word, "a=") || !sasl_scram_name(s->arena, span_skip(word, 2), &s->user))
		return SASL_MALFORMED;
	return bearer(s, message);
}

/* --- the exchange ------------------------------------------------------------------------------------------------- */

/*
 * state: 0 nothing was said, 1 the first message of the client is awaited, 2 and above as each mechanism counts its own.
 */
enum sasl_step sasl_server_begin(struct sasl_server *s, struct arena *a, enum sasl_mech mech, const struct sasl_setup *setup,
				 struct span initial)
{
	*s = (struct sasl_server){ .mech = mech, .setup = *setup, .arena = a };
	if (mech == SASL_CRAM_MD5) {
		if (initial.ptr)
			return SASL_MALFORMED;
		s->message = span_cstr(
		    arena_printf(a, "<" SPAN_FMT "@" SPAN_FMT ">", SPAN_ARG(setup->nonce), SPAN_ARG(setup->host)));
		return ask(s, s->message);
	}
	if (initial.ptr == NULL)
		return ask(s, mech == SASL_LOGIN ? SPAN("Username:") : SPAN(""));
	s->state = 1;
	return sasl_server_step(s, initial);
}

enum sasl_step sasl_server_step(struct sasl_server *s, struct span message)
{
	if (message.len > SASL_MESSAGE_MAX)
		return SASL_MALFORMED;
	message = arena_span(s->arena, message);
	switch (s->mech) {
	case SASL_PLAIN:
		return plain(s, message);
	case SASL_LOGIN:
		return login(s, message);
	case SASL_CRAM_MD5:
		return cram_md5(s, message);
	case SASL_SCRAM_SHA_1:
	case SASL_SCRAM_SHA_1_PLUS:
	case SASL_SCRAM_SHA_256:
	case SASL_SCRAM_SHA_256_PLUS:
		return sasl_scram_step(s, message);
	case SASL_OAUTHBEARER:
	case SASL_XOAUTH2:
		return oauth(s, message);
	case SASL_APOP:
	case SASL_NO_MECHANISM:
	case SASL_MECHS:
		break;
	}
	return SASL_MALFORMED;
}

bool sasl_server_refused(struct sasl_server *s)
{
	if (s->mech != SASL_OAUTHBEARER && s->mech != SASL_XOAUTH2)
		return false;
	s->challenge = s->mech == SASL_OAUTHBEARER ? SPAN("{\"status\":\"invalid_token\"}")
						   : SPAN("{\"status\":\"401\",\"schemes\":\"bearer\"}");
	return true;
}
