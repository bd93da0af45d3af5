/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one encoding of everything that Posthouse's programs tell each other and write into queue files: little-endian
 * integers and length-prefixed byte strings. Writing goes into a struct buf (its overflow flag tells of a lack of
 * room). Reading never passes the end: a short or over-long field sets `bad' and every later get returns zero or empty,
 * so a run of gets needs one check at its end.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/span.h"

void pack_u8(struct buf *b, uint8_t v);
void pack_u32(struct buf *b, uint32_t v);
void pack_u64(struct buf *b, uint64_t v);
void pack_span(struct buf *b, struct span s); /* u32 length, bytes */

struct unpack {
	struct span rest;
	bool bad;
};

uint8_t unpack_u8(struct unpack *u);
uint32_t unpack_u32(struct unpack *u);
uint64_t unpack_u64(struct unpack *u);
struct span unpack_span(struct unpack *u); /* borrowed from the packed bytes */
/* True when nothing was bad and nothing is left over. */
bool unpack_done(const struct unpack *u);
