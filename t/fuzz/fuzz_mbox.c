/* SPDX-License-Identifier: BSD-2-Clause */
/* The mbox scanner, blocks, fields and the decoder; and what the encoder writes is read back as it was. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/must.h"
#include "lib/store/mbox-int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void scan(struct span text)
{
	struct span line, rest;
	ptrdiff_t at = mbox_find_from(text, 0, true, true, &line, &(int64_t){ 0 });

	while (at >= 0) {
		size_t start = (size_t)at;
		struct mbox_meta m;
		struct buf out;
		uint64_t octets;
		int64_t date;

		rest = span_skip(text, start);
		must(span_starts(rest, "From ") && line.len <= rest.len);
		at = mbox_find_from(rest, line.len, false, true, &(struct span){ 0 }, &date);
		rest = span_skip(span_head(rest, at < 0 ? rest.len : (size_t)at), line.len);
		mbox_meta_parse(rest, &m);
		must(m.block_size <= rest.len);
		mbox_measure(rest, &octets);
		buf_init(&out, rest.len + 1);
		must(mbox_decode(rest, &out));
		must(octets >= out.len && octets <= 2 * out.len);
		buf_free(&out);
		if (at < 0)
			break;
		start += (size_t)at;
		at = mbox_find_from(text, start, false, true, &line, &date);
		must(at == (ptrdiff_t)start);
	}
}

static bool has_own_field(struct span text)
{
	static const char *const names[] = { "x-uid:", "status:", "x-status:", "x-keywords:", "x-imapbase:", "x-imap:", "x-posthouse:" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (span_ifind(text, span_cstr(names[i])) >= 0)
			return true;
	return false;
}

static void round_trip(struct span text, size_t step)
{
	struct mbox_encoder e;
	struct buf out, back, plain;
	struct span line;
	int64_t date;

	buf_init(&out, 3 * text.len + 64);
	buf_init(&back, 3 * text.len + 64);
	buf_init(&plain, 3 * text.len + 64);
	mbox_encoder_init(&e, true);
	for (struct span r = text; r.len > 0; r = span_skip(r, step))
		must(mbox_encode(&e, span_head(r, step), &out));
	must(mbox_encode_end(&e, &out));
	mbox_encoder_init(&e, false);
	must(mbox_encode(&e, text, &plain));
	must(mbox_encode_end(&e, &plain));
	must(mbox_find_from(buf_span(&out), 0, true, true, &line, &date) < 0);
	must(mbox_decode(buf_span(&out), &back));
	if (!has_own_field(text))
		must(span_eq(buf_span(&back), buf_span(&plain)));
	buf_free(&out);
	buf_free(&back);
	buf_free(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = calloc(1, size + 1);
	struct span text = span_of(copy, size > 0 ? size - 1 : 0);

	if (size > 0)
		memcpy(copy, data + 1, size - 1);
	scan(text);
	round_trip(text, size > 0 ? data[0] % 16 + 1u : 1);
	free(copy);
	return 0;
}
