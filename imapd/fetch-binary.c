/* SPDX-License-Identifier: BSD-2-Clause */
/* FETCH BINARY, RFC 3516: a part as it was before its transfer encoding. Decoded twice, so that no part is held in memory. */
#include <string.h>

#include "imapd/fetch.h"
#include "lib/proto/mime_text.h"

enum { STEP_MAX = 64 * 1024 };

struct binary {
	struct span body;
	enum mime_cte cte;
	struct mime_decoder d;
	struct buf out;
	struct stream *io;    /* NULL: only count */
	uint64_t skip, count; /* octets of the result that go to io */
	uint64_t size;
	bool nul;
};

static void flush(struct binary *b)
{
	struct span s = buf_span(&b->out), part;

	b->size += s.len;
	b->nul = b->nul || (s.len > 0 && memchr(s.ptr, '\0', s.len) != NULL);
	if (b->io != NULL) {
		part = span_skip(s, b->skip < s.len ? (size_t)b->skip : s.len);
		b->skip -= s.len - part.len;
		part = span_head(part, b->count < part.len ? (size_t)b->count : part.len);
		b->count -= part.len;
		stream_write(b->io, part);
	}
	buf_reset(&b->out);
}

/* The decoder never makes more of its input than twice its length. */
static void feed(struct binary *b, struct span in)
{
	while (in.len > 0) {
		struct span step = span_head(in, STEP_MAX);

		if (b->out.len + step.len > STEP_MAX)
			flush(b);
		if (!mime_decode(&b->d, step, &b->out))
			flush(b);
		in = span_skip(in, step.len);
	}
}

/* What was sent had CRLF at the end of each line, whatever the store has. */
static void run(struct binary *b)
{
	struct span rest = b->body;

	buf_init(&b->out, 4 * STEP_MAX);
	mime_decoder_init(&b->d, b->cte);
	b->size = 0;
	while (rest.len > 0) {
		const char *lf = memchr(rest.ptr, '\n', rest.len);
		struct span line = span_head(rest, lf != NULL ? (size_t)(lf - rest.ptr) : rest.len);

		rest = span_skip(rest, line.len + (lf != NULL));
		if (lf != NULL && line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		feed(b, line);
		if (lf != NULL)
			feed(b, SPAN("\r\n"));
	}
	if (!mime_decode_end(&b->d, &b->out))
		flush(b);
	flush(b);
	buf_free(&b->out);
}

/* False: there is no such part. */
static bool find(struct session *s, struct fetch_msg *m, const struct fetch_section *sec, struct binary *b)
{
	struct mime_part *p;

	*b = (struct binary){ .body = m->view.raw };
	if (sec->nparts == 0)
		return true;
	p = mime_find(fetch_mime(s, m), sec->part, sec->nparts);
	if (p == NULL)
		return false;
	b->body = p->body;
	if (p->kind == MIME_LEAF)
		b->cte = mime_cte_of(p->encoding);
	s->unknown_cte |= b->cte == MIME_CTE_UNKNOWN;
	return b->cte != MIME_CTE_UNKNOWN;
}

void fetch_send_binary(struct session *s, struct fetch_msg *m, const struct fetch_section *sec)
{
	struct binary b;

	buf_add_span(&s->out, sec->label);
	if (!find(s, m, sec, &b)) {
		buf_adds(&s->out, " NIL");
		return;
	}
	run(&b);
	if (sec->partial) {
		buf_addf(&s->out, "<%u>", sec->offset);
		b.skip = sec->offset < b.size ? sec->offset : b.size;
	}
	b.count = b.size - b.skip;
	if (sec->partial && sec->count < b.count)
		b.count = sec->count;
	buf_addf(&s->out, " %s{%llu}\r\n", b.nul ? "~" : "", (unsigned long long)b.count);
	reply_flush(s);
	s->stats.body_count++;
	s->stats.body_bytes += b.count;
	b.io = s->io;
	run(&b);
}

void fetch_put_binary_size(struct session *s, struct fetch_msg *m, const struct fetch_section *sec)
{
	struct binary b;

	if (find(s, m, sec, &b))
		run(&b);
	buf_add_span(&s->out, sec->label);
	buf_addf(&s->out, " %llu", (unsigned long long)b.size);
}
