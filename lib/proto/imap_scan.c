/* SPDX-License-Identifier: BSD-2-Clause */
/* Taking a gathered IMAP command apart. */
#include <string.h>

#include "lib/proto/imap_parse.h"

bool imap_is_atom_char(char c)
{
	return c > ' ' && c < 127 && strchr("(){%*\"\\]", c) == NULL;
}

bool imap_is_astring_char(char c)
{
	return imap_is_atom_char(c) || c == ']';
}

bool imap_atom_valid(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!imap_is_atom_char(s.ptr[i]))
			return false;
	return s.len > 0;
}

bool imap_tag_valid(struct span tag)
{
	if (tag.len == 0 || tag.len > IMAP_TAG_MAX)
		return false;
	for (size_t i = 0; i < tag.len; i++)
		if (!imap_is_astring_char(tag.ptr[i]) || tag.ptr[i] == '+')
			return false;
	return true;
}

bool imap_command_split(struct span text, struct imap_command *cmd_r)
{
	struct span rest = text, tag = span_cut(&rest, ' ');

	*cmd_r = (struct imap_command){ .tag = SPAN("*") };
	if (!imap_tag_valid(tag))
		return false;
	cmd_r->tag = tag;
	while (rest.len > 0 && rest.ptr[0] == ' ')
		rest = span_skip(rest, 1);
	cmd_r->verb = span_cut(&rest, ' ');
	cmd_r->args = rest;
	return imap_atom_valid(cmd_r->verb);
}

struct imap_scan imap_scan_init(struct arena *a, struct span args)
{
	return (struct imap_scan){ .in = args, .a = a, .depth_max = IMAP_DEPTH_MAX };
}

bool imap_scan_fail(struct imap_scan *s, const char *error)
{
	if (s->error == NULL)
		s->error = error;
	return false;
}

bool imap_scan_end(struct imap_scan *s)
{
	struct span rest = span_trim(s->in);

	return rest.len == 0 || imap_scan_fail(s, "Unexpected extra arguments");
}

bool imap_scan_sp(struct imap_scan *s)
{
	if (s->in.len == 0)
		return imap_scan_fail(s, "Missing arguments");
	if (s->in.ptr[0] != ' ')
		return imap_scan_fail(s, "Missing space between arguments");
	while (s->in.len > 0 && s->in.ptr[0] == ' ')
		s->in = span_skip(s->in, 1);
	return true;
}

bool imap_scan_peek(const struct imap_scan *s, char c)
{
	return s->in.len > 0 && s->in.ptr[0] == c;
}

bool imap_scan_skip(struct imap_scan *s, char c)
{
	if (!imap_scan_peek(s, c))
		return false;
	s->in = span_skip(s->in, 1);
	return true;
}

bool imap_scan_char(struct imap_scan *s, char c)
{
	if (imap_scan_skip(s, c))
		return true;
	return imap_scan_fail(s, s->in.len == 0 ? "Missing arguments" : "Invalid arguments");
}

bool imap_scan_open(struct imap_scan *s)
{
	if (s->depth >= s->depth_max)
		return imap_scan_fail(s, "Too many nested parentheses");
	if (!imap_scan_char(s, '('))
		return false;
	s->depth++;
	return true;
}

bool imap_scan_close(struct imap_scan *s)
{
	if (!imap_scan_skip(s, ')'))
		return imap_scan_fail(s, s->in.len == 0 ? "Missing ')'" : "Invalid list");
	s->depth--;
	return true;
}

static bool take_while(struct imap_scan *s, bool (*is)(char c), struct span *out)
{
	size_t n = 0;

	while (n < s->in.len && is(s->in.ptr[n]))
		n++;
	*out = span_head(s->in, n);
	if (n == 0)
		return imap_scan_fail(s, s->in.len == 0 ? "Missing arguments" : "Invalid characters in atom");
	s->in = span_skip(s->in, n);
	return true;
}

bool imap_scan_atom(struct imap_scan *s, struct span *out)
{
	return take_while(s, imap_is_atom_char, out);
}

bool imap_scan_flag(struct imap_scan *s, struct span *out)
{
	struct imap_scan try = *s;
	struct span atom;

	if (!imap_scan_skip(&try, '\\'))
		return imap_scan_atom(s, out);
	if (!imap_scan_atom(&try, &atom))
		return imap_scan_fail(s, "Invalid flag");
	*out = span_of(atom.ptr - 1, atom.len + 1);
	s->in = try.in;
	return true;
}

