/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Delivery status notifications: exit statuses of delivery commands as enhanced codes (RFC 3463), and the text of a
 * multipart/report (RFC 3461 6, RFC 3462, RFC 3464) as a message in stored form, lines ending in LF.
 *
 * A notice is: dsn_compose, then the original message or its header (the caller copies it), then dsn_compose_end.
 * Whatever came from outside is cleaned of control bytes and folded; it cannot start a header or end a part.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "lib/base/buf.h"
#include "lib/base/span.h"
#include "lib/base/verdict.h"

/* What <sysexits.h> says about a delivery: 0 gives OK and "2.0.0"; 75 and 71 are temporary; unknown is 5.3.0. */
struct dsn_exit {
	int status;
	enum verdict_class class;
	const char *dsn;  /* "5.1.1" */
	const char *text; /* "user unknown" */
};
const struct dsn_exit *dsn_from_exit(int status); /* never NULL */

enum dsn_kind { DSN_FAILURE = 0, DSN_DELAY, DSN_SUCCESS, DSN_VERIFY };
enum dsn_action { DSN_FAILED = 0, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED };
const char *dsn_action_str(enum dsn_action action); /* "failed" */

struct dsn_recipient {
	struct span final;      /* internal address form */
	struct span original;   /* address as it was received when that differs, else empty */
	struct span orcpt_type; /* of the ORCPT parameter, decoded; empty: none was given */
	struct span orcpt_addr;
	enum dsn_action action;
	struct span status;          /* "5.1.1" */
	struct span reason;          /* for people: "host mx[1.2.3.4] said: 550 5.1.1 no such user (in reply to ...)" */
	struct span remote_mta;      /* name only; empty: the failure was ours */
	struct span diagnostic_type; /* "smtp", "x-unix"; empty: X-Postfix with the reason */
	struct span diagnostic;      /* the remote reply itself */
	time_t will_retry_until;     /* 0: not said */
};

/* Texts of the administrator in place of ours; empty ones are ours. */
struct dsn_template {
	struct span charset;
	struct span from; /* without a domain: origin is added to its first word */
	struct span subject, postmaster_subject;
	struct span body; /* lines */
};

struct dsn_report {
	enum dsn_kind kind;
	struct span hostname; /* myhostname: Reporting-MTA */
	struct span origin;   /* domain of MAILER-DAEMON@ in From: */
	struct span to;       /* whom the notice goes to, internal address form */
	struct span queue_id; /* of the message reported on */
	struct span envid;    /* decoded; empty: none */
	struct span sender;   /* envelope sender of the message reported on, internal form; empty: null */
	time_t arrived;
	struct span boundary;   /* unique; "QID.1700000000/mail.example.com" */
	struct span message_id; /* Message-ID of the original with its brackets, for threading; empty: none */
	time_t now;
	const struct dsn_template *template; /* NULL: none */
	bool for_postmaster;
	bool headers_only; /* only the original's header follows */
	bool utf8;         /* the original needs SMTPUTF8: global variants of RFC 6533 */
	const struct dsn_recipient *recipients;
	size_t nrecipients;
};

/* Everything in front of the original. False past the buffer's maximum. */
bool dsn_compose(struct buf *out, const struct dsn_report *r) __attribute__((warn_unused_result));
/* The closing boundary, put after the original. newline: the original ended without an LF. */
bool dsn_compose_end(struct buf *out, const struct dsn_report *r, bool newline) __attribute__((warn_unused_result));
