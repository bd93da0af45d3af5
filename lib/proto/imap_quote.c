/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/imap_quote.h"

#include "lib/proto/imap_parse.h"
#include "lib/proto/imap_utf7.h"

enum { QUOTED_MAX = 1000, NAME_WIRE_MAX = 8192 };

static bool quotable(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((s.ptr[i] & 0x80) != 0 || s.ptr[i] == '\r' || s.ptr[i] == '\n' || s.ptr[i] == '\0')
			return false;
	return s.len <= QUOTED_MAX;
}

static bool put_literal(struct buf *out, struct span s)
{
	bool ok = buf_addf(out, "{%zu}\r\n", s.len);
	char *to = buf_reserve(out, s.len);

	if (to == NULL)
		return false;
	for (size_t i = 0; i < s.len; i++)
		to[i] = s.ptr[i] == '\0' ? (char)0x80 : s.ptr[i];
	buf_commit(out, s.len);
	return ok;
}

static bool put_quoted(struct buf *out, struct span s)
{
	bool ok = buf_addc(out, '"');

	for (size_t i = 0, from = 0; i <= s.len; i++) {
		if (i < s.len && s.ptr[i] != '"' && s.ptr[i] != '\\')
			continue;
		ok = buf_add_span(out, span_of(s.ptr + from, i - from)) && ok;
		if (i < s.len)
			ok = buf_addc(out, '\\') && ok;
		from = i;
	}
	return buf_addc(out, '"') && ok;
}

bool imap_put_string(struct buf *out, struct span s)
{
	return quotable(s) ? put_quoted(out, s) : put_literal(out, s);
}

bool imap_put_nstring(struct buf *out, struct span s)
{
	return s.ptr == NULL ? buf_adds(out, "NIL") : imap_put_string(out, s);
}

static bool plain(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!imap_is_astring_char(s.ptr[i]))
			return false;
	return s.len > 0 && s.len < 100 && !span_iis(s, "NIL");
}

bool imap_put_astring(struct buf *out, struct span s)
{
	return plain(s) ? buf_add_span(out, s) : imap_put_string(out, s);
}

bool imap_put_utf8(struct buf *out, struct span s)
{
	return plain(s) ? buf_add_span(out, s) : put_quoted(out, s);
}

bool imap_put_mailbox(struct buf *out, struct span utf8_name)
{
	struct buf wire;
	bool ok;

	buf_init(&wire, NAME_WIRE_MAX);
	ok = imap_put_astring(out, imap_utf7_encode(&wire, utf8_name) ? buf_span(&wire) : utf8_name);
	buf_free(&wire);
	return ok;
}

bool imap_put_text(struct buf *out, struct span s)
{
	bool ok = true;

	for (size_t i = 0; i < s.len; i++)
		ok = buf_addc(out, s.ptr[i] < ' ' || s.ptr[i] > 126 ? '?' : s.ptr[i]) && ok;
	return ok;
}
