/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/smtp_data.h"

#include <string.h>

#include "lib/base/must.h"

/*
 * Where the next CR or LF is. LF is searched once per line rather than once per call, so that a chunk with a CR in
 * every second byte is still read in linear time.
 */
struct scan {
	const char *p, *end;
	const char *lf; /* the first LF at or after p, end when there is none, NULL when not known */
};

static const char *next_lf(struct scan *s)
{
	if (s->lf == NULL || s->lf < s->p) {
		s->lf = memchr(s->p, '\n', (size_t)(s->end - s->p));
		if (s->lf == NULL)
			s->lf = s->end;
	}
	return s->lf;
}

/* Bytes before the next CR or LF, at most max. */
static size_t text_len(struct scan *s, size_t max)
{
	const char *stop = next_lf(s);
	const char *cr;

	if ((size_t)(stop - s->p) > max)
		stop = s->p + max;
	cr = memchr(s->p, '\r', (size_t)(stop - s->p));

	return (size_t)((cr ? cr : stop) - s->p);
}

/* --- wire to stored ----------------------------------------------------------------------------------------------- */

/*
 *	state        CR             LF                        "."        other
 *	LINE         CR             emit, LINE_LF             DOT        TEXT
 *	LINE_LF      CR             emit, LINE_LF             DOT_LF     TEXT
 *	DOT          DOT_CR         lone dot, LINE_LF (1)     TEXT       TEXT        the dot is dropped
 *	DOT_LF       DOT_CR_LF      lone dot, LINE_LF (1)     TEXT       TEXT        the dot is dropped
 *	DOT_CR       space, CR      END                       space, TEXT
 *	DOT_CR_LF    space, CR      lone dot, LINE (1)        space, TEXT
 *	TEXT         CR             emit, LINE_LF             TEXT       TEXT
 *	CR           space, CR      emit, LINE                space, TEXT
 *
 * (1) END where bare LFs are allowed. A dot alone on a line that is not the end of data stays: it was never doubled.
 */

void smtp_data_decoder_init(struct smtp_data_decoder *d, enum smtp_bare_lf policy)
{
	*d = (struct smtp_data_decoder){ .policy = policy };
}

static char *end_line(struct smtp_data_decoder *d, char *out, bool bare, enum smtp_data_state next)
{
	d->lines++;
	d->bare_lf |= bare;
	if (d->line_bytes > d->longest_line)
		d->longest_line = d->line_bytes;
	d->line_bytes = 0;
	d->state = next;
	*out++ = '\n';
	return out;
}

static char *emit(struct smtp_data_decoder *d, char *out, char c)
{
	d->line_bytes++;
	*out++ = c;
	return out;
}

static char *lone_dot(struct smtp_data_decoder *d, char *out, bool bare, enum smtp_data_state next)
{
	if (d->policy == SMTP_BARE_LF_ALLOW) {
		d->bare_lf = true;
		d->state = SMTP_DATA_END;
		return out;
	}
	return end_line(d, emit(d, out, '.'), bare, next);
}

static char *on_lf(struct smtp_data_decoder *d, char *out)
{
	switch (d->state) {
	case SMTP_DATA_DOT_CR:
		d->state = SMTP_DATA_END;
		return out;
	case SMTP_DATA_DOT:
	case SMTP_DATA_DOT_LF:
		return lone_dot(d, out, true, SMTP_DATA_LINE_LF);
	case SMTP_DATA_DOT_CR_LF:
		return lone_dot(d, out, false, SMTP_DATA_LINE);
	case SMTP_DATA_CR:
		return end_line(d, out, false, SMTP_DATA_LINE);
	default:
		return end_line(d, out, true, SMTP_DATA_LINE_LF);
	}
}

/* A CR was read and no LF follows it. */
static char *settle_cr(struct smtp_data_decoder *d, char *out)
{
	if (d->state != SMTP_DATA_CR && d->state != SMTP_DATA_DOT_CR && d->state != SMTP_DATA_DOT_CR_LF)
		return out;
	d->bare_cr = true;
	d->state = SMTP_DATA_TEXT;
	return emit(d, out, ' ');
}

static void on_cr(struct smtp_data_decoder *d)
{
	if (d->state == SMTP_DATA_DOT)
		d->state = SMTP_DATA_DOT_CR;
	else if (d->state == SMTP_DATA_DOT_LF)
		d->state = SMTP_DATA_DOT_CR_LF;
	else
		d->state = SMTP_DATA_CR;
}

static char *on_text(struct smtp_data_decoder *d, struct scan *s, char *out)
{
	size_t len;

	if (*s->p == '.' && !d->counted && (d->state == SMTP_DATA_LINE || d->state == SMTP_DATA_LINE_LF)) {
		d->state = d->state == SMTP_DATA_LINE ? SMTP_DATA_DOT : SMTP_DATA_DOT_LF;
		s->p++;
		return out;
	}
	len = text_len(s, SIZE_MAX);
	memcpy(out, s->p, len);
	s->p += len;
	d->line_bytes += len;
	d->state = SMTP_DATA_TEXT;
	return out + len;
}

