/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of message numbers, RFC 3501 sequence-set: "1,3:5,7:*". */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"

struct imap_range {
	uint32_t lo, hi; /* both belong to it; lo <= hi */
};

struct imap_seqset {
	struct imap_range *range; /* once resolved: ascending, with gaps between */
	size_t n;
};

enum { IMAP_SEQSET_MAX = 20000, IMAP_SEQ_STAR = 0 }; /* ranges of one set; how "*" is held until it is resolved */

/* The whole of s, in a. False: not a sequence set. */
bool imap_seqset_parse(struct arena *a, struct span s, struct imap_seqset *set_r) __attribute__((warn_unused_result));
/* Put max (at least 1) for "*", sort, join. "9:*" with max 5 is 5:9. */
void imap_seqset_resolve(struct imap_seqset *set, uint32_t max);
bool imap_seqset_has(const struct imap_seqset *set, uint32_t number); /* resolved only; logarithmic */
/* "1:3,7" of n ascending numbers; numbers that are not ascending are written as they come. */
bool imap_seqset_write(struct buf *out, const uint32_t *numbers, size_t n);
