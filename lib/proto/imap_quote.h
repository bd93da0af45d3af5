/* SPDX-License-Identifier: BSD-2-Clause */
/* Strings in IMAP responses, RFC 3501 4.3. Each appends to out and says whether there was room. */
#pragma once
#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/span.h"

/* "quoted", or a literal when s holds CR, LF, bytes past 127 or is long; NULs become 0x80 (a literal may not hold
 * them). */
bool imap_put_string(struct buf *out, struct span s);
bool imap_put_nstring(struct buf *out, struct span s);         /* ptr NULL: NIL */
bool imap_put_astring(struct buf *out, struct span s);         /* a plain atom where that does */
bool imap_put_mailbox(struct buf *out, struct span utf8_name); /* modified UTF-7, then as a string or atom */
bool imap_put_utf8(struct buf *out, struct span s);            /* an atom, or "quoted" with UTF-8 in it (RFC 6855); no line ends */
/* Text of a response, "* OK text": control bytes and bytes past 127 become `?'. */
bool imap_put_text(struct buf *out, struct span s);
