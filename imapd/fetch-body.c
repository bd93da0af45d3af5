/* SPDX-License-Identifier: BSD-2-Clause */
/* Octets of messages on their way to the client: every line end is CRLF, whatever it is in the store. */
#include <string.h>

#include "imapd/fetch.h"
#include "lib/base/crlf.h"
#include "lib/proto/header.h"

struct mime_part *fetch_mime(struct session *s, struct fetch_msg *m)
{
	if (m->mime == NULL)
		m->mime = mime_parse(&s->msg, m->view.raw);
	return m->mime;
}

/*
 * Write the wire form of text without its first `skip' octets, at most `count' of them. Bytes move in runs between line
 * ends; a CR is put before each LF that lacks one.
 */
static void send_crlf(struct stream *io, struct span text, uint64_t skip, uint64_t count)
{
	while (text.len > 0 && count > 0) {
		const char *lf = memchr(text.ptr, '\n', text.len);
		struct span run = span_head(text, lf != NULL ? (size_t)(lf - text.ptr) : text.len);
		bool cr = run.len > 0 && run.ptr[run.len - 1] == '\r';
		struct span eol = lf == NULL ? SPAN_NONE : cr ? SPAN("\n") : SPAN("\r\n"), part;

		text = span_skip(text, run.len + (lf != NULL));
		for (int i = 0; i < 2 && count > 0; i++) {
			part = i == 0 ? run : eol;
			if (skip >= part.len) {
				skip -= part.len;
				continue;
			}
			part = span_skip(part, (size_t)skip);
			skip = 0;
			part = span_head(part, count < part.len ? (size_t)count : part.len);
			stream_write(io, part);
			count -= part.len;
		}
	}
}

/* text as a literal of its wire form. crlf: it is in wire form already. */
static void send_text(struct session *s, const struct fetch_section *sec, struct span text, uint64_t size, bool crlf)
{
	uint64_t from = 0, n = size;

	if (sec->partial) {
		from = sec->offset < size ? sec->offset : size;
		n = size - from < sec->count ? size - from : sec->count;
		buf_addf(&s->out, "<%u>", sec->offset);
	}
	buf_addf(&s->out, " {%llu}\r\n", (unsigned long long)n);
	reply_flush(s);
	if (crlf)
		stream_write(s->io, span_head(span_skip(text, (size_t)from), (size_t)n));
	else
		send_crlf(s->io, text, from, n);
	if (sec->what == SECTION_ALL || sec->what == SECTION_TEXT) {
		s->stats.body_count++;
		s->stats.body_bytes += n;
	} else {
		s->stats.hdr_count++;
		s->stats.hdr_bytes += n;
	}
}

static bool named(const struct fetch_section *sec, struct span name)
{
	for (size_t i = 0; i < sec->nfields; i++)
		if (span_ieq(sec->fields[i], name))
			return true;
	return false;
}

/* Append text with CRLF line ends. */
static void add_crlf(struct buf *to, struct span text)
{
	while (text.len > 0) {
		struct span line = span_cut(&text, '\n');

		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		buf_add_span(to, line);
		buf_adds(to, "\r\n");
	}
}

static void send_fields(struct session *s, const struct fetch_section *sec, struct span header)
{
	struct header_field f;
	struct span rest = header;
	struct buf b;

	buf_init(&b, header.len * 2 + 4);
	while (header_next(&rest, &f))
		if (f.name.len > 0 && named(sec, f.name) == (sec->what == SECTION_FIELDS))
			add_crlf(&b, f.raw);
	buf_adds(&b, "\r\n");
	send_text(s, sec, buf_span(&b), b.len, true);
	buf_free(&b);
}

static void send_nil(struct session *s)
{
	buf_adds(&s->out, " NIL");
	reply_flush(s);
}

static void send_header(struct session *s, const struct fetch_section *sec, struct span header, uint64_t size,
			bool crlf)
{
	if (sec->what == SECTION_HEADER || sec->what == SECTION_MIME)
		send_text(s, sec, header, size, crlf);
	else
		send_fields(s, sec, header);
}

static uint64_t wire_size(struct span text, bool crlf)
{
	return text.len + (crlf ? 0 : crlf_missing(text, 0));
}

/* The message itself, for which no structure is needed. */
static void send_of_message(struct session *s, struct fetch_msg *m, const struct fetch_section *sec)
{
	struct span raw = m->view.raw, head = span_head(raw, sec->what == SECTION_ALL ? raw.len : header_size(raw));
	struct span body = span_skip(raw, head.len);
	bool crlf = m->view.crlf;

	if (sec->what == SECTION_ALL)
		send_text(s, sec, raw, wire_size(raw, crlf), crlf);
	else if (sec->what == SECTION_TEXT)
		send_text(s, sec, body, wire_size(body, crlf), crlf);
	else
		send_header(s, sec, head, wire_size(head, crlf), crlf);
}

static void send_of_part(struct session *s, struct fetch_msg *m, const struct fetch_section *sec)
{
	struct mime_part *p = mime_find(fetch_mime(s, m), sec->part, sec->nparts);

	if (p != NULL && sec->what != SECTION_ALL && sec->what != SECTION_MIME)
		p = p->kind == MIME_MESSAGE ? p->child : NULL;
	if (p == NULL)
		send_nil(s);
	else if (sec->what == SECTION_ALL || sec->what == SECTION_TEXT)
		send_text(s, sec, p->body, p->body_size.crlf, m->view.crlf);
	else
		send_header(s, sec, p->header, p->header_size.crlf, m->view.crlf);
}

void fetch_send_section(struct session *s, struct fetch_msg *m, const struct fetch_section *sec)
{
	buf_add_span(&s->out, sec->label);
	if (sec->nparts == 0)
		send_of_message(s, m, sec);
	else
		send_of_part(s, m, sec);
}
