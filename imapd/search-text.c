/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking for words in what a reader of the message would see: encoded words, transfer encodings and charsets are
 * undone. */
#include <string.h>

#include "imapd/search.h"
#include "lib/base/vector.h"
#include "lib/proto/header.h"
#include "lib/proto/mime_text.h"

enum { RAW_MAX = 64 * 1024 * 1024, PIECE = 1024 * 1024, STEP = 256 * 1024, FIELD_TEXT_MAX = 16 * 1024 };

/* Code points of two octets that have a lower case of two octets. 0: none. */
static unsigned fold2(unsigned c)
{
	if ((c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3ab && c != 0x3a2) ||
	    (c >= 0x410 && c <= 0x42f))
		return c + 32;
	if (c >= 0x400 && c <= 0x40f)
		return c + 80;
	if ((c >= 0x100 && c <= 0x12f) || (c >= 0x132 && c <= 0x137) || (c >= 0x14a && c <= 0x177) ||
	    (c >= 0x460 && c <= 0x481))
		return c | 1;
	if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e))
		return c + (c & 1);
	return c;
}

void search_fold(char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char b = (unsigned char)p[i];
		unsigned c;

		if (b >= 'A' && b <= 'Z')
			p[i] = (char)(b | 0x20);
		if (b < 0xc3 || b > 0xdf || i + 1 == len)
			continue;
		c = fold2((b & 0x1fu) << 6 | ((unsigned char)p[i + 1] & 0x3fu));
		p[i] = (char)(0xc0 | c >> 6);
		p[++i] = (char)(0x80 | (c & 0x3f));
	}
}

/* Linear in the haystack for all but contrived needles: memmem is two-way search. */
static bool found(struct buf *b, struct span needle)
{
	search_fold(b->ptr, b->len);
	return memmem(b->ptr, b->len, needle.ptr, needle.len) != NULL;
}

static bool field_has(struct search_msg *m, struct span body, struct span needle)
{
	if (needle.len == 0)
		return true;
	buf_reset(m->text);
	m->cut |= !mime_words_decode(m->text, body);
	return m->text->len > 0 && found(m->text, needle);
}

bool search_header(struct search_msg *m, const char *field, struct span needle)
{
	struct span rest = m->m.view.raw;
	struct header_field f;

	while (header_next(&rest, &f))
		if (span_iis(f.name, field) && field_has(m, f.body, needle))
			return true;
	return false;
}

bool search_field_text(struct search_msg *m, const char *field, struct span *text_r)
{
	struct span rest = m->m.view.raw;
	struct header_field f;
	struct buf all;
	bool whole = true;

	buf_init(&all, FIELD_TEXT_MAX);
	while (whole && header_next(&rest, &f)) {
		if (!span_iis(f.name, field))
			continue;
		buf_reset(m->text);
		whole = mime_words_decode(m->text, f.body) && span_chr(buf_span(m->text), '\0') < 0;
		if (m->text->len > 0)
			search_fold(m->text->ptr, m->text->len);
		buf_add_span(&all, buf_span(m->text));
		buf_addc(&all, '\0');
	}
	whole = whole && !all.overflow;
	*text_r = arena_span(&m->s->msg, buf_span(&all));
	buf_free(&all);
	return whole;
}

/* Every field of a header, its name included. */
static bool header_has(struct search_msg *m, struct span header, struct span needle)
{
	struct header_field f;

	while (header_next(&header, &f)) {
		buf_reset(m->text);
		buf_add_span(m->text, f.name);
		buf_adds(m->text, ": ");
		m->cut |= !mime_words_decode(m->text, f.body);
		if (found(m->text, needle))
			return true;
	}
	return false;
}

static bool is_text(const struct mime_part *p)
{
	return p->kind == MIME_LEAF && (span_iis(p->type, "text") || span_iis(p->type, "message"));
}

/* Line ends do not matter to a search: CRs go. */
static void drop_crs(struct buf *b)
{
	size_t to = 0;

	for (size_t i = 0; i < b->len; i++)
		if (b->ptr[i] != '\r')
			b->ptr[to++] = b->ptr[i];
	buf_truncate(b, to);
}

