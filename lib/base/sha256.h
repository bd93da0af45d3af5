/* SPDX-License-Identifier: BSD-2-Clause */
/* SHA-256, FIPS 180-4: for names of contents, in programs that do without a cryptographic library. No secrets go through it. */
#pragma once
#include <stdint.h>

#include "lib/base/span.h"

enum { SHA256_SIZE = 32 };

struct sha256 {
	uint32_t h[8];
	uint64_t len;            /* octets so far */
	unsigned char block[64]; /* what does not fill one yet */
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, struct span bytes);
void sha256_end(struct sha256 *s, unsigned char digest_r[SHA256_SIZE]);
