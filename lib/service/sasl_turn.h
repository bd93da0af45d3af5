/* SPDX-License-Identifier: BSD-2-Clause */
/* A SASL exchange without its transport: what only auth knows is asked on the way. For sasl_talk.c and the program sasl. */
#pragma once
#include "lib/proto/sasl_server.h"
#include "lib/service/handover.h"

struct sasl_asker {
	const char *auth_path;  /* as for auth_ask */
	struct span realm;      /* of names without one; empty: none is added */
	struct handover_login *question; /* filled in but for what the exchange finds out; complete when READY */
};

enum sasl_turn {
	SASL_TURN_CHALLENGE, /* send server->challenge, give what comes back to sasl_server_step */
	SASL_TURN_READY,     /* ask auth the question that counts. An empty password: the client wants what nobody may */
	SASL_TURN_MALFORMED,
	SASL_TURN_TEMP,      /* auth could not be asked */
};

/* step: what sasl_server_begin or sasl_server_step has returned. */
enum sasl_turn sasl_turn(struct sasl_server *server, const struct sasl_asker *asker, enum sasl_step step);
/* A fresh one, for struct sasl_setup. In a. */
struct span sasl_nonce(struct arena *a);