/* The number at the front of in; false when there is none or it passes max. */
static bool number(struct imap_scan *s, uint64_t max, uint64_t *out)
{
	size_t n = 0;

	while (n < s->in.len && ascii_isdigit(s->in.ptr[n]))
		n++;
	if (n == 0)
		return imap_scan_fail(s, s->in.len == 0 ? "Missing arguments" : "Not a number");
	if (!span_u64(span_head(s->in, n), max, out))
		return imap_scan_fail(s, "Number too large");
	s->in = span_skip(s->in, n);
	return true;
}

bool imap_scan_number64(struct imap_scan *s, uint64_t *out)
{
	return number(s, INT64_MAX, out);
}

bool imap_scan_number(struct imap_scan *s, uint32_t *out)
{
	uint64_t v = 0;

	if (!number(s, UINT32_MAX, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

static bool scan_literal(struct imap_scan *s, struct span *out)
{
	struct imap_scan try = *s;
	uint64_t size = 0;

	try.in = span_skip(try.in, 1);
	if (!imap_scan_number64(&try, &size) || !imap_scan_skip(&try, '}') || !imap_scan_skip(&try, '\r') ||
	    !imap_scan_skip(&try, '\n') || size > try.in.len)
		return imap_scan_fail(s, "Invalid literal");
	*out = span_head(try.in, (size_t)size);
	s->in = span_skip(try.in, (size_t)size);
	return true;
}

/* in starts after the opening quote; len octets up to the closing one, some of them escaped. */
static struct span unescape(struct arena *a, struct span in)
{
	char *to = arena_alloc(a, in.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		if (in.ptr[i] == '\\')
			i++;
		to[n++] = in.ptr[i];
	}
	return span_of(to, n);
}

static bool scan_quoted(struct imap_scan *s, struct span *out)
{
	struct span in = span_skip(s->in, 1);
	bool escaped = false;
	size_t i;

	for (i = 0; i < in.len && in.ptr[i] != '"'; i++) {
		if (in.ptr[i] == '\r' || in.ptr[i] == '\n')
			return imap_scan_fail(s, "Line end in a quoted string");
		if (in.ptr[i] != '\\')
			continue;
		escaped = true;
		i++;
		if (i >= in.len || (in.ptr[i] != '"' && in.ptr[i] != '\\'))
			return imap_scan_fail(s, "Escaping must be \\\" or \\\\ in a quoted string");
	}
	if (i >= in.len)
		return imap_scan_fail(s, "Missing '\"'");
	*out = escaped ? unescape(s->a, span_head(in, i)) : span_head(in, i);
	s->in = span_skip(in, i + 1);
	return true;
}

bool imap_scan_string(struct imap_scan *s, struct span *out)
{
	if (imap_scan_peek(s, '"'))
		return scan_quoted(s, out);
	if (imap_scan_peek(s, '{'))
		return scan_literal(s, out);
	return imap_scan_fail(s, s->in.len == 0 ? "Missing arguments" : "Expected a string");
}

static bool is_string(const struct imap_scan *s)
{
	return imap_scan_peek(s, '"') || imap_scan_peek(s, '{');
}

bool imap_scan_astring(struct imap_scan *s, struct span *out)
{
	return is_string(s) ? imap_scan_string(s, out) : take_while(s, imap_is_astring_char, out);
}

bool imap_scan_nstring(struct imap_scan *s, struct span *out, bool *nil_r)
{
	struct imap_scan try = *s;

	*nil_r = false;
	if (is_string(s))
		return imap_scan_string(s, out);
	if (!imap_scan_atom(&try, out) || !span_iis(*out, "NIL"))
		return imap_scan_fail(s, s->in.len == 0 ? "Missing arguments" : "Expected a string or NIL");
	*out = SPAN_NONE;
	*nil_r = true;
	s->in = try.in;
	return true;
}

/* Mailbox names in UTF-8 come from many clients without quotes and without leave: the name check is not done here. */
static bool is_pattern_char(char c)
{
	return imap_is_astring_char(c) || c == '%' || c == '*' || (c & 0x80) != 0;
}

bool imap_scan_pattern(struct imap_scan *s, struct span *out)
{
	return is_string(s) ? imap_scan_string(s, out) : take_while(s, is_pattern_char, out);
}

static bool is_word_char(char c)
{
	return c > ' ' && c < 127 && c != '(' && c != ')';
}

bool imap_scan_word(struct imap_scan *s, struct span *out)
{
	return take_while(s, is_word_char, out);
}
