/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Syntax of host and domain names as an SMTP server checks them: HELO arguments, address domains, next hops
 * (RFC 1123 2.1, RFC 5321 4.1.2 and 4.1.3, RFC 5890 for U-labels). Syntax only; DNS is asked elsewhere.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/span.h"

enum { MAILHOST_NAME_MAX = 255, MAILHOST_LABEL_MAX = 63 };

/*
 * A name of letters, digits, hyphens (not at either end of a label), underscores (in use, so accepted) and well-formed
 * UTF-8, in labels of 1 to 63 octets, 255 in all. One trailing dot is accepted. Not all digits and dots: that would be
 * an address.
 */
bool mailhost_name_valid(struct span name);
bool mailhost_fqdn_valid(struct span name); /* the same, with a dot inside */

/* [1.2.3.4] or [IPv6:...]. */
bool mailhost_literal_valid(struct span text);
/* 1.2.3.4 or an IPv6 address, without brackets. */
bool mailhost_ip_valid(struct span text);

/* What a HELO or EHLO argument is. */
enum mailhost_helo {
	MAILHOST_HELO_FQDN = 0,
	MAILHOST_HELO_SHORT, /* a valid name without a dot: reject_non_fqdn_helo_hostname */
	MAILHOST_HELO_LITERAL,
	MAILHOST_HELO_BARE_IP, /* an address without brackets: wrong, and common */
	MAILHOST_HELO_INVALID, /* reject_invalid_helo_hostname */
};
enum mailhost_helo mailhost_helo_kind(struct span helo);

/*
 * A next hop or relayhost: "example.com", "[mail.example.com]", "[::1]:2525", "example.com:587", "[1.2.3.4]:smtp".
 * no_mx: it was in brackets. Service empty when there was no ":". False when it is none of these.
 */
struct mailhost_hop {
	struct span host;    /* without brackets and without IPv6: */
	struct span service; /* name or number */
	bool no_mx;
};
bool mailhost_hop_parse(struct span text, struct mailhost_hop *hop_r) __attribute__((warn_unused_result));
