/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A SASL exchange with a client, in base64 lines, as SMTP (RFC 4954), POP3 (RFC 5034) and IMAP (RFC 3501 6.2.2) carry it. Ends
 * with the credentials that auth is to be asked for; the last question, the one that counts, is the caller's.
 */
#pragma once
#include "lib/io/tls.h"
#include "lib/proto/sasl_server.h"
#include "lib/service/handover.h"

struct sasl_talk {
	/* to be filled in: */
	struct stream *io;
	struct arena *arena;       /* credentials end up here: sasl_talk_wipe */
	const char *prompt;        /* in front of a challenge: "334 ", "+ " */
	size_t line_max;           /* longest line of the client, at most STREAM_IN_BYTES - 1 */
	const char *auth_path;     /* as for auth_ask */
	const char *host;          /* name of this machine */
	struct span realm;         /* of names without one; empty: none is added */
	const struct sasl_binding *bindings;
	size_t nbindings;
	bool plus_offered;
	struct handover_login *q;  /* filled in but for mechanism, user, password and message */
	/* results: */
	struct sasl_server server;
	enum io_status io_status;  /* of SASL_TALK_LOST */
	bool client_was_asked;     /* when it was lost */
};

enum sasl_talk_end {
	SASL_TALK_READY = 0,  /* q is complete: ask auth. An empty password means that the client wants what nobody may */
	SASL_TALK_CANCELLED,  /* the client sent "*" */
	SASL_TALK_NOT_BASE64,
	SASL_TALK_MALFORMED,  /* not a message of the mechanism */
	SASL_TALK_TOO_LONG,   /* a line past line_max */
	SASL_TALK_TEMP,       /* auth could not be asked */
	SASL_TALK_LOST,       /* the connection is over */
};

/* Bind the exchange to the TLS session that it goes on in (NULL: none): fills bindings and plus_offered; `to' must last as long. */
enum { SASL_TALK_BINDINGS = 3 };
void sasl_talk_bind(struct sasl_talk *t, const struct tls_info *tls, unsigned offered, struct sasl_binding to[SASL_TALK_BINDINGS]);

/* initial: the initial response as sent, in base64 ("=" an empty one); ptr NULL: none was. It is wiped where it is. */
enum sasl_talk_end sasl_talk(struct sasl_talk *t, enum sasl_mech mech, struct span initial);
/* auth has refused: whatever the mechanism wants to say before the client is told. False: the connection is over. */
bool sasl_talk_refused(struct sasl_talk *t);
/* Overwrite the secrets of the exchange. */
void sasl_talk_wipe(struct sasl_talk *t);
