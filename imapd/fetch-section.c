/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of message parts, RFC 3501 section: "BODY[1.2.HEADER.FIELDS (From To)]<0.100>". */
#include "imapd/fetch.h"
#include "lib/proto/imap_quote.h"

enum { FIELDS_MAX = 1000, LABEL_MAX = 128 * 1024 };

/* "1.2." or "1.2"; what follows is left. */
static bool scan_part(struct imap_scan *a, struct fetch_section *sec)
{
	while (a->in.len > 0 && ascii_isdigit(a->in.ptr[0])) {
		uint32_t n = 0;

		if (!imap_scan_number(a, &n) || n == 0 || sec->nparts == SECTION_DEPTH_MAX)
			return imap_scan_fail(a, "Invalid BODY[..] parameter");
		sec->part[sec->nparts++] = n;
		if (!imap_scan_skip(a, '.'))
			return imap_scan_peek(a, ']') || imap_scan_fail(a, "Invalid BODY[..] parameter");
		if (imap_scan_peek(a, ']'))
			return imap_scan_fail(a, "Invalid BODY[..] parameter");
	}
	return true;
}

static bool scan_fields(struct session *s, struct imap_scan *a, struct fetch_section *sec)
{
	sec->fields = arena_array(&s->arena, FIELDS_MAX, sizeof(*sec->fields));
	if (!imap_scan_sp(a) || !imap_scan_open(a))
		return false;
	do {
		if (sec->nfields == FIELDS_MAX)
			return imap_scan_fail(a, "Too many header fields");
		if (!imap_scan_astring(a, &sec->fields[sec->nfields++]))
			return false;
	} while (imap_scan_peek(a, ' ') && imap_scan_sp(a));
	return imap_scan_close(a);
}

static bool scan_what(struct session *s, struct imap_scan *a, struct fetch_section *sec)
{
	struct span word;

	if (imap_scan_peek(a, ']'))
		return true;
	if (!imap_scan_atom(a, &word))
		return false;
	if (span_iis(word, "HEADER"))
		sec->what = SECTION_HEADER;
	else if (span_iis(word, "TEXT"))
		sec->what = SECTION_TEXT;
	else if (span_iis(word, "MIME") && sec->nparts > 0)
		sec->what = SECTION_MIME;
	else if (span_iis(word, "HEADER.FIELDS"))
		sec->what = SECTION_FIELDS;
	else if (span_iis(word, "HEADER.FIELDS.NOT"))
		sec->what = SECTION_FIELDS_NOT;
	else
		return imap_scan_fail(a, "Invalid BODY[..] parameter");
	if (sec->what == SECTION_FIELDS || sec->what == SECTION_FIELDS_NOT)
		return scan_fields(s, a, sec);
	return true;
}

static bool scan_partial(struct imap_scan *a, struct fetch_section *sec)
{
	if (!imap_scan_skip(a, '<'))
		return true;
	sec->partial = true;
	if (!imap_scan_number(a, &sec->offset) || !imap_scan_char(a, '.') || !imap_scan_number(a, &sec->count))
		return false;
	return imap_scan_char(a, '>') && (sec->count > 0 || imap_scan_fail(a, "Invalid partial length"));
}

static void make_label(struct session *s, const char *item, struct fetch_section *sec)
{
	static const char *const what[] = { "", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME" };
	struct buf b;

	buf_init(&b, LABEL_MAX);
	buf_addf(&b, "%s[", item);
	for (size_t i = 0; i < sec->nparts; i++)
		buf_addf(&b, "%s%u", i > 0 ? "." : "", sec->part[i]);
	buf_adds(&b, sec->nparts > 0 && sec->what != SECTION_ALL ? "." : "");
	buf_adds(&b, what[sec->what]);
	for (size_t i = 0; i < sec->nfields; i++) {
		buf_adds(&b, i == 0 ? " (" : " ");
		imap_put_astring(&b, sec->fields[i]);
	}
	buf_adds(&b, sec->nfields > 0 ? ")]" : "]");
	sec->label = arena_span(&s->arena, buf_span(&b));
	buf_free(&b);
}

bool fetch_section_scan(struct session *s, struct imap_scan *a, bool peek, struct fetch_section **sec_r)
{
	struct fetch_section *sec = arena_alloc(&s->arena, sizeof(*sec));

	sec->peek = peek;
	if (!imap_scan_char(a, '[') || !scan_part(a, sec) || !scan_what(s, a, sec) || !imap_scan_char(a, ']') ||
	    !scan_partial(a, sec))
		return false;
	make_label(s, "BODY", sec);
	*sec_r = sec;
	return true;
}

bool fetch_binary_scan(struct session *s, struct imap_scan *a, struct span name, struct fetch_section **sec_r)
{
	struct fetch_section *sec = arena_alloc(&s->arena, sizeof(*sec));
	bool size = span_iis(name, "BINARY.SIZE");

	sec->peek = size || span_iis(name, "BINARY.PEEK");
	if (!imap_scan_char(a, '[') || !scan_part(a, sec) || !imap_scan_char(a, ']') || (!size && !scan_partial(a, sec)))
		return false;
	make_label(s, size ? "BINARY.SIZE" : "BINARY", sec);
	*sec_r = sec;
	return true;
}

struct fetch_section *fetch_section_rfc822(struct session *s, struct span name)
{
	static const struct {
		const char *name;
		enum section_what what;
		bool peek;
	} forms[] = {
		{ "RFC822", SECTION_ALL, false },           { "RFC822.HEADER", SECTION_HEADER, true },
		{ "RFC822.TEXT", SECTION_TEXT, false },     { "RFC822.PEEK", SECTION_ALL, true },
		{ "RFC822.TEXT.PEEK", SECTION_TEXT, true },
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct fetch_section *sec;

		if (!span_iis(name, forms[i].name))
			continue;
		sec = arena_alloc(&s->arena, sizeof(*sec));
		sec->what = forms[i].what;
		sec->peek = forms[i].peek;
		sec->label = span_cstr(forms[i].name);
		return sec;
	}
	return NULL;
}
