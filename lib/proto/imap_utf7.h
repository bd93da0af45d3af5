/* SPDX-License-Identifier: BSD-2-Clause */
/* Mailbox names on the wire: modified UTF-7, RFC 3501 5.1.3. */
#pragma once
#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/span.h"

/*
 * Append the UTF-8 of a name from the wire. Strict: well-formed base64 without stray bits, paired surrogates, no shift
 * that ASCII could have said, no two shifts in a row, no control characters, no bytes past 127. False leaves out
 * unchanged.
 */
bool imap_utf7_decode(struct buf *out, struct span wire) __attribute__((warn_unused_result));
/* Append the wire form of a UTF-8 name. False: not UTF-8, or past the buffer's maximum; out is unchanged then. */
bool imap_utf7_encode(struct buf *out, struct span utf8) __attribute__((warn_unused_result));
