/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client of somebody else's Dovecot auth server (smtpd_sasl_type = dovecot): one connection for one exchange. What the server can
 * do is remembered for all threads of the process.
 */
#pragma once
#include "lib/base/arena.h"
#include "lib/io/netaddr.h"
#include "lib/io/stream.h"

/* What a mechanism is like, in the server's words. */
enum {
	DOVECOT_PLAINTEXT = 1 << 0,
	DOVECOT_ANONYMOUS = 1 << 1,
	DOVECOT_DICTIONARY = 1 << 2,
	DOVECOT_ACTIVE = 1 << 3,
	DOVECOT_FORWARD_SECRECY = 1 << 4,
	DOVECOT_MUTUAL_AUTH = 1 << 5,
	DOVECOT_PRIVATE = 1 << 6, /* for the server's own programs: never offered */
};

/* A set of options: mechanisms with one of `without', or lacking one of `with', are left out. */
struct dovecot_options {
	unsigned without, with;
};
/* "noanonymous, noplaintext": words of smtpd_sasl_security_options. False: *unknown_r is none of them. */
bool dovecot_options_parse(struct span text, struct dovecot_options *o_r, struct span *unknown_r);

/* The mechanisms that are left, "PLAIN LOGIN", in a; "" when there are none or the server cannot be asked (logged). */
const char *dovecot_mechanisms(struct arena *a, const char *endpoint, const struct dovecot_options *o);

struct dovecot_question {
	const char *endpoint; /* as for dial() */
	const char *service;   /* "smtp" */
	struct span mechanism; /* one of those */
	struct span initial;   /* base64, "" an empty response; ptr NULL: there was none */
	struct netaddr remote, local;
	bool secured;
};

enum dovecot_said {
	DOVECOT_SAID_OK,   /* *text_r is the user, made harmless: no blanks, no control bytes */
	DOVECOT_SAID_CONT, /* a challenge, in base64: dovecot_continue or dovecot_cancel */
	DOVECOT_SAID_FAIL, /* the reason in its words, printable, maybe empty; it took its time to say so */
	DOVECOT_SAID_TEMP, /* it could not decide, or could not be asked */
};

/* The exchange; NULL after anything but CONT. */
struct dovecot_exchange;
enum dovecot_said dovecot_begin(struct arena *a, const struct dovecot_question *q, struct dovecot_exchange **x_r,
				struct span *text_r);
/* response: base64 and nothing else (dovecot_is_base64). *x is NULL afterwards, unless CONT. */
enum dovecot_said dovecot_continue(struct arena *a, struct dovecot_exchange **x, struct span response, struct span *text_r);
void dovecot_cancel(struct dovecot_exchange **x);
bool dovecot_is_base64(struct span text);
