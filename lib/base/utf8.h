/* SPDX-License-Identifier: BSD-2-Clause */
/* UTF-8 as of RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/span.h"

/* Length in bytes of the well-formed character at p (1 to 4), or 0 when there is none within len bytes. */
size_t utf8_char(const char *p, size_t len);
bool utf8_valid(struct span s);
