/* SPDX-License-Identifier: BSD-2-Clause */
/* Gathering one IMAP command from lines and literals. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/proto/imap_parse.h"

const struct imap_limits imap_limits_login = {
	.line_max = 8 * 1024,
	.literal_max = 4 * 1024,
	.total_max = 20 * 1024,
	.literals_max = 16,
	.skip_max = 64 * 1024,
};
const struct imap_limits imap_limits_user = {
	.line_max = 64 * 1024,
	.literal_max = 256 * 1024,
	.total_max = 1024 * 1024,
	.literals_max = 1000,
	.skip_max = 1ULL << 40,
};

const char *imap_read_status_str(enum imap_read_status status)
{
	switch (status) {
	case IMAP_READ_MORE:
		return "Incomplete";
	case IMAP_READ_LITERAL:
		return "Literal";
	case IMAP_READ_DONE:
		return "OK";
	case IMAP_READ_TOO_LONG:
		return "Too long command line";
	case IMAP_READ_TOO_BIG:
		return "Literal size too large";
	case IMAP_READ_BAD:
		return "Invalid literal or a NUL character";
	case IMAP_READ_FATAL:
		return "Literal size too large";
	}
	return "?";
}

void imap_reader_init(struct imap_reader *r, const struct imap_limits *limits)
{
	memset(r, 0, sizeof(*r));
	r->limits = *limits;
	buf_init(&r->text, limits->total_max);
}

void imap_reader_free(struct imap_reader *r)
{
	buf_wipe(&r->text);
}

void imap_reader_reset(struct imap_reader *r)
{
	enum { KEEP = 64 * 1024 };
	struct buf text = r->text;
	struct imap_limits limits = r->limits;

	if (text.len > 0)
		mem_wipe(text.ptr, text.len);
	if (text.cap > KEEP) {
		buf_free(&text);
		buf_init(&text, limits.total_max);
	}
	buf_reset(&text);
	memset(r, 0, sizeof(*r));
	r->limits = limits;
	r->text = text;
}

struct span imap_reader_text(const struct imap_reader *r)
{
	return buf_span(&r->text);
}

bool imap_reader_idle(const struct imap_reader *r)
{
	return r->text.len == 0 && r->failed == IMAP_READ_MORE && r->left == 0;
}

struct span imap_reader_tag(const struct imap_reader *r)
{
	struct span rest = buf_span(&r->text), tag = span_cut(&rest, ' ');

	if (r->failed != IMAP_READ_MORE)
		return span_cstr(r->tag);
	return tag.len < r->text.len && imap_tag_valid(tag) ? tag : SPAN("*");
}

/* From here on the command is only read to find its end; what is needed of it is the tag. */
static void fail(struct imap_reader *r, enum imap_read_status why)
{
	struct span tag;
	size_t n;

	if (r->failed != IMAP_READ_MORE)
		return;
	tag = imap_reader_tag(r);
	memcpy(r->tag, tag.ptr, tag.len);
	r->failed = why;
	n = r->line_start < r->text.len ? r->text.len - r->line_start : 0;
	n = n < IMAP_TAIL_MAX ? n : IMAP_TAIL_MAX;
	if (n > 0)
		memcpy(r->tail, r->text.ptr + r->text.len - n, n);
	r->ntail = n;
	if (r->text.len > 0)
		mem_wipe(r->text.ptr, r->text.len);
	buf_reset(&r->text);
}

static void keep_tail(struct imap_reader *r, struct span part)
{
	size_t keep;

	if (part.len >= IMAP_TAIL_MAX) {
		memcpy(r->tail, part.ptr + part.len - IMAP_TAIL_MAX, IMAP_TAIL_MAX);
		r->ntail = IMAP_TAIL_MAX;
		return;
	}
	keep = IMAP_TAIL_MAX - part.len;
	keep = keep < r->ntail ? keep : r->ntail;
	memmove(r->tail, r->tail + r->ntail - keep, keep);
	memcpy(r->tail + keep, part.ptr, part.len);
	r->ntail = keep + part.len;
}

/* The first octets of a line that is not kept, so that the tag is known. */
static void keep_head(struct imap_reader *r, struct span part)
{
	ptrdiff_t nul;

	if (r->failed != IMAP_READ_MORE || r->text.len > 0)
		return;
	part = span_head(part, IMAP_TAG_MAX + 2);
	nul = span_chr(part, '\0');
	(void)buf_add_span(&r->text, nul < 0 ? part : span_head(part, (size_t)nul));
}

static void drop_line(struct imap_reader *r, struct span part, enum imap_read_status why)
{
	keep_head(r, part);
	fail(r, why);
	keep_tail(r, part);
}

static void line_part(struct imap_reader *r, struct span part)
{
	if (part.len == 0)
		return;
	r->line_bytes += part.len;
	/* One octet more than allowed: it may be the CR of the line end. */
	if (r->failed != IMAP_READ_MORE)
		keep_tail(r, part);
	else if (r->line_bytes > r->limits.line_max + 1)
		drop_line(r, part, IMAP_READ_TOO_LONG);
	else if (memchr(part.ptr, '\0', part.len) != NULL)
		drop_line(r, part, IMAP_READ_BAD);
	else if (!buf_add_span(&r->text, part))
		drop_line(r, part, IMAP_READ_TOO_LONG);
}

