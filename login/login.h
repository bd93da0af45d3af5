/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * login: the part of IMAP and POP3 before authentication. It runs in an empty jail, under a user of its own, and holds nothing
 * but the client's connection and one password at a time.
 *
 * The files: main.c starts it, session.c begins and ends a session and writes its log line, imap.c and pop3.c hold the dialogue,
 * sasl.c the exchange of AUTH and AUTHENTICATE, ask.c the question to auth, starttls.c TLS and the relay after login.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/io/stream.h"
#include "lib/io/tls.h"
#include "lib/service/handover.h"
#include "lib/service/sasl_talk.h"
#include "lib/service/service.h"

enum { BAD_COMMANDS_MAX = 10, SESSION_ID_BYTES = 12, TIMESTAMP_MAX = 320 };

/* Why a session is over; the dialogue that finds out returns it, session_end says and logs it. */
enum ending {
	END_LOGOUT = 0,   /* the client said so */
	END_EOF,          /* the client went away */
	END_TIMEOUT,      /* login_timeout */
	END_BAD_COMMANDS,
	END_ATTEMPTS,     /* login_max_attempts */
	END_STOPPING,
	END_CROWDED,      /* login_client_connection_count_limit */
	END_ERROR,        /* the connection failed */
	END_TLS,          /* the handshake failed: not a word in the clear */
	END_HANDED_OVER,  /* logged in: the client is somebody else's */
	END_UNKNOWN,      /* auth did not answer: the client may be somebody else's, so not a word to it */
};

struct login {
	const struct protocol *protocol;
	struct stream *io;
	struct arena arena;        /* of a command; who puts a secret there wipes it */
	struct netaddr remote, local;
	char session_id[SESSION_ID_BYTES + 1];
	bool secured;              /* passwords in clear are safe here */
	struct tls_info *tls;      /* what the connection is protected by, on the heap; NULL: nothing */
	char tls_why[TLS_WHY_MAX]; /* of a handshake that failed, for the log */
	char timestamp[TIMESTAMP_MAX]; /* POP3: what APOP is to sign, "<x@host>"; "": there is no APOP */
	int relay_fd;              /* our end of the pair whose other end auth got in place of a TLS client; -1 */
	int64_t began_ms;
	unsigned attempts, internal_failures, over_limit, too_soon, bad_commands;
	bool tried_in_clear;
	char user[160];            /* the last one tried, made harmless, for the log */
	const char *mechanism;     /* of the last attempt; NULL: none */
	bool sasl_unfinished;
};

struct protocol {
	const char *name;       /* "imap": the service auth is asked for, and -P */
	const char *log_name;   /* "imap-login" */
	void (*greet)(struct login *l);
	enum ending (*talk)(struct login *l);
	void (*farewell)(struct login *l, enum ending why);
};
extern const struct protocol protocol_imap, protocol_pop3;

/* What auth is asked, and the exchange it came from. */
struct credentials {
	struct span tag;       /* IMAP */
	struct handover_login question;
	struct sasl_binding bindings[SASL_TALK_BINDINGS];
	struct sasl_talk talk; /* server.mech SASL_NO_MECHANISM: no exchange, the command had it all */
};

/* --- main.c */
extern struct match *login_trusted;
extern bool login_implicit_tls; /* -t */
extern unsigned login_mechanisms; /* auth_mechanisms, SASL_BIT() */

/* --- session.c */
void session_run(const struct service_session *s, const struct protocol *p);
void session_log_login(const struct login *l, uint32_t pid);
/* What a failed read means for the session. */
enum ending ending_of(enum io_status st);
/* May a password be sent now? If not, that it was tried is remembered for the log. */
bool password_allowed(struct login *l);
bool plain_is_fine(const struct login *l); /* the same, for what is offered */
/* Overwrite a secret in memory that is ours though a span calls it borrowed. */
void wipe_span(struct span s);

/* --- starttls.c */
void starttls_open(void); /* before the jail */
void starttls_first_look(void); /* in it */
bool starttls_offered(const struct login *l); /* is it to be had now? */
bool starttls_missing(const struct login *l); /* ssl = required, and this is a stranger in the clear */
enum starttls_outcome {
	STARTTLS_DONE = 0,
	STARTTLS_INJECTED, /* there was plaintext behind the command: end the session */
	STARTTLS_FAILED,   /* END_TLS */
};
enum starttls_outcome starttls_begin(struct login *l); /* what was written so far is sent first */
void starttls_relay(struct login *l); /* after login, until one side has ended */

/* --- ask.c */
/* What is known before the client has said anything. */
void question_init(struct login *l, struct handover_login *q, struct span tag);
/*
 * Try to log in. True: *end_r is the end of the session (END_HANDED_OVER, END_UNKNOWN, END_STOPPING). False: *code_r says what to
 * tell the client, after the pause for failures. Wipes the secrets of c.
 */
bool ask_auth(struct login *l, struct credentials *c, enum handover_code *code_r, enum ending *end_r);

/* --- sasl.c */
/* The mechanisms to offer to this client now. */
unsigned sasl_offer(const struct login *l);
/* By its name, SASL_NO_MECHANISM: not offered here. *in_clear_r: it is, but not in clear. */
enum sasl_mech sasl_choose(struct login *l, struct span name, bool *in_clear_r);
/* initial: the initial response as sent, ptr NULL: none was. c->tag is set. READY: ask_auth is next; LOST: over, see c->talk. */
enum sasl_talk_end sasl_exchange(struct login *l, enum sasl_mech mech, struct span initial, struct credentials *c);
