/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address lists of header fields, RFC 5322 3.4 with the obsolete forms of 4.4: To, Cc, Bcc, From, Sender, Reply-To.
 * Comments, folding, groups, routes, display names and "user@host (Name)" are understood; garbage is stepped over and
 * remembered in `bad', never refused. Iterative, linear, bounded by a count.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"
#include "lib/proto/addr.h"

enum { RFC5322_ADDRS_MAX = 10000 }; /* a sensible count for most callers */

enum rfc5322_kind {
	RFC5322_MAILBOX = 0,
	RFC5322_GROUP_START, /* name: the group's; IMAP ENVELOPE: (NIL NIL "name" NIL) */
	RFC5322_GROUP_END,   /* IMAP ENVELOPE: (NIL NIL NIL NIL) */
};

/* All spans live in the arena. A ptr of NULL says that the part was not there; len 0 with a ptr that it was empty. */
struct rfc5322_addr {
	struct rfc5322_addr *next;
	enum rfc5322_kind kind;
	struct span name;    /* quotes removed, encoded words left alone; else the comment of "user@host (Name)" */
	struct span route;   /* "@one,@two" of an obsolete route */
	struct span mailbox; /* local part, quotes removed */
	struct span host;    /* domain or literal without comments and blanks */
};

struct rfc5322_list {
	struct rfc5322_addr *first, *last;
	size_t count;   /* of all kinds */
	bool bad;       /* something had to be stepped over */
	bool truncated; /* there were more than max */
};

/* body: of one field, folded or not. Appends to list, so several fields of one name can be joined; zero it first. */
void rfc5322_list_parse(struct arena *a, struct span body, size_t max, struct rfc5322_list *list);

/* The mailbox as an envelope address (shares the spans). */
struct addr rfc5322_to_addr(const struct rfc5322_addr *addr);
