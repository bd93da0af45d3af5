/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MIME structure of a message, RFC 2045 and 2046, as IMAP's BODYSTRUCTURE and BODY[1.2.MIME] need it. One pass over
 * the message, no recursion; nesting, parts and parameters are bounded, and what lies past a bound is content of the
 * last part that still counted. Messages may be stored with LF, CRLF or a mixture; sizes count every line end as CRLF.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"
#include "lib/proto/addrlist.h"

enum {
	MIME_DEPTH_MAX = 32,
	MIME_PARTS_MAX = 10000,
	MIME_PARAMS_MAX = 64, /* of one field */
	MIME_LANGUAGES_MAX = 16,
	MIME_VALUE_MAX = 8192,   /* octets kept of one value */
	MIME_BOUNDARY_MAX = 250, /* RFC 2046 says 70 */
};

/* The value is unquoted; RFC 2231 forms (name*0*=utf-8''%e2) are kept as written, each under its own name. */
struct mime_param {
	struct span name, value;
};

struct mime_params {
	struct mime_param *list;
	size_t count;
};

enum mime_kind {
	MIME_LEAF = 0,
	MIME_MULTIPART, /* has at least one child */
	MIME_MESSAGE,   /* message/rfc822 or message/global: its one child is the message inside */
};

struct mime_size {
	uint64_t crlf;  /* octets with every line end as CRLF: IMAP's sizes */
	uint64_t lines; /* line ends */
};

/*
 * Spans into the message: header, body. Spans into the arena: all others; ptr NULL means that the field was absent.
 * A multipart without parts, and any Content-Type that cannot be read, is text/plain (RFC 2045 5.2); a multipart or
 * message nested too deep is application/octet-stream.
 */
struct mime_part {
	struct mime_part *parent, *child, *next; /* child: the first one */
	enum mime_kind kind;
	struct span header; /* with the empty line that ends it */
	struct span body;   /* without the line end that belongs to the boundary behind it */
	struct mime_size header_size, body_size;

	struct span type, subtype; /* never empty; as written */
	struct mime_params params; /* of Content-Type; charset=us-ascii is added where the type was defaulted */
	struct span encoding;      /* "base64"; NULL: 7bit */
	struct span id, description, md5, location;
	struct span disposition; /* "attachment" */
	struct mime_params disposition_params;
	struct span languages[MIME_LANGUAGES_MAX];
	size_t nlanguages;
};

/* msg: the whole message, which must outlive the tree. Returns its root, in a. */
struct mime_part *mime_parse(struct arena *a, struct span msg) __attribute__((warn_unused_result));

/*
 * The part that IMAP names by these numbers, RFC 3501 6.4.5: 1.2 is { 1, 2 }. NULL when there is none. No numbers:
 * root. Part 1 of a message that is not a multipart is that message's own text.
 */
struct mime_part *mime_find(struct mime_part *root, const uint32_t *numbers, size_t count);

/* Value of a parameter by name (case is ignored), or a span with ptr NULL. */
struct span mime_param(const struct mime_params *params, const char *name);

struct mime_size mime_size_of(struct span text); /* one pass over text */

/* --- fields ------------------------------------------------------------------------------------------------------- */

/* "text/plain; charset=utf-8". False when there is no type and subtype; the spans live in a. */
bool mime_content_type_parse(struct arena *a, struct span body, struct span *type_r, struct span *subtype_r,
			     struct mime_params *params_r) __attribute__((warn_unused_result));
/* "attachment; filename=x". */
bool mime_disposition_parse(struct arena *a, struct span body, struct span *value_r, struct mime_params *params_r)
    __attribute__((warn_unused_result));

/* IMAP ENVELOPE, RFC 3501 7.4.2. Texts are unfolded, encoded words left alone; ptr NULL: no such field. */
struct mime_envelope {
	struct span date, subject, in_reply_to, message_id;
	struct rfc5322_list from, sender, reply_to, to, cc,
	    bcc; /* as written: the defaults of 7.4.2 are the server's */
};
enum { MIME_ENVELOPE_TEXT_MAX = 64 * 1024, MIME_ENVELOPE_ADDRS_MAX = 2000 };
void mime_envelope_parse(struct arena *a, struct span header, struct mime_envelope *env_r);