/* raw: text of the part's charset, which goes. */
static bool piece_has(struct search_msg *m, const struct mime_part *p, struct buf *raw, size_t len, struct span needle)
{
	struct buf piece = *raw;

	piece.len = len;
	buf_reset(m->text);
	m->cut |= !mime_to_utf8(m->text, mime_param(&p->params, "charset"), buf_span(&piece));
	buf_consume(raw, len);
	drop_crs(m->text);
	return m->text->len > 0 && found(m->text, needle);
}

/* Sets in which an ASCII octet is that character and nothing else. */
static bool holds_ascii(struct span charset)
{
	return charset.len == 0 || span_iis(charset, "us-ascii") || span_iis(charset, "utf-8") || span_iis(charset, "ascii") ||
	       span_iis(span_head(charset, 9), "iso-8859-") || span_iis(span_head(charset, 11), "windows-125");
}

/* text in lower case. False: there is more in it than ASCII with bare LFs, which is all this can do. */
VECTORIZED static bool fold_ascii(struct buf *out, struct span text)
{
	unsigned odd = 0;
	char *to;

	buf_reset(out);
	to = buf_reserve(out, text.len);
	if (to == NULL)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned c = (unsigned char)text.ptr[i];

		to[i] = (char)(c | (c - 'A' < 26u) << 5);
		odd |= (c & 0x80) | (c == '\r') | (c == '\0');
	}
	buf_commit(out, text.len);
	return odd == 0;
}

/* Most parts are like this: what is stored is what a reader sees, and one pass does it. */
static bool is_plain(struct search_msg *m, const struct mime_part *p)
{
	return p->body.len > 0 && p->body.len < PIECE && mime_cte_of(p->encoding) == MIME_CTE_IDENTITY &&
	       holds_ascii(mime_param(&p->params, "charset")) && fold_ascii(m->text, p->body);
}

/*
 * Long parts are looked at in pieces that end with a line: no word is in two of them, and no character (the charsets
 * that are known begin each line anew). A line without end is cut at RAW_MAX.
 */
static bool leaf_has(struct search_msg *m, const struct mime_part *p, struct span needle)
{
	bool whole = span_chr(needle, '\n') >= 0, yes = false;
	struct span rest = p->body;
	struct mime_decoder d;
	struct buf raw;

	if (is_plain(m, p))
		return memmem(m->text->ptr, m->text->len, needle.ptr, needle.len) != NULL;
	buf_init(&raw, RAW_MAX);
	mime_decoder_init(&d, mime_cte_of(p->encoding));
	while (rest.len > 0 && !yes) {
		size_t before = raw.len;
		const char *lf;

		m->cut |= !mime_decode(&d, span_head(rest, STEP), &raw);
		rest = span_skip(rest, STEP);
		if (whole || raw.len < PIECE || raw.len == before)
			continue;
		lf = memrchr(raw.ptr + before, '\n', raw.len - before);
		if (lf != NULL)
			yes = piece_has(m, p, &raw, (size_t)(lf - raw.ptr) + 1, needle);
	}
	m->cut |= !mime_decode_end(&d, &raw);
	yes = yes || piece_has(m, p, &raw, raw.len, needle);
	buf_free(&raw);
	return yes;
}

/* The next part in the order of the message, without recursion. */
static const struct mime_part *after(const struct mime_part *p)
{
	if (p->child != NULL)
		return p->child;
	while (p != NULL && p->next == NULL)
		p = p->parent;
	return p != NULL ? p->next : NULL;
}

bool search_body(struct search_msg *m, struct span needle)
{
	const struct mime_part *root = fetch_mime(m->s, &m->m);

	if (needle.len == 0)
		return true;
	for (const struct mime_part *p = root; p != NULL; p = after(p))
		if ((p != root && header_has(m, p->header, needle)) || (is_text(p) && leaf_has(m, p, needle)))
			return true;
	return false;
}

bool search_text(struct search_msg *m, struct span needle)
{
	struct span raw = m->m.view.raw;

	if (needle.len == 0)
		return true;
	return header_has(m, span_head(raw, header_size(raw)), needle) || search_body(m, needle);
}
