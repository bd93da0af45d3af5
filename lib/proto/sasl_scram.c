/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/sasl_scram.h"

#include <string.h>

#include "lib/base/base64.h"
#include "lib/proto/saslprep.h"

/* state: 1 awaits client-first, 2 the parameters, 3 client-final, 4 the verdict, 5 the empty message that ends it. */
enum { FIRST = 1, PARAMETERS, FINAL, VERDICT, LAST };

bool sasl_scram_name(struct arena *a, struct span text, struct span *name_r)
{
	char *to = arena_alloc(a, text.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		struct span rest = span_skip(text, i);

		if (text.ptr[i] != '=') {
			to[n++] = text.ptr[i];
			continue;
		}
		if (!span_starts(rest, "=2C") && !span_starts(rest, "=3D"))
			return false;
		to[n++] = rest.ptr[1] == '2' ? ',' : '=';
		i += 2;
	}
	*name_r = span_of(to, n);
	return n > 0;
}

/* What the client says of channel binding: "n" cannot, "y" could but believes that we cannot, "p=type" does. */
static enum sasl_step take_flag(struct sasl_server *s, struct span flag)
{
	bool plus = SASL_BIT(s->mech) & SASL_PLUS;

	if (span_starts(flag, "p=")) {
		struct span type = span_skip(flag, 2);

		if (!plus)
			return SASL_MALFORMED;
		for (size_t i = 0; i < s->setup.nbindings && s->binding == NULL; i++)
			if (span_eq(s->setup.bindings[i].type, type))
				s->binding = &s->setup.bindings[i];
		return s->binding ? SASL_PARAMETERS : SASL_FORBIDDEN;
	}
	if (plus)
		return SASL_MALFORMED;
	if (span_is(flag, "y")) /* somebody has taken -PLUS out of our offer */
		return s->setup.plus_offered ? SASL_FORBIDDEN : SASL_PARAMETERS;
	return span_is(flag, "n") ? SASL_PARAMETERS : SASL_MALFORMED;
}

static bool printable(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < '!' || s.ptr[i] > '~')
			return false;
	return s.len > 0 && s.len <= SASL_NONCE_MAX;
}

/* RFC 5802 5.1: names are compared as prepared. One that cannot be is nobody's, which auth will say. */
static void prepare(struct arena *a, struct span *name)
{
	struct buf b;

	buf_init(&b, SASL_MESSAGE_MAX);
	if (saslprep(&b, *name))
		*name = arena_span(a, buf_span(&b));
	buf_free(&b);
}

static enum sasl_step client_first(struct sasl_server *s, struct span message)
{
	struct span rest = message, flag = span_cut(&rest, ','), authzid = span_cut(&rest, ','), name, nonce, other;
	enum sasl_step step = take_flag(s, flag);

	if (step != SASL_PARAMETERS)
		return step;
	s->gs2 = span_head(message, message.len - rest.len);
	s->first_bare = rest;
	name = span_cut(&rest, ',');
	nonce = span_cut(&rest, ',');
	if (!span_starts(name, "n=") || !sasl_scram_name(s->arena, span_skip(name, 2), &s->user) || !span_starts(nonce, "r=") ||
	    !printable(span_skip(nonce, 2)))
		return SASL_MALFORMED;
	prepare(s->arena, &s->user);
	s->nonce = span_cstr(arena_printf(s->arena, SPAN_FMT SPAN_FMT, SPAN_ARG(span_skip(nonce, 2)), SPAN_ARG(s->setup.nonce)));
	s->state = PARAMETERS;
	if (authzid.len == 0)
		return SASL_PARAMETERS;
	if (!span_starts(authzid, "a=") || !sasl_scram_name(s->arena, span_skip(authzid, 2), &other))
		return SASL_MALFORMED;
	prepare(s->arena, &other);
	return span_eq(other, s->user) ? SASL_PARAMETERS : SASL_FORBIDDEN;
}

enum sasl_step sasl_server_parameters(struct sasl_server *s, struct span salt, uint32_t iterations)
{
	struct buf b;

	if (s->state != PARAMETERS || salt.len > SASL_SALT_MAX)
		return SASL_MALFORMED;
	buf_init(&b, SASL_MESSAGE_MAX);
	buf_addf(&b, "r=" SPAN_FMT ",s=", SPAN_ARG(s->nonce));
	(void)!base64_encode(&b, salt);
	buf_addf(&b, ",i=%u", iterations);
	s->server_first = arena_span(s->arena, buf_span(&b));
	buf_free(&b);
	s->challenge = s->server_first;
	s->state = FINAL;
	return SASL_CHALLENGE;
}

/* c= must be what the client said at first, with the data of its channel behind it. */
static bool binding_is_right(const struct sasl_server *s, struct span text)
{
	struct buf want, encoded;
	bool same;

	buf_init(&want, SASL_MESSAGE_MAX);
	buf_init(&encoded, 2 * SASL_MESSAGE_MAX);
	buf_add_span(&want, s->gs2);
	if (s->binding)
		buf_add_span(&want, s->binding->data);
	same = !want.overflow && base64_encode(&encoded, buf_span(&want)) && span_eq(text, buf_span(&encoded));
	buf_free(&want);
	buf_free(&encoded);
	return same;
}

static enum sasl_step client_final(struct sasl_server *s, struct span message)
{
	struct span rest = message, channel = span_cut(&rest, ','), nonce = span_cut(&rest, ','), proof;
	ptrdiff_t comma = span_rchr(message, ',');
	enum sasl_step step = SASL_MALFORMED;
	struct buf b;

	if (comma < 0 || !span_starts(channel, "c=") || !span_starts(nonce, "r=") ||
	    !span_starts(span_skip(message, (size_t)comma), ",p="))
		return SASL_MALFORMED;
	proof = span_skip(message, (size_t)comma + 3);
	if (!span_eq(span_skip(nonce, 2), s->nonce) || !binding_is_right(s, span_skip(channel, 2)))
		return SASL_FORBIDDEN;
	buf_init(&b, SASL_MESSAGE_MAX);
	if (base64_decode(&b, proof) && b.len > 0) {
		s->password = arena_span(s->arena, buf_span(&b));
		s->message = span_cstr(arena_printf(s->arena, SPAN_FMT "," SPAN_FMT "," SPAN_FMT, SPAN_ARG(s->first_bare),
						    SPAN_ARG(s->server_first), SPAN_ARG(span_head(message, (size_t)comma))));
		s->state = VERDICT;
		step = SASL_VERIFY;
	}
	buf_wipe(&b);
	return step;
}

enum sasl_step sasl_server_verified(struct sasl_server *s, struct span signature)
{
	struct buf b;

	if (s->state != VERDICT)
		return SASL_ACCEPTED;
	buf_init(&b, SASL_MESSAGE_MAX);
	buf_adds(&b, "v=");
	(void)!base64_encode(&b, signature);
	s->challenge = arena_span(s->arena, buf_span(&b));
	buf_free(&b);
	s->state = LAST;
	return SASL_CHALLENGE;
}

enum sasl_step sasl_scram_step(struct sasl_server *s, struct span message)
{
	if (memchr(message.ptr, '\0', message.len)) /* printf below stops there, and no message has one */
		return SASL_MALFORMED;
	switch (s->state) {
	case FIRST:
		return client_first(s, message);
	case FINAL:
		return client_final(s, message);
	case LAST:
		return message.len == 0 ? SASL_ACCEPTED : SASL_MALFORMED;
	default:
		return SASL_MALFORMED;
	}
}
