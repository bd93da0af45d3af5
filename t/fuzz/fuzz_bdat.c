/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stream of BDAT commands and their chunks, as smtpd reads it: what is no size ends it, a size is what its digits say, and the
 * content does not depend on where chunks and reads end. First octet: bytes per read.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/must.h"
#include "lib/proto/smtp_cmd.h"
#include "lib/proto/smtp_data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CONTENT_MAX = 1 << 20, READ_MAX = 256 };

/* Digits compared as text: no arithmetic that could be wrong in the same way. */
static void check_size(struct span args, uint64_t size)
{
	struct span word;
	char text[24];
	size_t n = 0;

	must(size <= INT64_MAX && span_word(&args, " \t", &word));
	while (word.len > 1 && word.ptr[0] == '0')
		word = span_skip(word, 1);
	for (uint64_t left = size; left || n == 0; left /= 10)
		text[n++] = (char)('0' + left % 10);
	must(word.len == n);
	for (size_t i = 0; i < n; i++)
		must(word.ptr[i] == text[n - 1 - i]);
}

static void decode(struct smtp_data_decoder *d, struct span chunk, size_t step, struct buf *out)
{
	char piece[READ_MAX + 8];

	while (chunk.len) {
		struct span read = span_head(chunk, step);

		chunk = span_skip(chunk, read.len);
		must(buf_add(out, piece, smtp_data_decode(d, &read, piece, sizeof piece)));
		must(read.len == 0); /* all of a read is taken, no end is seen in it */
	}
}

static void finish(struct smtp_data_decoder *d, struct buf *out)
{
	char end[SMTP_DECODE_END_MAX];

	must(buf_add(out, end, smtp_data_decode_end(d, end)));
	must(d->bytes == out->len);
}

/* The rules, slowly: CRLF and LF end a line, another CR is a space, the last line is ended. */
static void check_content(struct span raw, struct span stored, bool bare_lf)
{
	bool bare = false;
	size_t at = 0;

	for (size_t i = 0; i < raw.len; i++) {
		bool crlf = raw.ptr[i] == '\r' && i + 1 < raw.len && raw.ptr[i + 1] == '\n';

		if (crlf)
			continue;
		bare |= raw.ptr[i] == '\n' && (i == 0 || raw.ptr[i - 1] != '\r');
		must(at < stored.len && stored.ptr[at++] == (raw.ptr[i] == '\r' ? ' ' : raw.ptr[i]));
	}
	if (at < stored.len)
		must(stored.ptr[at++] == '\n' && raw.ptr[raw.len - 1] != '\n');
	must(at == stored.len && bare == bare_lf && (stored.len == 0 || stored.ptr[at - 1] == '\n'));
}

/* One message: false at the end of the stream, or where smtpd would hang up. */
static bool message(struct span *stream, size_t step)
{
	struct smtp_data_decoder d, whole;
	struct buf raw, stored, again;
	bool last = false, more = true;

	smtp_data_decoder_init(&d, SMTP_BARE_LF_ALLOW);
	d.counted = true;
	whole = d;
	buf_init(&raw, CONTENT_MAX);
	buf_init(&stored, CONTENT_MAX);
	buf_init(&again, CONTENT_MAX);
	while (more && !last) {
		struct span line = span_cut(stream, '\n'), chunk;
		struct smtp_cmd cmd;
		uint64_t size;

		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		more = smtp_cmd_parse(line, &cmd) == SMTP_CMD_OK && cmd.verb == SMTP_VERB_BDAT &&
		       smtp_bdat_parse(cmd.args, &size, &last) == SMTP_CMD_OK;
		if (!more)
			break;
		check_size(cmd.args, size);
		more = size <= stream->len;
		chunk = span_head(*stream, more ? (size_t)size : stream->len);
		*stream = span_skip(*stream, chunk.len);
		must(buf_add_span(&raw, chunk));
		decode(&d, chunk, step, &stored);
	}
	finish(&d, &stored);
	decode(&whole, buf_span(&raw), READ_MAX, &again);
	finish(&whole, &again);
	must(span_eq(buf_span(&stored), buf_span(&again)) && memcmp(&d, &whole, sizeof d) == 0);
	check_content(buf_span(&raw), buf_span(&stored), d.bare_lf);
	buf_free(&raw);
	buf_free(&stored);
	buf_free(&again);
	return more;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span stream = span_of((const char *)data + 1, size - 1);

	if (size < 2 || size > CONTENT_MAX / 2)
		return 0;
	while (stream.len && message(&stream, 1 + data[0]))
		;
	return 0;
}
