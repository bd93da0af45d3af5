/* SPDX-License-Identifier: BSD-2-Clause */
/* Modified UTF-7: what decodes is UTF-8 and encodes to the same bytes again; and the other way round. */
#include <stdint.h>

#include "lib/base/must.h"
#include "lib/base/utf8.h"
#include "lib/proto/imap_utf7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of((const char *)data, size);
	struct buf utf8, wire;

	if (size > 4096)
		return 0;
	buf_init(&utf8, 65536);
	buf_init(&wire, 65536);
	if (imap_utf7_decode(&utf8, in)) {
		must(utf8_valid(buf_span(&utf8)));
		must(imap_utf7_encode(&wire, buf_span(&utf8)));
		must(span_eq(buf_span(&wire), in));
	}
	buf_reset(&wire);
	if (imap_utf7_encode(&wire, in)) {
		buf_reset(&utf8);
		if (imap_utf7_decode(&utf8, buf_span(&wire)))
			must(span_eq(buf_span(&utf8), in));
	}
	buf_free(&utf8);
	buf_free(&wire);
	return 0;
}
