/* SPDX-License-Identifier: BSD-2-Clause */
/* SASLprep, RFC 4013: one form for names and passwords that can be typed in several ways. By libidn. */
#pragma once
#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/span.h"

/*
 * Append the prepared form of text. False, and nothing is appended: not UTF-8, a character that is not allowed, left-to-right and
 * right-to-left mixed, or nothing would be left. Printable ASCII is itself.
 */
bool saslprep(struct buf *out, struct span text) __attribute__((warn_unused_result));