size_t smtp_data_decode(struct smtp_data_decoder *d, struct span *in, char *out, size_t out_max)
{
	struct scan s = { .p = in->ptr };
	char *to = out;

	must(out_max >= 2);
	s.end = in->ptr + (in->len < out_max ? in->len : out_max - 1);
	while (s.p < s.end && d->state != SMTP_DATA_END) {
		char c = *s.p;

		if (c == '\n') {
			to = on_lf(d, to);
			s.p++;
			continue;
		}
		to = settle_cr(d, to);
		if (c == '\r') {
			on_cr(d);
			s.p++;
		} else {
			to = on_text(d, &s, to);
		}
	}
	*in = span_skip(*in, (size_t)(s.p - in->ptr));
	d->bytes += (size_t)(to - out);
	return (size_t)(to - out);
}

size_t smtp_data_decode_end(struct smtp_data_decoder *d, char out[SMTP_DECODE_END_MAX])
{
	char *to = settle_cr(d, out);

	if (d->state == SMTP_DATA_TEXT)
		to = end_line(d, to, false, SMTP_DATA_LINE);
	d->state = SMTP_DATA_END;
	d->bytes += (size_t)(to - out);
	return (size_t)(to - out);
}

/* --- stored to wire ----------------------------------------------------------------------------------------------- */

enum { STEP_MAX = 8 }; /* most that one step writes besides text: CRLF SPACE, a dot, a byte */

void smtp_data_encoder_init(struct smtp_data_encoder *e, unsigned flags, size_t limit)
{
	*e = (struct smtp_data_encoder){ .flags = flags, .limit = limit == 1 ? 2 : limit, .line_start = true };
}

static char *put_crlf(char *to)
{
	*to++ = '\r';
	*to++ = '\n';
	return to;
}

static char *encode_line_end(struct smtp_data_encoder *e, char *to)
{
	e->line_start = true;
	e->pending_cr = false;
	e->column = 0;
	return put_crlf(to);
}

/* Text without line ends, as much of it as the line still holds; *taken_r says how much. */
static char *encode_text(struct smtp_data_encoder *e, char *to, struct span text, size_t *taken_r)
{
	size_t len = text.len;

	if (e->limit && e->column >= e->limit) {
		to = put_crlf(to);
		*to++ = ' ';
		e->column = 1;
	}
	if (e->line_start && text.ptr[0] == '.' && (e->flags & SMTP_ENCODE_DOTS))
		*to++ = '.';
	if (e->limit && len > e->limit - e->column)
		len = e->limit - e->column;
	memcpy(to, text.ptr, len);
	e->line_start = false;
	e->column += len;
	*taken_r = len;
	return to + len;
}

static char *encode_lone_cr(struct smtp_data_encoder *e, char *to)
{
	size_t taken;

	e->pending_cr = false;
	return encode_text(e, to, e->flags & SMTP_ENCODE_KEEP_CR ? SPAN("\r") : SPAN(" "), &taken);
}

size_t smtp_data_encode(struct smtp_data_encoder *e, struct span *in, char *out, size_t out_max)
{
	/* No further than out can hold: a long chunk into a small buffer is not searched again and again. */
	struct scan s = { .p = in->ptr, .end = in->ptr + (in->len < out_max ? in->len : out_max) };
	char *to = out, *stop = out + out_max;

	must(out_max >= STEP_MAX);
	while (s.p < s.end && stop - to >= STEP_MAX) {
		size_t len, room = (size_t)(stop - to) - STEP_MAX + 1;

		if (*s.p == '\n') {
			to = encode_line_end(e, to);
			s.p++;
		} else if (e->pending_cr) {
			to = encode_lone_cr(e, to);
		} else if (*s.p == '\r') {
			e->pending_cr = true;
			s.p++;
		} else {
			len = text_len(&s, e->limit && e->limit < room ? e->limit : room);
			to = encode_text(e, to, span_of(s.p, len), &len);
			s.p += len;
		}
	}
	*in = span_skip(*in, (size_t)(s.p - in->ptr));
	return (size_t)(to - out);
}

size_t smtp_data_encode_end(struct smtp_data_encoder *e, char out[SMTP_ENCODE_END_MAX])
{
	char *to = out;

	if (e->flags & SMTP_ENCODE_KEEP_CR) {
		if (e->pending_cr)
			*to++ = '\r';
		e->pending_cr = false;
		return (size_t)(to - out);
	}
	if (!e->line_start || e->pending_cr)
		to = encode_line_end(e, to);
	if (e->flags & SMTP_ENCODE_DOTS) {
		*to++ = '.';
		to = put_crlf(to);
	}
	return (size_t)(to - out);
}
