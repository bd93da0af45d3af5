/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/smtp_reply.h"

#include <string.h>

#include "lib/base/must.h"
#include "lib/base/utf8.h"
#include "lib/base/verdict.h"

const char *smtp_reply_status_str(enum smtp_reply_status status)
{
	switch (status) {
	case SMTP_REPLY_DONE:
		return "complete";
	case SMTP_REPLY_MORE:
		return "incomplete";
	case SMTP_REPLY_GARBAGE:
		return "non-SMTP response";
	case SMTP_REPLY_MIXED:
		return "reply lines with different codes";
	case SMTP_REPLY_LINE_TOO_LONG:
		return "reply line too long";
	case SMTP_REPLY_TOO_MANY_LINES:
		return "reply with too many lines";
	}
	return "unknown error";
}

void smtp_reply_init(struct smtp_reply_parser *p)
{
	*p = (struct smtp_reply_parser){ 0 };
	buf_init(&p->text, SMTP_REPLY_TEXT_MAX);
	buf_init(&p->part, SMTP_REPLY_LINE_MAX + 1);
}

void smtp_reply_free(struct smtp_reply_parser *p)
{
	buf_free(&p->text);
	buf_free(&p->part);
}

void smtp_reply_reset(struct smtp_reply_parser *p)
{
	buf_reset(&p->text);
	buf_reset(&p->part);
	p->reply = (struct smtp_reply){ 0 };
	p->class = 0;
	p->seen = 0;
}

/* --- one line ----------------------------------------------------------------------------------------------------- */

static int code_of(struct span line)
{
	if (line.len < 3 || line.ptr[0] < '2' || line.ptr[0] > '5' || !ascii_isdigit(line.ptr[1]) ||
	    !ascii_isdigit(line.ptr[2]))
		return -1;
	if (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-')
		return -1;
	return (line.ptr[0] - '0') * 100 + (line.ptr[1] - '0') * 10 + (line.ptr[2] - '0');
}

/* Copy without what could speak to a terminal or end a line of a file: controls and bad UTF-8 become `?'. */
static void put_clean(char *to, struct span s)
{
	for (size_t i = 0; i < s.len;) {
		size_t n = utf8_char(s.ptr + i, s.len - i);

		if (n == 0 || (n == 1 && ascii_iscntrl(s.ptr[i]))) {
			to[i++] = '?';
			continue;
		}
		memcpy(to + i, s.ptr + i, n);
		i += n;
	}
}

/* Lines are joined by spaces. There is always room left for one more: the last line, which decides, is always kept. */
static void keep_line(struct smtp_reply_parser *p, struct span line, bool last)
{
	size_t gap = p->text.len > 0;
	char *to;

	if (!last && p->text.len + gap + line.len + 1 + SMTP_REPLY_LINE_MAX > SMTP_REPLY_TEXT_MAX)
		return;
	to = buf_reserve(&p->text, gap + line.len);
	must(to != NULL);
	if (gap)
		to[0] = ' ';
	put_clean(to + gap, line);
	p->start[p->reply.nlines++] = (uint32_t)(p->text.len + gap);
	buf_commit(&p->text, gap + line.len);
}

static void take_dsn(struct smtp_reply *r)
{
	struct span rest = r->last, word;

	if (span_word(&rest, " ", &word) && word.len < sizeof r->dsn && verdict_dsn_valid(word) &&
	    word.ptr[0] - '0' == r->code / 100) {
		memcpy(r->dsn, word.ptr, word.len);
		r->dsn[word.len] = '\0';
		r->has_dsn = true;
		return;
	}
	memcpy(r->dsn, "5.0.0", sizeof "5.0.0");
	r->dsn[0] = (char)('0' + r->code / 100);
}

/* The buffer no longer moves: point into it. */
static void finish(struct smtp_reply_parser *p, int code)
{
	struct smtp_reply *r = &p->reply;

	r->code = code;
	r->text = buf_span(&p->text);
	r->last = smtp_reply_text_line(p, r->nlines - 1);
	take_dsn(r);
}

struct span smtp_reply_text_line(const struct smtp_reply_parser *p, size_t i)
{
	size_t end = i + 1 < p->reply.nlines ? p->start[i + 1] - 1 : p->text.len;

	must(i < p->reply.nlines);
	return span_skip(span_of(p->text.ptr + p->start[i], end - p->start[i]), 4);
}

enum smtp_reply_status smtp_reply_line(struct smtp_reply_parser *p, struct span line)
{
	int code = code_of(line);
	bool last = line.len < 4 || line.ptr[3] == ' ';

	if (line.len > SMTP_REPLY_LINE_MAX)
		return SMTP_REPLY_LINE_TOO_LONG;
	if (code < 0)
		return SMTP_REPLY_GARBAGE;
	if (p->class && p->class != code / 100)
		return SMTP_REPLY_MIXED;
	p->class = code / 100;
	if (++p->seen > SMTP_REPLY_LINES_MAX)
		return SMTP_REPLY_TOO_MANY_LINES;
	keep_line(p, line, last);
	if (!last)
		return SMTP_REPLY_MORE;
	finish(p, code);
	return SMTP_REPLY_DONE;
}

enum smtp_reply_status smtp_reply_feed(struct smtp_reply_parser *p, struct span *in)
{
	enum smtp_reply_status status = SMTP_REPLY_MORE;

	while (in->len && status == SMTP_REPLY_MORE) {
		ptrdiff_t lf = span_chr(*in, '\n');
		struct span piece = span_head(*in, lf < 0 ? in->len : (size_t)lf);
		struct span line;

		*in = span_skip(*in, piece.len + (lf >= 0));
		if (!buf_add_span(&p->part, piece))
			return SMTP_REPLY_LINE_TOO_LONG;
		if (lf < 0)
			break;
		line = buf_span(&p->part);
		line.len -= line.len && line.ptr[line.len - 1] == '\r';
		status = smtp_reply_line(p, line);
		buf_reset(&p->part);
	}
	return status;
}
