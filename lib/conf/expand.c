/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/conf/expand.h"

#include <string.h>

#include "lib/base/buf.h"

static bool expand_into(struct expand *e, struct buf *out, struct span text);

static bool fail(struct expand *e, const char *why)
{
	if (e->error == NULL)
		e->error = why;
	return false;
}

static size_t name_length(struct span s)
{
	size_t n = 0;

	while (n < s.len && (ascii_isalnum(s.ptr[n]) || s.ptr[n] == '_'))
		n++;
	return n;
}

/* s begins with an opening brace: what is inside, and *rest_r behind the one that closes it. */
static bool take_braces(struct expand *e, struct span s, struct span *inside_r, struct span *rest_r)
{
	char open = s.ptr[0], close = open == '{' ? '}' : ')';
	size_t depth = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == open) {
			depth++;
		} else if (s.ptr[i] == close && --depth == 0) {
			*inside_r = span_of(s.ptr + 1, i - 1);
			*rest_r = span_skip(s, i + 1);
			return true;
		}
	}
	return fail(e, "a { has no matching }");
}

static bool get(struct expand *e, struct span name, bool testing, struct span *value_r)
{
	bool found;

	if (e->lookups++ >= EXPAND_LOOKUPS_MAX)
		return fail(e, "too many names to replace");
	if (e->depth >= EXPAND_DEPTH_MAX)
		return fail(e, "a name refers to itself, or braces are nested too deeply");
	*value_r = SPAN_NONE;
	e->testing = testing;
	e->depth++;
	found = e->lookup(e, e->a, name, value_r);
	e->depth--;
	(void)found;
	return e->error == NULL;
}

/* {text} or, without a brace, all of s. */
static bool take_text(struct expand *e, struct span s, struct span *text_r, struct span *rest_r)
{
	struct span t = span_trim(s);

	if (t.len == 0 || t.ptr[0] != '{') {
		*text_r = s;
		*rest_r = SPAN_NONE;
		return true;
	}
	if (!take_braces(e, t, text_r, rest_r))
		return false;
	*text_r = span_trim(*text_r);
	*rest_r = span_trim(*rest_r);
	return true;
}

/* `?' or `:' and what follows it in ${x?{a}:{b}}, once it is known whether x holds. */
static bool choose(struct expand *e, struct buf *out, bool holds, struct span ops)
{
	char op = ops.ptr[0];
	struct span text, other = SPAN_NONE, rest;

	if (op != '?' && op != ':')
		return fail(e, "? or : expected after a name in ${}");
	if (!take_text(e, span_skip(ops, 1), &text, &rest))
		return false;
	if (rest.len > 0) {
		if (op != '?' || rest.ptr[0] != ':' || !take_text(e, span_skip(rest, 1), &other, &rest))
			return fail(e, "text after } in ${name?{text}}");
		if (rest.len > 0)
			return fail(e, "text after the second } in ${name?{text}:{text}}");
	}
	if (op == ':')
		holds = !holds;
	return expand_into(e, out, holds ? text : other);
}

static int compare(struct span a, struct span b)
{
	uint64_t x, y;

	if (span_u64(a, UINT64_MAX, &x) && span_u64(b, UINT64_MAX, &y))
		return x < y ? -1 : x > y;
	return span_cmp(a, b);
}

static bool operator_holds(struct expand *e, struct span op, int order, bool *holds_r)
{
	static const struct {
		const char *name;
		bool less, equal, more;
	} ops[] = {
		{ "==", false, true, false }, { "!=", true, false, true }, { "<", true, false, false },
		{ "<=", true, true, false },  { ">", false, false, true }, { ">=", false, true, true },
	};

	for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
		if (!span_is(op, ops[i].name))
			continue;
		*holds_r = order < 0 ? ops[i].less : order > 0 ? ops[i].more : ops[i].equal;
		return true;
	}
	return fail(e, "unknown comparison in ${{a} == {b}}");
}

