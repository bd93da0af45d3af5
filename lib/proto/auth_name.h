/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Login names. A name comes from outside and ends up in lookups, paths and log lines, so it is held against a short alphabet
 * before anything else is done with it.
 */
#pragma once
#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"

enum { AUTH_NAME_MAX = 255 };

/* 1 to AUTH_NAME_MAX octets of A-Z a-z 0-9 . - _ @ +, neither "-" nor "." in front, no "..", at most one "@". */
bool auth_name_valid(struct span name);

/*
 * auth_username_format as in Dovecot 2.3: %u the name, %n its part before "@", %d the part after it, %% a percent sign; L and U
 * before the letter make lower and upper case. name must be valid. The result, in a, is empty when the format cannot be used
 * or what comes out is no valid name.
 */
struct span auth_name_format(struct arena *a, const char *format, struct span name);

/*
 * A name as given, made fit for a log line that is read by machines: whatever could end its field (blank, comma, < > ( ), control
 * and 8-bit bytes) becomes "?"; at most 128 octets. In a.
 */
const char *auth_name_for_log(struct arena *a, struct span name);
