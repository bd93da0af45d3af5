/* SPDX-License-Identifier: BSD-2-Clause */
/* Line ends as they are stored, LF or CRLF, and as they are on the wire, CRLF. */
#pragma once
#include <stdint.h>

#include "lib/base/span.h"

/* LFs without a CR before them, each an octet more on the wire. before: the byte in front of text; any other than CR for none. */
uint64_t crlf_missing(struct span text, char before);
