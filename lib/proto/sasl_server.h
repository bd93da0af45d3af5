/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The server's half of SASL, without any secret: what to ask, what the answers mean, and what is to be verified by whoever has
 * the passwords. Messages are decoded here already (no base64). Pure.
 *
 *	mechanism            messages
 *	PLAIN                RFC 4616       C: authzid NUL user NUL password
 *	LOGIN                               S: Username:  C: user  S: Password:  C: password
 *	CRAM-MD5             RFC 2195       S: challenge  C: user digest
 *	SCRAM-*              RFC 5802, 7677 C: first  S: salt, iterations  C: proof  S: signature  C: (empty)
 *	OAUTHBEARER          RFC 7628       C: user and token; after a refusal  S: status  C: anything
 *	XOAUTH2                             the same in Google's older form
 *
 * The order of calls: sasl_server_begin, then sasl_server_step with each message of the client. What step returns:
 *
 *	SASL_CHALLENGE       send s->challenge, give the answer to step
 *	SASL_PARAMETERS      find out salt and iterations of s->user, call sasl_server_parameters, which returns SASL_CHALLENGE
 *	SASL_VERIFY          s->user, s->password and s->message are complete. SCRAM: verify, and after a success call
 *	                     sasl_server_verified, which returns SASL_CHALLENGE and, after one more step, SASL_ACCEPTED.
 *	                     Others: verified or not, that is the end; OAuth: sasl_server_refused gives the last challenge.
 *	SASL_ACCEPTED        the client has taken the server's signature
 *	SASL_MALFORMED       not a message of this mechanism; the end
 *	SASL_FORBIDDEN       asks to act for another user, or lies about channel binding: refuse as a wrong password; the end
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"

enum sasl_mech {
	SASL_NO_MECHANISM = 0,
	SASL_PLAIN,
	SASL_LOGIN,
	SASL_CRAM_MD5,
	SASL_SCRAM_SHA_1,
	SASL_SCRAM_SHA_1_PLUS,
	SASL_SCRAM_SHA_256,
	SASL_SCRAM_SHA_256_PLUS,
	SASL_OAUTHBEARER,
	SASL_XOAUTH2,
	SASL_APOP, /* a command of POP3 (RFC 1939 7), no mechanism: it only has a name here, and is never offered */
	SASL_MECHS,
};

/* Sets of mechanisms are bits: 1u << mech. */
#define SASL_BIT(mech) (1u << (mech))
/* Those that show the secret to whoever reads the line. */
#define SASL_IN_CLEAR (SASL_BIT(SASL_PLAIN) | SASL_BIT(SASL_LOGIN) | SASL_BIT(SASL_OAUTHBEARER) | SASL_BIT(SASL_XOAUTH2))
#define SASL_PLUS (SASL_BIT(SASL_SCRAM_SHA_1_PLUS) | SASL_BIT(SASL_SCRAM_SHA_256_PLUS))

const char *sasl_mech_str(enum sasl_mech mech);  /* "SCRAM-SHA-256" */
enum sasl_mech sasl_mech_find(struct span name); /* any case; SASL_NO_MECHANISM: not known */
bool sasl_mech_is_scram(enum sasl_mech mech);
/* A list as in auth_mechanisms ("plain login"). What is not known: skipped, the last one in *unknown_r (else empty). */
unsigned sasl_mechs_parse(struct span list, struct span *unknown_r);

/* What ties an exchange to its TLS connection (RFC 5056): "tls-exporter" (9266), "tls-server-end-point" (5929). */
struct sasl_binding {
	struct span type, data;
};

/* All spans live as long as the exchange. */
struct sasl_setup {
	struct span nonce;              /* fresh and random, printable without "," (base64 of 18 bytes) */
	struct span host;               /* in CRAM-MD5's challenge */
	const struct sasl_binding *bindings;
	size_t nbindings;
	bool plus_offered;              /* a SCRAM-*-PLUS was among what the client was offered */
};

enum sasl_step { SASL_CHALLENGE, SASL_PARAMETERS, SASL_VERIFY, SASL_ACCEPTED, SASL_MALFORMED, SASL_FORBIDDEN };

enum { SASL_MESSAGE_MAX = 8192, SASL_SALT_MAX = 256, SASL_NONCE_MAX = 256, SASL_ITERATIONS_MAX = 10000000 };

struct sasl_server {
	enum sasl_mech mech;
	struct sasl_setup setup;
	struct arena *arena;
	unsigned state;
	struct span challenge;               /* to be sent */
	struct span user, password, message; /* as in struct handover_login */
	struct span first_bare, server_first, gs2, nonce; /* of SCRAM */
	const struct sasl_binding *binding;
};

/*
 * Start: initial is the client's initial response, ptr NULL: there was none. Everything is kept in a: wipe it, or at least
 * s->password, when done. Returns as sasl_server_step.
 */
enum sasl_step sasl_server_begin(struct sasl_server *s, struct arena *a, enum sasl_mech mech, const struct sasl_setup *setup,
				 struct span initial);
/* message: at most SASL_MESSAGE_MAX bytes are taken. */
enum sasl_step sasl_server_step(struct sasl_server *s, struct span message);
enum sasl_step sasl_server_parameters(struct sasl_server *s, struct span salt, uint32_t iterations);
enum sasl_step sasl_server_verified(struct sasl_server *s, struct span signature);
/* True: one more challenge goes out before the refusal, its answer is read and means nothing. */
bool sasl_server_refused(struct sasl_server *s);
