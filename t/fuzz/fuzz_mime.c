/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a message: the tree's counts agree with a count over its spans, parts lie within their parents. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/must.h"
#include "lib/base/utf8.h"
#include "lib/proto/header.h"
#include "lib/proto/mime.h"
#include "lib/proto/mime_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(struct span inner, struct span outer)
{
	return inner.ptr >= outer.ptr && inner.ptr + inner.len <= outer.ptr + outer.len;
}

static void try_text(const struct mime_part *part)
{
	struct mime_decoder d;
	struct buf raw, text;

	buf_init(&raw, 100000);
	buf_init(&text, 100000);
	mime_decoder_init(&d, mime_cte_of(part->encoding));
	if (mime_decode(&d, part->body, &raw) && mime_decode_end(&d, &raw) &&
	    mime_to_utf8(&text, mime_param(&part->params, "charset"), buf_span(&raw)))
		must(!text.overflow);
	must(utf8_valid(buf_span(&text)));
	buf_free(&raw);
	buf_free(&text);
}

static void check_part(const struct mime_part *part, int depth)
{
	struct mime_size body = mime_size_of(part->body), header = mime_size_of(part->header);

	must(depth <= MIME_DEPTH_MAX + 1 && part->type.len && part->subtype.len);
	must(body.crlf == part->body_size.crlf && body.lines == part->body_size.lines);
	must(header.crlf == part->header_size.crlf && header.lines == part->header_size.lines);
	must(part->header.ptr + part->header.len == part->body.ptr);
	must((part->kind == MIME_LEAF) == (part->child == NULL));
	if (part->kind == MIME_LEAF)
		try_text(part);
	for (const struct mime_part *child = part->child; child; child = child->next) {
		must(child->parent == part && within(child->header, part->body) && within(child->body, part->body));
		check_part(child, depth + 1);
	}
}

static void try_header(struct arena *a, struct span msg)
{
	struct header_field f;
	struct mime_envelope e;
	struct span rest = msg;
	struct buf out;

	buf_init(&out, 3 * msg.len + 10);
	while (header_next(&rest, &f)) {
		buf_reset(&out);
		must(mime_words_decode(&out, f.body));
		must(utf8_valid(buf_span(&out)));
	}
	must(rest.len <= msg.len && header_size(msg) >= msg.len - rest.len);
	mime_envelope_parse(a, msg, &e);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = ARENA_INIT;
	struct span msg = span_of((const char *)data, size);
	struct mime_part *root = mime_parse(&a, msg);

	must(root->header.len + root->body.len == size);
	check_part(root, 1);
	mime_find(root, (const uint32_t[]){ 2, 1, 1 }, 3);
	try_header(&a, msg);
	arena_free(&a);
	return 0;
}
