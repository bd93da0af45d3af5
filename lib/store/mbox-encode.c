/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "lib/store/mbox-format.h"

void mbox_encoder_init(struct mbox_encoder *e, bool mbox)
{
	*e = (struct mbox_encoder){ .mbox = mbox, .in_header = true, .bol = true };
}

static void put(struct mbox_encoder *e, struct buf *out, const char *p, size_t n)
{
	if (n == 0 || e->dropping)
		return;
	buf_add(out, p, n);
	e->any = true;
	e->last_lf = p[n - 1] == '\n';
}

static void line_start(struct mbox_encoder *e)
{
	e->bol = true;
	e->quoted = false;
	e->nhold = 0;
}

static void let_go(struct mbox_encoder *e, struct buf *out)
{
	put(e, out, e->hold, e->nhold);
	e->nhold = 0;
	e->bol = false;
}

enum match { MATCH_NO, MATCH_MORE, MATCH_ALL };

static enum match match_from(const struct mbox_encoder *e)
{
	if (memcmp(e->hold, "From ", e->nhold < 5 ? e->nhold : 5) != 0)
		return MATCH_NO;
	return e->nhold >= 5 ? MATCH_ALL : MATCH_MORE;
}

/* Can what is held still become the name of one of the mailbox's own fields? */
static enum match match_field(const struct mbox_encoder *e)
{
	static const char *const names[] = { "x-posthouse:", "x-uid:",      "status:", "x-status:",
					     "x-keywords:",  "x-imapbase:", "x-imap:" };
	struct span held = span_of(e->hold, e->nhold);

	if (!e->in_header || e->quoted)
		return MATCH_NO;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct span name = span_cstr(names[i]);

		if (held.len <= name.len && span_ieq(held, span_head(name, held.len)))
			return held.len == name.len ? MATCH_ALL : MATCH_MORE;
	}
	return MATCH_NO;
}

/* One byte (not LF) near the start of a line, where it is not decided yet what the line is. */
static void start_byte(struct mbox_encoder *e, char c, struct buf *out)
{
	enum match from, field;

	if (e->dropping && e->nhold == 0) {
		if (c == ' ' || c == '\t') { /* the field goes on */
			e->bol = false;
			return;
		}
		e->dropping = false;
	}
	if (c == '>' && e->nhold == 0) {
		put(e, out, ">", 1);
		e->quoted = true;
		return;
	}
	e->hold[e->nhold++] = c;
	from = match_from(e);
	field = match_field(e);
	if (from == MATCH_ALL)
		put(e, out, ">", 1);
	if (field == MATCH_ALL) {
		e->nhold = 0;
		e->bol = false;
		e->dropping = true;
	} else if (from == MATCH_ALL || (from == MATCH_NO && field == MATCH_NO)) {
		let_go(e, out);
	}
}

static void line_end(struct mbox_encoder *e, struct buf *out)
{
	bool empty = e->bol && e->nhold == 0 && !e->quoted;

	if (empty) {
		e->in_header = false;
		e->dropping = false;
	}
	let_go(e, out);
	put(e, out, "\n", 1);
	line_start(e);
}

static void byte(struct mbox_encoder *e, char c, struct buf *out)
{
	if (c == '\n') {
		e->cr = false;
		line_end(e, out);
		return;
	}
	if (e->cr) { /* a CR on its own stays */
		e->cr = false;
		if (e->bol && e->mbox)
			start_byte(e, '\r', out);
		else
			put(e, out, "\r", 1);
	}
	if (c == '\r')
		e->cr = true;
	else if (e->bol && e->mbox)
		start_byte(e, c, out);
	else
		put(e, out, &c, 1);
}

bool mbox_encode(struct mbox_encoder *e, struct span chunk, struct buf *out)
{
	const char *p = chunk.ptr, *end = p + chunk.len;

	while (p < end) {
		const char *lf;

		if (e->cr || (e->bol && e->mbox)) {
			byte(e, *p++, out);
			continue;
		}
		/* inside a line: everything up to its end at once */
		lf = memchr(p, '\n', (size_t)(end - p));
		if (lf == NULL)
			lf = end;
		if (lf > p && lf[-1] == '\r') {
			put(e, out, p, (size_t)(lf - p) - 1);
			e->cr = true;
		} else {
			put(e, out, p, (size_t)(lf - p));
		}
		p = lf;
		if (p < end)
			byte(e, *p++, out);
	}
	return !out->overflow;
}

bool mbox_encode_end(struct mbox_encoder *e, struct buf *out)
{
	if (e->cr) {
		let_go(e, out);
		put(e, out, "\r", 1);
		e->cr = false;
	}
	let_go(e, out);
	e->dropping = false;
	if (e->any && !e->last_lf)
		put(e, out, "\n", 1);
	if (e->mbox)
		put(e, out, "\n", 1);
	return !out->overflow;
}