/* Does the line end in {n} or {n+}? Sets *start_r to the offset of its brace. */
static bool ends_in_literal(struct span line, size_t *start_r, struct span *digits_r, bool *plus_r)
{
	size_t i = line.len, end;

	if (i == 0 || line.ptr[--i] != '}')
		return false;
	*plus_r = i > 0 && line.ptr[i - 1] == '+';
	if (*plus_r)
		i--;
	end = i;
	while (i > 0 && ascii_isdigit(line.ptr[i - 1]))
		i--;
	if (i == end || i == 0 || line.ptr[i - 1] != '{')
		return false;
	*digits_r = span_of(line.ptr + i, end - i);
	*start_r = i - 1;
	return true;
}

static enum imap_read_status literal_announced(struct imap_reader *r, size_t start, struct span digits, bool plus)
{
	uint64_t size;

	if (!span_u64(digits, INT64_MAX, &size)) {
		fail(r, IMAP_READ_TOO_BIG);
		return plus ? IMAP_READ_FATAL : r->failed;
	}
	r->plus = plus;
	r->literal = size;
	if (r->failed != IMAP_READ_MORE) { /* being dropped: no continuation will be sent */
		if (!plus)
			return r->failed;
		r->left = size;
		r->line_bytes = 0;
		r->ntail = 0;
		return size > r->limits.skip_max ? IMAP_READ_FATAL : IMAP_READ_MORE;
	}
	buf_truncate(&r->text, r->line_start + start);
	r->asked = true;
	return IMAP_READ_LITERAL;
}

/* A line is complete. MORE: the command goes on. */
static enum imap_read_status line_end(struct imap_reader *r)
{
	struct span line =
	    r->failed != IMAP_READ_MORE ? span_of(r->tail, r->ntail) : span_skip(buf_span(&r->text), r->line_start);
	struct span digits;
	size_t start;
	bool plus;

	if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
		line.len--;
		r->line_bytes--;
		if (r->failed == IMAP_READ_MORE)
			buf_truncate(&r->text, r->text.len - 1);
	}
	if (r->line_bytes > r->limits.line_max)
		fail(r, IMAP_READ_TOO_LONG);
	if (r->failed != IMAP_READ_MORE) {
		line = span_of(r->tail, r->ntail);
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
	}
	if (ends_in_literal(line, &start, &digits, &plus))
		return literal_announced(r, start, digits, plus);
	return r->failed != IMAP_READ_MORE ? r->failed : IMAP_READ_DONE;
}

static void start_literal(struct imap_reader *r, uint64_t size)
{
	r->asked = false;
	r->literals++;
	r->left = size;
	if (!buf_addf(&r->text, "{%llu}\r\n", (unsigned long long)size))
		fail(r, IMAP_READ_TOO_LONG);
	r->line_start = r->text.len + (size_t)size;
	r->line_bytes = 0;
}

bool imap_reader_take(struct imap_reader *r)
{
	if (r->literal > r->limits.literal_max || r->literals >= r->limits.literals_max ||
	    r->literal + 64 > r->limits.total_max - r->text.len) {
		imap_reader_refuse(r, IMAP_READ_TOO_BIG);
		return false;
	}
	start_literal(r, r->literal);
	return !r->plus;
}

void imap_reader_own(struct imap_reader *r)
{
	start_literal(r, 0);
}

void imap_reader_refuse(struct imap_reader *r, enum imap_read_status why)
{
	r->asked = false;
	fail(r, why);
	r->line_bytes = 0;
	r->ntail = 0;
	r->left = r->plus ? r->literal : 0;
	if (!r->plus)
		r->asked = true; /* the next feed reports the error before it takes anything */
}

static void literal_part(struct imap_reader *r, struct span *in)
{
	struct span part = span_head(*in, r->left < in->len ? (size_t)r->left : in->len);

	*in = span_skip(*in, part.len);
	r->left -= part.len;
	if (r->failed != IMAP_READ_MORE)
		return;
	if (memchr(part.ptr, '\0', part.len) != NULL)
		fail(r, IMAP_READ_BAD);
	else if (!buf_add_span(&r->text, part))
		fail(r, IMAP_READ_TOO_LONG);
	r->line_start = r->text.len;
	if (r->failed != IMAP_READ_MORE)
		r->ntail = 0; /* what was kept is not of a line */
}

enum imap_read_status imap_reader_feed(struct imap_reader *r, struct span *in)
{
	if (r->asked) /* refused, or the caller did not decide */
		return r->failed != IMAP_READ_MORE ? r->failed : IMAP_READ_LITERAL;
	if (r->left > r->limits.skip_max && r->failed != IMAP_READ_MORE)
		return IMAP_READ_FATAL;
	while (in->len > 0) {
		enum imap_read_status st;
		ptrdiff_t lf;

		if (r->left > 0) {
			literal_part(r, in);
			continue;
		}
		lf = span_chr(*in, '\n');
		line_part(r, lf < 0 ? *in : span_head(*in, (size_t)lf));
		*in = lf < 0 ? span_skip(*in, in->len) : span_skip(*in, (size_t)lf + 1);
		if (lf < 0)
			break;
		st = line_end(r);
		if (st != IMAP_READ_MORE)
			return st;
	}
	return IMAP_READ_MORE;
}
