/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/header.h"

#include <string.h>

/* Length of the line at the start of s, its line end included. */
static size_t line_len(struct span s)
{
	ptrdiff_t lf = span_chr(s, '\n');

	return lf < 0 ? s.len : (size_t)lf + 1;
}

/* The same without its line end. */
static struct span chomp(struct span line)
{
	if (line.len && line.ptr[line.len - 1] == '\n')
		line.len--;
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool empty_line(struct span s)
{
	return s.len == 0 || s.ptr[0] == '\n' || (s.len > 1 && s.ptr[0] == '\r' && s.ptr[1] == '\n');
}

size_t header_size(struct span msg)
{
	struct span rest = msg;

	while (!empty_line(rest))
		rest = span_skip(rest, line_len(rest));
	return msg.len - rest.len + line_len(rest);
}

bool header_name_valid(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] > '~' || name.ptr[i] == ':')
			return false;
	return name.len > 0;
}

static void split_field(struct header_field *f)
{
	ptrdiff_t colon = span_chr(span_head(f->raw, line_len(f->raw)), ':');
	struct span name = span_head(f->raw, colon < 0 ? 0 : (size_t)colon);

	/* RFC 5322 4.5.1: blanks before the colon are obsolete, yet they come. */
	while (name.len && is_blank(name.ptr[name.len - 1]))
		name.len--;
	f->name = header_name_valid(name) ? name : SPAN_NONE;
	f->body = chomp(span_skip(f->raw, f->name.len ? (size_t)colon + 1 : 0));
}

bool header_next(struct span *rest, struct header_field *field_r)
{
	size_t len;

	if (empty_line(*rest))
		return false;
	len = line_len(*rest);
	while (len < rest->len && is_blank(rest->ptr[len]))
		len += line_len(span_skip(*rest, len));
	field_r->raw = span_head(*rest, len);
	split_field(field_r);
	*rest = span_skip(*rest, len);
	return true;
}

bool header_find(struct span msg, const char *name, struct header_field *field_r)
{
	while (header_next(&msg, field_r))
		if (span_iis(field_r->name, name))
			return true;
	return false;
}

size_t header_count(struct span msg, const char *name)
{
	struct header_field f;
	size_t n = 0;

	while (header_next(&msg, &f))
		n += span_iis(f.name, name);
	return n;
}

struct span header_unfold(struct arena *a, struct span body, size_t max)
{
	char *to;
	size_t len = 0;

	body = span_head(span_trim(body), max);
	to = arena_alloc(a, body.len + 1);
	for (size_t i = 0; i < body.len; i++)
		if (body.ptr[i] != '\n' && body.ptr[i] != '\r')
			to[len++] = body.ptr[i];
	return span_of(to, len);
}

struct span header_get(struct arena *a, struct span msg, const char *name, size_t max)
{
	struct header_field f;

	return header_find(msg, name, &f) ? header_unfold(a, f.body, max) : SPAN_NONE;
}
