/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "lib/proto/addr.h"
#include "pipe/pipe.h"

enum { PIECE = 16384, EOL_MAX = 64, HEAD_MAX = 8 * (ADDR_BYTES_MAX + QUEUE_ADDRESS_MAX) };

static const char from_[] = "From ";

static bool has(enum pipe_flag flag)
{
	return (pipe_attributes.flags & flag) != 0;
}

static bool is_plain(void)
{
	return !has(PIPE_DOTS) && !has(PIPE_QUOTE_FROM) && span_is(pipe_attributes.eol, "\n");
}

static void put_eol(struct buf *b)
{
	buf_add_span(b, pipe_attributes.eol);
}

/* Lines of the head end as the command wants them, like all others. */
static struct span with_eol(struct arena *a, struct span lines)
{
	struct buf b;
	struct span out;

	buf_init(&b, 4 * HEAD_MAX);
	while (lines.len > 0) {
		buf_add_span(&b, span_cut(&lines, '\n'));
		put_eol(&b);
	}
	out = arena_span(a, buf_span(&b));
	buf_free(&b);
	return out;
}

static struct span make_head(const struct delivery *d)
{
	const struct job_rcpt *r = &d->rcpts[0];
	struct buf b;
	struct span out;

	buf_init(&b, HEAD_MAX);
	if (has(PIPE_FROM_LINE))
		buf_add_span(&b, letter_from_line(d->a, macros_sender(d)));
	if (has(PIPE_RETURN_PATH))
		letter_put_field(&b, d->a, "Return-Path", macros_sender(d), true);
	if (has(PIPE_ORIGINAL_TO))
		letter_put_field(&b, d->a, "X-Original-To", r->original.len ? r->original : r->address, false);
	if (has(PIPE_DELIVERED_TO))
		letter_put_field(&b, d->a, "Delivered-To", r->address, false);
	out = with_eol(d->a, buf_span(&b));
	buf_free(&b);
	return out;
}

void content_init(struct content *c, const struct delivery *d, struct letter *l)
{
	*c = (struct content){ .letter = l, .head = make_head(d), .line_start = true };
	buf_init(&c->changed, 2 * PIECE + EOL_MAX * PIECE);
	letter_rewind(l);
}

void content_free(struct content *c)
{
	buf_free(&c->changed);
}

/* What looked like the start of "From " and is none. */
static void put_matched(struct content *c)
{
	buf_add(&c->changed, from_, c->matched);
	c->matched = 0;
}

static void change_byte(struct content *c, char byte)
{
	if (has(PIPE_QUOTE_FROM) && (c->line_start || c->matched > 0)) {
		if (byte == from_[c->matched]) {
			c->line_start = false;
			if (++c->matched < sizeof from_ - 1)
				return;
			buf_addc(&c->changed, '>');
			put_matched(c);
			return;
		}
		put_matched(c);
	}
	if (has(PIPE_DOTS) && c->line_start && byte == '.')
		buf_addc(&c->changed, '.');
	c->line_start = byte == '\n';
	if (byte == '\n')
		put_eol(&c->changed);
	else
		buf_addc(&c->changed, byte);
}

static void change_piece(struct content *c)
{
	struct span piece = span_head(c->rest, PIECE);

	c->rest = span_skip(c->rest, piece.len);
	buf_reset(&c->changed);
	for (size_t i = 0; i < piece.len; i++)
		change_byte(c, piece.ptr[i]);
}

/* The end: the blank line of flag B. */
static void finish(struct content *c)
{
	c->ended = true;
	buf_reset(&c->changed);
	put_matched(c);
	if (has(PIPE_BLANK_LINE))
		put_eol(&c->changed);
}

bool content_next(void *content, struct span *chunk_r)
{
	struct content *c = content;

	*chunk_r = c->head;
	c->head = SPAN_NONE;
	while (chunk_r->len == 0 && !c->ended) {
		if (c->rest.len == 0 && !letter_next(c->letter, &c->rest))
			return false;
		if (c->rest.len == 0) {
			finish(c);
		} else if (is_plain()) {
			*chunk_r = c->rest;
			c->rest = SPAN_NONE;
			return true;
		} else {
			change_piece(c);
		}
		*chunk_r = buf_span(&c->changed);
	}
	return true;
}