static bool expand_part(struct expand *e, struct span text, struct span *value_r)
{
	struct buf part;
	bool ok;

	buf_init(&part, EXPAND_BYTES_MAX);
	ok = expand_into(e, &part, span_trim(text));
	if (ok)
		*value_r = arena_span(e->a, buf_span(&part));
	buf_free(&part);
	return ok;
}

/* {a} op {b} ? {c} : {d} */
static bool expand_comparison(struct expand *e, struct buf *out, struct span s)
{
	struct span left, right, op, rest, a, b;
	size_t n = 0;
	bool holds;

	if (!take_braces(e, s, &left, &rest))
		return false;
	rest = span_trim(rest);
	while (n < rest.len && strchr("=!<>", rest.ptr[n]) != NULL)
		n++;
	op = span_head(rest, n);
	rest = span_trim(span_skip(rest, n));
	if (rest.len == 0 || rest.ptr[0] != '{')
		return fail(e, "{ expected after a comparison in ${{a} == {b}}");
	if (!take_braces(e, rest, &right, &rest) || !expand_part(e, left, &a) || !expand_part(e, right, &b) ||
	    !operator_holds(e, op, compare(a, b), &holds))
		return false;
	rest = span_trim(rest);
	if (rest.len == 0)
		return fail(e, "? expected after a comparison in ${{a} == {b}}");
	return choose(e, out, holds, rest);
}

static bool expand_braces(struct expand *e, struct buf *out, struct span body)
{
	struct span s = span_trim(body), ops, value;
	size_t n;

	if (s.len > 0 && s.ptr[0] == '{')
		return expand_comparison(e, out, s);
	n = name_length(s);
	if (n == 0)
		return fail(e, "a name is expected after ${");
	ops = span_skip(s, n);
	while (ops.len > 0 && (ops.ptr[0] == ' ' || ops.ptr[0] == '\t'))
		ops = span_skip(ops, 1);
	if (!get(e, span_head(s, n), ops.len > 0, &value))
		return false;
	if (ops.len > 0)
		return choose(e, out, value.len > 0, ops);
	return buf_add_span(out, value) || fail(e, "longer than 64 KiB");
}

/* *s begins with `$' and more. */
static bool expand_dollar(struct expand *e, struct buf *out, struct span *s)
{
	struct span after = span_skip(*s, 1), body, value;
	size_t n;

	if (after.len > 0 && after.ptr[0] == '$') {
		*s = span_skip(after, 1);
		return buf_addc(out, '$') || fail(e, "longer than 64 KiB");
	}
	if (after.len > 0 && (after.ptr[0] == '{' || after.ptr[0] == '('))
		return take_braces(e, after, &body, s) && expand_braces(e, out, body);
	n = name_length(after);
	if (n == 0)
		return fail(e, "a name is expected after $; write $$ for a dollar");
	*s = span_skip(after, n);
	if (!get(e, span_head(after, n), false, &value))
		return false;
	return buf_add_span(out, value) || fail(e, "longer than 64 KiB");
}

static bool expand_into(struct expand *e, struct buf *out, struct span text)
{
	struct span s = text;

	if (++e->depth > EXPAND_DEPTH_MAX)
		return fail(e, "a name refers to itself, or braces are nested too deeply");
	while (s.len > 0) {
		ptrdiff_t at = span_chr(s, '$');
		size_t plain = at < 0 ? s.len : (size_t)at;

		if (!buf_add_span(out, span_head(s, plain)))
			return fail(e, "longer than 64 KiB");
		s = span_skip(s, plain);
		if (s.len > 0 && !expand_dollar(e, out, &s))
			return false;
	}
	e->depth--;
	return true;
}

const char *expand_text(struct expand *e, struct span text)
{
	struct buf out;
	char *result = NULL;

	e->error = NULL;
	if (span_chr(text, '$') < 0 && text.len < EXPAND_BYTES_MAX)
		return arena_cstr(e->a, text);
	buf_init(&out, EXPAND_BYTES_MAX);
	if (expand_into(e, &out, text))
		result = arena_cstr(e->a, buf_span(&out));
	buf_free(&out);
	return result;
}
