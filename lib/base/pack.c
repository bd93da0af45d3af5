/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/base/pack.h"

#include <endian.h>
#include <string.h>

void pack_u8(struct buf *b, uint8_t v)
{
	buf_add(b, &v, 1);
}

void pack_u32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	buf_add(b, &v, 4);
}

void pack_u64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	buf_add(b, &v, 8);
}

void pack_span(struct buf *b, struct span s)
{
	pack_u32(b, (uint32_t)s.len);
	buf_add(b, s.ptr, s.len);
}

static bool take(struct unpack *u, void *to, size_t len)
{
	if (u->bad || u->rest.len < len) {
		u->bad = true;
		return false;
	}
	memcpy(to, u->rest.ptr, len);
	u->rest = span_skip(u->rest, len);
	return true;
}

uint8_t unpack_u8(struct unpack *u)
{
	uint8_t v;

	return take(u, &v, 1) ? v : 0;
}

uint32_t unpack_u32(struct unpack *u)
{
	uint32_t v;

	return take(u, &v, 4) ? le32toh(v) : 0;
}

uint64_t unpack_u64(struct unpack *u)
{
	uint64_t v;

	return take(u, &v, 8) ? le64toh(v) : 0;
}

struct span unpack_span(struct unpack *u)
{
	uint32_t len = unpack_u32(u);
	struct span s;

	if (u->bad || len > u->rest.len) {
		u->bad = true;
		return SPAN_NONE;
	}
	s = span_head(u->rest, len);
	u->rest = span_skip(u->rest, len);
	return s;
}

bool unpack_done(const struct unpack *u)
{
	return !u->bad && u->rest.len == 0;
}
