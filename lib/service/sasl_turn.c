/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/sasl_turn.h"

#include <sys/random.h>

#include "lib/base/base64.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/base/pack.h"
#include "lib/service/auth_ask.h"

enum { NONCE_BYTES = 18 };

struct span sasl_nonce(struct arena *a)
{
	unsigned char dice[NONCE_BYTES];
	struct span nonce;
	struct buf b;

	must(getrandom(dice, sizeof dice, 0) == (ssize_t)sizeof dice);
	buf_init(&b, 2 * sizeof dice);
	must(base64_encode(&b, span_of((const char *)dice, sizeof dice)));
	nonce = arena_span(a, buf_span(&b));
	buf_free(&b);
	return nonce;
}

static struct span full_name(const struct sasl_server *s, struct span realm)
{
	if (realm.len == 0 || s->user.len == 0 || span_chr(s->user, '@') >= 0 || span_chr(s->user, '\0') >= 0)
		return s->user;
	return span_cstr(arena_printf(s->arena, SPAN_FMT "@" SPAN_FMT, SPAN_ARG(s->user), SPAN_ARG(realm)));
}

static void complete(struct sasl_server *s, const struct sasl_asker *asker, enum handover_want want)
{
	asker->question->want = want;
	asker->question->user = full_name(s, asker->realm);
	asker->question->password = s->password;
	asker->question->message = s->message;
}

static bool ask(struct sasl_server *s, const struct sasl_asker *asker, enum handover_want want, struct handover_reply *r)
{
	complete(s, asker, want);
	return auth_ask(asker->auth_path, asker->question, -1, s->arena, r) == AUTH_SAID;
}

/* A name that fits nobody still gets parameters: auth makes them up. *step_r is what the client sees next. */
static bool ask_parameters(struct sasl_server *s, const struct sasl_asker *asker, enum sasl_step *step_r)
{
	struct handover_reply r;
	struct unpack u;
	uint32_t iterations;

	if (!ask(s, asker, HANDOVER_WANT_PARAMETERS, &r) || r.code != HANDOVER_OK)
		return false;
	u = (struct unpack){ .rest = r.data };
	iterations = unpack_u32(&u);
	if (u.bad)
		return false;
	*step_r = sasl_server_parameters(s, u.rest, iterations);
	return true;
}

/* A wrong proof is not reported here: the caller's question, which counts and logs, will say so. */
static bool ask_proof(struct sasl_server *s, const struct sasl_asker *asker, enum sasl_step *step_r)
{
	struct handover_reply r;

	if (!ask(s, asker, HANDOVER_WANT_PROOF, &r) || r.code == HANDOVER_TEMP)
		return false;
	*step_r = r.code == HANDOVER_OK ? sasl_server_verified(s, r.data) : SASL_ACCEPTED;
	return true;
}

static void forget_password(struct sasl_server *s)
{
	if (s->password.len)
		mem_wipe((char *)(uintptr_t)s->password.ptr, s->password.len);
	s->password = SPAN_NONE;
}

static enum sasl_turn turn(struct sasl_server *s, const struct sasl_asker *asker, enum sasl_step step)
{
	for (;;) {
		switch (step) {
		case SASL_CHALLENGE:
			return SASL_TURN_CHALLENGE;
		case SASL_PARAMETERS:
			if (!ask_parameters(s, asker, &step))
				return SASL_TURN_TEMP;
			break;
		case SASL_VERIFY:
			if (!sasl_mech_is_scram(s->mech))
				return SASL_TURN_READY;
			if (!ask_proof(s, asker, &step))
				return SASL_TURN_TEMP;
			break;
		case SASL_FORBIDDEN:
			forget_password(s);
			return SASL_TURN_READY;
		case SASL_ACCEPTED:
			return SASL_TURN_READY;
		default:
			return SASL_TURN_MALFORMED;
		}
	}
}

enum sasl_turn sasl_turn(struct sasl_server *server, const struct sasl_asker *asker, enum sasl_step step)
{
	enum sasl_turn end = turn(server, asker, step);

	complete(server, asker, HANDOVER_WANT_LOGIN);
	return end;
}
