/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The header of a message, RFC 5322 2.2: field by field, without copying. Lines end in LF or CRLF, mixed as they come;
 * a line that starts with a blank continues the one before. Every call is linear in what it steps over.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"

struct header_field {
	struct span raw; /* all of its lines, line ends included */
	struct span
	    name; /* without colon and blanks before it; empty for a line that is no field (no colon, bad name) */
	struct span body; /* after the colon, folds and leading blanks as they are, without the last line end */
};

/* Octets of msg up to and with the empty line that ends the header; all of msg when there is none. */
size_t header_size(struct span msg);

/*
 * Take the next field off the front of *rest, which is a message or a header; false at the empty line or the end, with
 * *rest at the empty line. The caller bounds how many fields it takes.
 */
bool header_next(struct span *rest, struct header_field *field_r);

/* First field of that name (case is ignored) in a message or header; false when there is none. */
bool header_find(struct span msg, const char *name, struct header_field *field_r);
/* Its body unfolded and trimmed, in the arena, cut to max bytes; an empty span when there is none. */
struct span header_get(struct arena *a, struct span msg, const char *name, size_t max);

/* A field body without line ends (RFC 5322 2.2.3), trimmed, cut to max bytes. */
struct span header_unfold(struct arena *a, struct span body, size_t max);

/* How many Received: fields (hop count; Delivered-To: and others have their own count by name). */
size_t header_count(struct span msg, const char *name);

/* Visible ASCII except colon, at least one: RFC 5322 3.6.8. */
bool header_name_valid(struct span name);
