/* SPDX-License-Identifier: BSD-2-Clause */
/* A client's bytes through the IMAP reader, twice: whole and octet by octet; both have to see the same commands. */
#include <stdint.h>

#include "lib/base/must.h"
#include "lib/proto/imap_parse.h"
#include "lib/proto/imap_seq.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct imap_limits limits = {
	.line_max = 100,
	.literal_max = 50,
	.total_max = 400,
	.literals_max = 4,
	.skip_max = 500,
};

static void scan_all(struct span text)
{
	struct arena a = ARENA_INIT;
	struct imap_command cmd;
	struct imap_seqset set;
	bool ok = imap_command_split(text, &cmd);
	struct imap_scan s = imap_scan_init(&a, ok ? cmd.args : text);

	while (s.in.len > 0) {
		size_t before = s.in.len;
		struct span out = SPAN_NONE;
		bool nil;
		uint64_t n;

		(void)(imap_scan_sp(&s) || imap_scan_open(&s) || imap_scan_flag(&s, &out) ||
		       imap_scan_number64(&s, &n) || imap_scan_nstring(&s, &out, &nil) || imap_scan_pattern(&s, &out) ||
		       imap_scan_word(&s, &out));
		if (s.depth > 0)
			(void)imap_scan_close(&s);
		if (imap_seqset_parse(&a, out, &set))
			imap_seqset_resolve(&set, 7);
		if (s.in.len == before)
			break;
		must(s.in.len < before);
	}
	arena_free(&a);
}

static uint64_t run(const uint8_t *data, size_t size, size_t step, bool scan)
{
	struct imap_reader r;
	uint64_t sum = 17;
	size_t at = 0;

	imap_reader_init(&r, &limits);
	while (at < size || r.asked) {
		struct span in = span_of((const char *)data + at, size - at < step ? size - at : step);
		size_t before = in.len;
		enum imap_read_status st = imap_reader_feed(&r, &in);

		at += before - in.len;
		must(r.text.len <= limits.total_max);
		if (st == IMAP_READ_MORE)
			continue;
		/* A line may be both too long and hold a NUL: which of them is seen first depends on the chunks. */
		sum = sum * 31 + (st == IMAP_READ_BAD ? IMAP_READ_TOO_LONG : st);
		if (st == IMAP_READ_LITERAL) {
			if (imap_reader_take(&r))
				sum = sum * 31 + 1;
			continue;
		}
		for (size_t i = 0; i < r.text.len && st == IMAP_READ_DONE; i++)
			sum = sum * 31 + (unsigned char)r.text.ptr[i];
		if (st == IMAP_READ_DONE && scan)
			scan_all(imap_reader_text(&r));
		must(imap_reader_tag(&r).len > 0);
		if (st == IMAP_READ_FATAL)
			break;
		imap_reader_reset(&r);
	}
	imap_reader_free(&r);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t whole = run(data, size, size > 0 ? size : 1, true);

	must(whole == run(data, size, 1, false));
	return 0;
}
