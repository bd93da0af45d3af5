/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pop3_uidl_format, as in Dovecot 2.3: %v UIDVALIDITY, %u UID, %f or %g the name of the message's file in a Maildir without its
 * flags, %% a percent sign; between % and the letter: X hexadecimal
 * (small letters), L and U for lower and upper case (of the hexadecimal digits), and a width, with a leading 0 padded by zeros.
 * A unique id is 1 to 70 octets from 0x21 to 0x7E (RFC 1939 7).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"

enum { POP3_UIDL_MAX = 70 };

struct pop3_uidl_values {
	uint32_t uidvalidity, uid;
	struct span file; /* empty: there is none */
};

/* Every message gets an id of its own: format has %u, %f or %g and only letters that are known here, and gives ids within the
 * limits. */
bool pop3_uidl_format_valid(const char *format);
bool pop3_uidl_format_needs_file(const char *format);
/* Append the id; false when the format cannot be used, or not with these values. */
bool pop3_uidl_format(struct buf *out, const char *format, const struct pop3_uidl_values *v) __attribute__((warn_unused_result));
