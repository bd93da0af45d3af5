/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One mail address of an SMTP envelope (RFC 5321 4.1.2) and its parts.
 *
 * Two text forms. External, as on the wire: the local part is quoted where it has to be ("a b"@example.com). Internal,
 * as in the queue, in tables and on command lines: without quotes (a b@example.com), split at the last @. A struct addr
 * always holds the internal form. Every function is linear in its input.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"

enum { ADDR_BYTES_MAX = 1024 }; /* longest path accepted, brackets and route included, and longest external form of what is */

struct addr {
	struct span local;  /* unquoted, no controls; empty, with an empty domain: the null address <> */
	struct span domain; /* as given, without the @; empty when there was none; a literal keeps its brackets */
};

enum addr_err {
	ADDR_OK = 0,
	ADDR_SYNTAX,   /* not an address */
	ADDR_CONTROL,  /* a NUL or other control byte, quoted or not */
	ADDR_TOO_LONG, /* past ADDR_BYTES_MAX */
	ADDR_BAD_UTF8, /* bytes past 127 that are not UTF-8 */
};
const char *addr_err_str(enum addr_err err);

enum addr_flags {
	ADDR_LENIENT = 0, /* as strict_rfc821_envelopes = no: missing <>, blanks around, a..b, two unquoted @ */
	ADDR_STRICT = 1,  /* <path> by the grammar of RFC 5321 4.1.2, nothing else; a domain is still optional */
	ADDR_NULL_OK = 2, /* <> is an address (MAIL FROM), not a syntax error (RCPT TO) */
};

/*
 * Take a path off the front of *in, "<@a,@b:user@example.com> SIZE=1": the source route is dropped, quotes and
 * backslashes are resolved. On ADDR_OK *in is what follows the path and *addr_r lives in a (or in the input when
 * nothing had to be unquoted). On an error neither has changed.
 */
enum addr_err addr_path_parse(struct arena *a, struct span *in, unsigned flags, struct addr *addr_r)
    __attribute__((warn_unused_result));

/* The whole of s as an external mailbox without brackets: user@example.com, "a b"@[1.2.3.4]. Lenient as above. */
enum addr_err addr_mailbox_parse(struct arena *a, struct span s, unsigned flags, struct addr *addr_r)
    __attribute__((warn_unused_result));

/* The internal text form, split at its last @. Points into s. Without an @ all of it is the local part. */
struct addr addr_split(struct span s);

struct span addr_internal(struct arena *a, struct addr addr);  /* local@domain; "" for the null address */
struct span addr_external(struct arena *a, struct addr addr);  /* the same, quoted where needed; no brackets */
struct span addr_quote(struct arena *a, struct span internal); /* internal text form to external text form */

bool addr_is_null(struct addr addr);
bool addr_is_ascii(struct addr addr);       /* false: needs SMTPUTF8 */
bool addr_eq(struct addr x, struct addr y); /* local part byte by byte, domain without regard to case */
/* True when the local part is a dot-string (RFC 5321 4.1.2), letters past ASCII included (RFC 6531). */
bool addr_local_is_dot_string(struct span local);

/*
 * recipient_delimiter: split local at the first byte that is in delims. False, with *user_r = local and *ext_r empty,
 * when there is none, when it is the first byte, or for the names never split (mailer-daemon, double-bounce, postmaster
 * and, with '-' as the delimiter found, owner-... and ...-request).
 */
bool addr_split_ext(struct span local, struct span delims, struct span *user_r, struct span *ext_r);

/* An address literal, [1.2.3.4] or [IPv6:2001:db8::1], RFC 5321 4.1.3. */
struct addr_ip {
	int family;        /* AF_INET or AF_INET6 */
	uint8_t bytes[16]; /* network order; 4 or 16 of them */
};
bool addr_literal_parse(struct span domain, struct addr_ip *ip_r) __attribute__((warn_unused_result));
/* Plain "1.2.3.4" or "2001:db8::1", without brackets. */
bool addr_ip_parse(struct span text, struct addr_ip *ip_r) __attribute__((warn_unused_result));
