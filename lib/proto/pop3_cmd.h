/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a client says to a POP3 server: one command line of RFC 1939 and its extensions (RFC 2449 CAPA, 5034 AUTH, 2595 STLS).
 * Syntax only: whether a command may be given in the session's state is the server's business.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/span.h"

enum pop3_verb {
	POP3_UNKNOWN = 0,
	POP3_USER,
	POP3_PASS,
	POP3_AUTH,
	POP3_CAPA,
	POP3_STLS,
	POP3_QUIT,
	POP3_STAT,
	POP3_LIST,
	POP3_RETR,
	POP3_DELE,
	POP3_RSET,
	POP3_NOOP,
	POP3_TOP,
	POP3_UIDL,
	POP3_LAST,
	POP3_APOP,
	POP3_UTF8,
	POP3_LANG,
	POP3_VERBS,
};

enum pop3_cmd_err {
	POP3_CMD_OK = 0,
	POP3_CMD_EMPTY,   /* no verb at all */
	POP3_CMD_CONTROL, /* a NUL or another control byte; a tab may stand in a password */
};

/* RFC 1939 says 4 + 40 octets, RFC 2449 says 255; AUTH responses may be longer (RFC 5034 4). */
enum { POP3_LINE_MAX = 1024, POP3_AUTH_LINE_MAX = 8192 };

/*
 * What CAPA says before and after login, line by line; USER and SASL depend on the connection and come on top before it.
 * login_delay_s: LOGIN-DELAY, 0: there is none. expire_days: EXPIRE, 0: NEVER.
 */
void pop3_put_capabilities(struct buf *out, uint64_t login_delay_s, uint64_t expire_days);

/*
 * The answer to LANG (RFC 6856 3), which is there before and after login. All texts are in English: a language range that this
 * matches is "en", also with a country, "i-default" or "*".
 */
const char *pop3_lang_answer(struct span args);

struct pop3_cmd {
	enum pop3_verb verb;
	struct span word; /* the verb as the client wrote it */
	struct span args; /* everything after the one space behind the verb: blanks belong to a password */
};

/* line: one line without its line end. Spans point into it. An unknown verb is not an error. */
enum pop3_cmd_err pop3_cmd_parse(struct span line, struct pop3_cmd *cmd_r) __attribute__((warn_unused_result));
const char *pop3_verb_str(enum pop3_verb verb); /* "RETR"; "UNKNOWN" */

/*
 * The numbers of LIST, UIDL, RETR, DELE (at most 1) and TOP (2). want: how many at most; returns how many there are, or -1
 * when something else is there. A number past 2^32-1 is read as 2^32-1.
 */
int pop3_numbers(struct span args, uint32_t *numbers_r, int want) __attribute__((warn_unused_result));

/*
 * The part of a message that TOP shows: its header, the empty line, and the first `lines' lines of the body. raw has LF or
 * CRLF line ends. Returns the length of that front part of raw.
 */
size_t pop3_top_length(struct span raw, uint32_t lines);
