/* SPDX-License-Identifier: BSD-2-Clause */
/* Base64 of RFC 4648 section 4. */
#pragma once
#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/span.h"

/* Append the encoding of s, on one line, with padding. False past the buffer's maximum. */
bool base64_encode(struct buf *out, struct span s) __attribute__((warn_unused_result));
/* Append the decoding of s. Strict: padding required, no white space, no stray bits; false leaves out unchanged. */
bool base64_decode(struct buf *out, struct span s) __attribute__((warn_unused_result));
