/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include <zlib.h>

#include "lib/base/pack.h"
#include "lib/store/index.h"

/* Another version of the format, another order of octets, another size of a record: another magic. */
static const char magic[INDEX_HEADER + 1] = "posthouse-idx 2\n";

void index_put_header(struct buf *b)
{
	buf_add(b, magic, INDEX_HEADER);
}

bool index_is_marked(struct span text)
{
	return text.len > INDEX_MARK_AT && text.ptr[INDEX_MARK_AT] == INDEX_MARK[0];
}

/* Type and length are part of the sum: a chunk cannot pass for another. */
static uint32_t sum_of(uint32_t type, struct span payload)
{
	uint32_t head[2] = { type, (uint32_t)payload.len };
	uLong sum = crc32(0, (const unsigned char *)head, sizeof head);

	return (uint32_t)crc32_z(sum, (const unsigned char *)payload.ptr, payload.len);
}

void index_put_chunk(struct buf *b, enum index_type type, struct span payload)
{
	pack_u32(b, type);
	pack_u32(b, (uint32_t)payload.len);
	pack_u32(b, sum_of(type, payload));
	buf_add_span(b, payload);
}

/* True with the sum not looked at. */
static bool take_chunk(struct span *rest, uint32_t *type, uint32_t *sum, struct span *payload)
{
	struct unpack u = { .rest = *rest };
	uint32_t len;

	*type = unpack_u32(&u);
	len = unpack_u32(&u);
	*sum = unpack_u32(&u);
	if (u.bad || len > u.rest.len)
		return false;
	*payload = span_head(u.rest, len);
	*rest = span_skip(u.rest, len);
	return true;
}

bool index_next(struct span *rest, enum index_type *type_r, struct span *payload_r)
{
	uint32_t type, sum;

	if (!take_chunk(rest, &type, &sum, payload_r))
		return false;
	*type_r = (enum index_type)type;
	return true;
}

size_t index_good(struct span text)
{
	struct span rest = text, payload;
	uint32_t type, sum;
	size_t good = 0;

	if (text.len < INDEX_HEADER || memcmp(text.ptr, magic, INDEX_MARK_AT) != 0 ||
	    (text.ptr[INDEX_MARK_AT] != INDEX_NO_MARK[0] && !index_is_marked(text)))
		return 0;
	rest = span_skip(text, INDEX_HEADER);
	while (take_chunk(&rest, &type, &sum, &payload) && sum == sum_of(type, payload))
		if (type == INDEX_STATE)
			good = text.len - rest.len;
	return good;
}
