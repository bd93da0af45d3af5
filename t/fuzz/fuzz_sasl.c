/* SPDX-License-Identifier: BSD-2-Clause */
/* Any exchange: the first byte is the mechanism, the rest its messages, each ended by LF; and stored passwords. */
#include <stddef.h>
#include <stdint.h>

#include "lib/base/must.h"
#include "lib/proto/auth_scheme.h"
#include "lib/proto/sasl_scram.h"

enum { MESSAGES_MAX = 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum sasl_step after(struct sasl_server *s, enum sasl_step step, struct span message)
{
	switch (step) {
	case SASL_CHALLENGE:
		return sasl_server_step(s, message);
	case SASL_PARAMETERS:
		must(s->user.len > 0);
		return sasl_server_parameters(s, SPAN("some salt"), 4096);
	case SASL_VERIFY:
		must(s->user.len > 0);
		return sasl_mech_is_scram(s->mech) ? sasl_server_verified(s, SPAN("01234567890123456789")) : SASL_ACCEPTED;
	default:
		return step;
	}
}

static void exchange(enum sasl_mech mech, struct span rest, bool initial)
{
	static const struct sasl_binding bound = { SPAN("tls-exporter"), SPAN("0123") };
	const struct sasl_setup setup = { .nonce = SPAN("nonce"), .host = SPAN("host"), .bindings = &bound, .nbindings = 1 };
	struct arena a = ARENA_INIT;
	struct sasl_server s;
	enum sasl_step step = sasl_server_begin(&s, &a, mech, &setup, initial ? span_cut(&rest, '\n') : SPAN_NONE);

	for (int i = 0; i < MESSAGES_MAX && step < SASL_ACCEPTED; i++)
		step = after(&s, step, step == SASL_CHALLENGE ? span_cut(&rest, '\n') : SPAN_NONE);
	(void)sasl_server_refused(&s);
	arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of((const char *)data, size), rest;
	struct auth_digest d;
	struct scram_secret secret;

	if (size > 0)
		exchange((enum sasl_mech)(data[0] % SASL_MECHS), span_skip(text, 1), data[0] < 128);
	if (auth_scheme_parse(text, &rest) == AUTH_SCHEME_DIGEST && auth_digest_parse(text, &d))
		must(d.bytes + d.salt_len <= sizeof d.digest);
	if (scram_secret_parse(&secret, SCRAM_SHA_256, rest))
		must(secret.salt_len <= SCRAM_SALT_MAX && secret.iterations > 0);
	return 0;
}
