/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a client says to an SMTP or LMTP server: one command line, RFC 5321 4.1.1, and the parameters of MAIL and RCPT
 * (RFC 1870 SIZE, 6152 BODY, 3461 DSN, 4954 AUTH, 6531 SMTPUTF8; Postfix's XVERP). Syntax only: whether a command may be
 * given now, or an extension was offered, is the server's business. Every error knows the reply it deserves.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"
#include "lib/proto/addr.h"

enum smtp_verb {
	SMTP_VERB_UNKNOWN = 0,
	SMTP_VERB_EHLO,
	SMTP_VERB_HELO,
	SMTP_VERB_LHLO,
	SMTP_VERB_MAIL,
	SMTP_VERB_RCPT,
	SMTP_VERB_DATA,
	SMTP_VERB_BDAT,
	SMTP_VERB_RSET,
	SMTP_VERB_NOOP,
	SMTP_VERB_VRFY,
	SMTP_VERB_EXPN,
	SMTP_VERB_HELP,
	SMTP_VERB_QUIT,
	SMTP_VERB_STARTTLS,
	SMTP_VERB_AUTH,
	SMTP_VERB_ETRN,
	SMTP_VERB_XCLIENT,
	SMTP_VERB_XFORWARD,
	SMTP_VERBS,
};

enum smtp_cmd_err {
	SMTP_CMD_OK = 0,
	SMTP_CMD_BAD_SYNTAX, /* empty, or a NUL or other control byte but tab */
	SMTP_CMD_BAD_UTF8,
	SMTP_CMD_MAIL_SYNTAX, /* not MAIL FROM:... */
	SMTP_CMD_RCPT_SYNTAX, /* not RCPT TO:... */
	SMTP_CMD_BAD_SENDER,
	SMTP_CMD_BAD_RECIPIENT,
	SMTP_CMD_OPTION, /* parameter nobody knows; detail: its text */
	SMTP_CMD_BAD_SIZE,
	SMTP_CMD_SIZE_TOO_BIG, /* SIZE= beyond 2^63-1 */
	SMTP_CMD_AUTH_TWICE,
	SMTP_CMD_BAD_AUTH,
	SMTP_CMD_BAD_RET,
	SMTP_CMD_BAD_ENVID,
	SMTP_CMD_BAD_NOTIFY,
	SMTP_CMD_BAD_ORCPT,
	SMTP_CMD_BAD_BDAT,
	SMTP_CMD_NEED_UTF8, /* address past ASCII without SMTPUTF8 */
};

/*
 * The reply to an error, one line without CRLF, code and enhanced code included: "501 5.1.7 Bad sender address syntax".
 * detail goes in where the reply names something; it comes from a parsed (control-free) line.
 */
struct span smtp_cmd_reply(struct arena *a, enum smtp_cmd_err err, struct span detail);

struct smtp_cmd {
	enum smtp_verb verb;
	struct span word; /* the verb as the client wrote it */
	struct span args; /* what follows, blanks at both ends trimmed */
};

/* line: one line without its line end, of any length. Never fails for an unknown verb. Spans point into line. */
enum smtp_cmd_err smtp_cmd_parse(struct span line, struct smtp_cmd *cmd_r) __attribute__((warn_unused_result));
const char *smtp_verb_str(enum smtp_verb verb); /* "MAIL"; "UNKNOWN" */

/* --- MAIL and RCPT ------------------------------------------------------------------------------------------------ */

enum smtp_body { SMTP_BODY_NONE = 0, SMTP_BODY_7BIT, SMTP_BODY_8BITMIME, SMTP_BODY_BINARYMIME };
enum smtp_ret { SMTP_RET_NONE = 0, SMTP_RET_FULL, SMTP_RET_HDRS };
enum smtp_notify { /* bits; 0 when the client gave none */
		   SMTP_NOTIFY_NEVER = 1,
		   SMTP_NOTIFY_SUCCESS = 2,
		   SMTP_NOTIFY_FAILURE = 4,
		   SMTP_NOTIFY_DELAY = 8,
};
enum { SMTP_PARAMS_MAX = 32 }; /* parameters of one command; more are an unsupported option */

struct smtp_param {
	struct span name;
	struct span value; /* ptr NULL: there was no "=" */
};

enum smtp_parse_flags {
	SMTP_PARSE_STRICT = 1,  /* strict_rfc821_envelopes = yes */
	SMTP_PARSE_OTHERS = 2,  /* collect parameters that are not known here; without it they are SMTP_CMD_OPTION */
	SMTP_PARSE_8BIT_OK = 4, /* addresses past ASCII need no SMTPUTF8 (submission of local mail) */
};

struct smtp_mail {
	struct addr from;
	bool has_size, smtputf8, has_auth, has_verp;
	uint64_t size;
	enum smtp_body body;
	enum smtp_ret ret;
	struct span envid; /* decoded, printable ASCII; empty: none */
	struct span auth;  /* decoded mailbox, "<>" for an unknown one */
	struct span verp;  /* what XVERP= gave, unchecked; empty: the default delimiters */
	struct smtp_param *others;
	size_t nothers;
};

struct smtp_rcpt {
	struct addr to;
	unsigned notify;        /* enum smtp_notify */
	struct span orcpt_type; /* "rfc822"; empty: no ORCPT */
	struct span orcpt_addr; /* decoded, no control bytes */
	struct smtp_param *others;
	size_t nothers;
};

/*
 * args: the command's args ("FROM:<a@b> SIZE=5"). What is stored lives in a or points into args. On an error *detail_r
 * is what to pass to smtp_cmd_reply. The RCPT form needs no knowledge of SMTPUTF8 having been given with MAIL: utf8
 * says so.
 */
enum smtp_cmd_err smtp_mail_parse(struct arena *a, struct span args, unsigned flags, struct smtp_mail *mail_r,
				  struct span *detail_r) __attribute__((warn_unused_result));
enum smtp_cmd_err smtp_rcpt_parse(struct arena *a, struct span args, unsigned flags, bool utf8,
				  struct smtp_rcpt *rcpt_r, struct span *detail_r) __attribute__((warn_unused_result));

/* "BDAT 123 LAST", RFC 3030; sizes past 2^63-1 are refused. */
enum smtp_cmd_err smtp_bdat_parse(struct span args, uint64_t *size_r, bool *last_r) __attribute__((warn_unused_result));

/* "NEVER" or "SUCCESS,FAILURE,DELAY" (also sendmail -N); false when it is neither. */
bool smtp_notify_parse(struct span s, unsigned *notify_r) __attribute__((warn_unused_result));
/* "rfc822;user+40example.com", RFC 3461 4.2; both results without control bytes. */
bool smtp_orcpt_parse(struct arena *a, struct span s, struct span *type_r, struct span *addr_r)
    __attribute__((warn_unused_result));

/* --- xtext, RFC 3461 4 -------------------------------------------------------------------------------------------- */

/* Append s encoded: bytes outside "!".."~", "+" and "=" become +XX. False past the buffer's maximum. */
bool xtext_encode(struct buf *out, struct span s) __attribute__((warn_unused_result));
/* Decode into a; false for a stray "+", "=", a blank or control byte. The result may hold any byte, NUL included. */
bool xtext_decode(struct arena *a, struct span s, struct span *out_r) __attribute__((warn_unused_result));
