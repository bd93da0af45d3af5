/* SPDX-License-Identifier: BSD-2-Clause */
/* Domain names past ASCII (RFC 5890, 6531): to the form that the domain name system and tables know. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/span.h"

/* "bücher.example" -> "xn--bcher-kva.example", in a; a name in ASCII is itself. False: not a name (then *out_r is name). */
bool idna_to_ascii(struct arena *a, struct span name, struct span *out_r);
/* The same for the domain of an address in internal form; an address whose domain is not a name is itself. */
struct span idna_address(struct arena *a, struct span address);
