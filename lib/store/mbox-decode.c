/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "lib/base/crlf.h"
#include "lib/store/mbox-format.h"

/* Where pieces of the mail go: kept in out, or counted. */
struct sink {
	struct buf *out;           /* or NULL */
	uint64_t len, bare_lf;
	char last; /* byte before the next piece */
};

static void pour(struct sink *s, struct span piece)
{
	if (piece.len == 0)
		return;
	if (s->out != NULL) {
		buf_add_span(s->out, piece);
		return;
	}
	s->len += piece.len;
	s->bare_lf += crlf_missing(piece, s->last);
	s->last = piece.ptr[piece.len - 1];
}

static struct span take_line(struct span *rest)
{
	ptrdiff_t lf = span_chr(*rest, '\n');
	struct span line = span_head(*rest, lf < 0 ? rest->len : (size_t)lf + 1);

	*rest = span_skip(*rest, line.len);
	return line;
}

static bool is_quoted_from(struct span line)
{
	size_t n = 0;

	while (n < line.len && line.ptr[n] == '>')
		n++;
	return n > 0 && span_starts(span_skip(line, n), "From ");
}

static bool is_empty_line(struct span line)
{
	return span_is(line, "\n") || span_is(line, "\r\n");
}

/* The header, without the fields that belong to the mailbox; stops behind the empty line. */
static void pour_header(struct sink *s, struct span *rest)
{
	bool dropping = false;

	while (rest->len > 0) {
		struct span line = take_line(rest), value;

		if (line.ptr[0] != ' ' && line.ptr[0] != '\t')
			dropping = mbox_field_of(line, &value) != MBOX_FIELD_NONE;
		if (!dropping)
			pour(s, is_quoted_from(line) ? span_skip(line, 1) : line);
		if (is_empty_line(line))
			return;
	}
}

/* One ">" less on each line that begins with one or more and "From ". */
static void pour_body(struct sink *s, struct span body)
{
	const char *from = body.ptr, *end = body.ptr + body.len, *p = from;

	while (p < end) {
		const char *hit = memmem(p, (size_t)(end - p), ">From ", 6), *line;

		if (hit == NULL)
			break;
		for (line = hit; line > body.ptr && line[-1] == '>'; line--)
			continue;
		p = hit + 6;
		if (line > body.ptr && line[-1] != '\n')
			continue;
		pour(s, span_of(from, (size_t)(line - from)));
		from = line + 1;
	}
	pour(s, span_of(from, (size_t)(end - from)));
}

/* The empty line in front of the next From_ line is no part of the mail. */
static struct span without_separator(struct span text)
{
	if (is_empty_line(text))
		return SPAN_NONE;
	if (span_ends(text, "\n\r\n"))
		text.len -= 2;
	else if (span_ends(text, "\n\n"))
		text.len -= 1;
	return text;
}

static void pour_all(struct sink *s, struct span text)
{
	struct mbox_block block;

	text = span_skip(text, mbox_block_parse(text, &block));
	text = without_separator(text);
	pour_header(s, &text);
	pour_body(s, text);
}

void mbox_measure(struct span text, uint64_t *size_r)
{
	struct sink s = { 0 };

	pour_all(&s, text);
	*size_r = s.len + s.bare_lf;
}

bool mbox_decode(struct span text, struct buf *out)
{
	struct sink s = { .out = out };

	if (buf_reserve(out, text.len) == NULL) /* it does not get longer */
		return false;
	pour_all(&s, text);
	return !out->overflow;
}
