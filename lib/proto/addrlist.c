/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/addrlist.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/must.h"

/* One element of the list while it is read. The buffers never hold more than the input, so appending cannot fail. */
struct parser {
	struct arena *arena;
	struct span rest;
	struct rfc5322_list *list;
	size_t max;
	struct buf phrase; /* words with single spaces where blanks stood: a display name */
	struct buf local;  /* the last run of words joined by dots: a local part */
	struct buf domain;
	size_t words;        /* runs in phrase; local is all of it when there is one */
	struct span comment; /* inside of the last comment, not yet unquoted; ptr NULL when none */
	bool in_group;
};

static char peek(const struct parser *p)
{
	return p->rest.len ? p->rest.ptr[0] : '\0';
}

static bool take(struct parser *p, char c)
{
	if (p->rest.len == 0 || p->rest.ptr[0] != c)
		return false;
	p->rest = span_skip(p->rest, 1);
	return true;
}

static void add(struct buf *b, const char *ptr, size_t len)
{
	bool ok = buf_add(b, ptr, len);

	must(ok);
}

/* --- comments and blanks ------------------------------------------------------------------------------------------ */

/* Nesting is a counter: ten thousand parentheses cost ten thousand steps and no stack. */
static void skip_comment(struct parser *p)
{
	size_t i = 1, depth = 1;

	for (; i < p->rest.len && depth; i++) {
		char c = p->rest.ptr[i];

		if (c == '\\')
			i++;
		else if (c == '(')
			depth++;
		else if (c == ')')
			depth--;
	}
	if (i > p->rest.len)
		i = p->rest.len;
	p->list->bad |= depth > 0;
	p->comment = span_of(p->rest.ptr + 1, i - 1 - (depth == 0));
	p->rest = span_skip(p->rest, i);
}

/* True when anything was stepped over. */
static bool skip_cfws(struct parser *p)
{
	size_t before = p->rest.len;

	while (p->rest.len) {
		if (p->rest.ptr[0] == '(')
			skip_comment(p);
		else if (ascii_isspace(p->rest.ptr[0]) || p->rest.ptr[0] == '\0')
			p->rest = span_skip(p->rest, 1);
		else
			break;
	}
	return p->rest.len < before;
}

/* --- words -------------------------------------------------------------------------------------------------------- */

static bool is_special(char c)
{
	return c == '\0' || strchr("()<>@,;:\\\".[]", c) || ascii_isspace(c);
}

static size_t atom_len(struct span s)
{
	size_t n = 0;

	while (n < s.len && !is_special(s.ptr[n]))
		n++;
	return n;
}

/* The inside of a quoted string or comment: backslashes and line ends go. */
static void add_unquoted(struct buf *b, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\\' && i + 1 < s.len)
			i++;
		if (s.ptr[i] != '\r' && s.ptr[i] != '\n' && s.ptr[i] != '\0')
			add(b, s.ptr + i, 1);
	}
}

static struct span take_quoted(struct parser *p)
{
	size_t i = 1;
	struct span inside;

	while (i < p->rest.len && p->rest.ptr[i] != '"')
		i += p->rest.ptr[i] == '\\' ? 2 : 1;
	if (i >= p->rest.len) {
		p->list->bad = true;
		i = p->rest.len;
	}
	inside = span_of(p->rest.ptr + 1, i - 1);
	p->rest = span_skip(p->rest, i + 1);
	return inside;
}

/* A word or a dot goes into both forms. A word that follows a word across a blank starts a new local part. */
static void add_word(struct parser *p, struct span word, bool quoted, bool spaced, bool *after_word)
{
	bool dot = !quoted && word.len == 1 && word.ptr[0] == '.';

	if (spaced && p->phrase.len)
		add(&p->phrase, " ", 1);
	if (!dot && *after_word && spaced)
		buf_reset(&p->local);
	if (!dot && (p->words == 0 || (*after_word && spaced)))
		p->words++;
	*after_word = !dot;
	if (quoted) {
		add_unquoted(&p->phrase, word);
		add_unquoted(&p->local, word);
	} else {
		add(&p->phrase, word.ptr, word.len);
		add(&p->local, word.ptr, word.len);
	}
}

/* Words up to a special that is not part of them. */
static void take_words(struct parser *p)
{
	bool after_word = false, spaced;

	buf_reset(&p->phrase);
	buf_reset(&p->local);
	p->words = 0;
	for (;;) {
		size_t len;

		spaced = skip_cfws(p);
		if (peek(p) == '"') {
			add_word(p, take_quoted(p), true, spaced, &after_word);
			continue;
		}
		len = p->rest.len && p->rest.ptr[0] == '.' ? 1 : atom_len(p->rest);
		if (len == 0)
			return;
		add_word(p, span_head(p->rest, len), false, spaced, &after_word);
		p->rest = span_skip(p->rest, len);
	}
}

static void take_literal(struct parser *p)
{
	ptrdiff_t close = span_chr(p->rest, ']');
	size_t len = close < 0 ? p->rest.len : (size_t)close + 1;

	p->list->bad |= close < 0;
	for (size_t i = 0; i < len; i++)
		if (!ascii_isspace(p->rest.ptr[i]) && p->rest.ptr[i] && p->rest.ptr[i] != '\\')
			add(&p->domain, p->rest.ptr + i, 1);
	p->rest = span_skip(p->rest, len);
}

static void take_domain(struct parser *p)
{
	bool after_word = false;

	buf_reset(&p->domain);
	for (;;) {
		size_t len;
		bool spaced = skip_cfws(p);

		if (peek(p) == '[' && !after_word) {
			take_literal(p);
			after_word = true;
			continue;
		}
		len = p->rest.len && p->rest.ptr[0] == '.' ? 1 : atom_len(p->rest);
		if (len == 0)
			return;
		/* "user@host other": the domain ended, what follows is garbage up to the next separator. */
		if (spaced && after_word && p->rest.ptr[0] != '.')
			p->list->bad = true;
		else
			add(&p->domain, p->rest.ptr, len);
		after_word = p->rest.ptr[0] != '.';
		p->rest = span_skip(p->rest, len);
	}
}

/* --- elements ----------------------------------------------------------------------------------------------------- */

static struct rfc5322_addr *append(struct parser *p, enum rfc5322_kind kind)
{
	struct rfc5322_list *l = p->list;
	struct rfc5322_addr *addr;

	if (l->count >= p->max) {
		l->truncated = true;
		return NULL;
	}
	addr = arena_alloc(p->arena, sizeof *addr);
	addr->kind = kind;
	if (l->last)
		l->last->next = addr;
	else
		l->first = addr;
	l->last = addr;
	l->count++;
	return addr;
}

static struct span keep(struct parser *p, const struct buf *b)
{
	return arena_span(p->arena, buf_span(b));
}

static struct span comment_name(struct parser *p)
{
	if (p->comment.ptr == NULL)
		return SPAN_NONE;
	buf_reset(&p->phrase);
	add_unquoted(&p->phrase, p->comment);
	return arena_span(p->arena, span_trim(buf_span(&p->phrase)));
}

static void end_group(struct parser *p)
{
	if (p->in_group)
		append(p, RFC5322_GROUP_END);
	p->in_group = false;
}

static void start_group(struct parser *p)
{
	struct rfc5322_addr *group;

	p->list->bad |= p->in_group;
	end_group(p);
	group = append(p, RFC5322_GROUP_START);
	if (group)
		group->name = keep(p, &p->phrase);
	p->in_group = true;
}

/* "@one,@two:" inside brackets */
static void take_route(struct parser *p, struct rfc5322_addr *addr)
{
	size_t n = 0;

	skip_cfws(p);
	if (peek(p) != '@')
		return;
	/* The search is bounded because a route that does not end is not consumed. */
	while (n < p->rest.len && n < ADDR_BYTES_MAX && p->rest.ptr[n] != ':' && p->rest.ptr[n] != '>')
		n++;
	if (n < p->rest.len && p->rest.ptr[n] == ':') {
		addr->route = arena_span(p->arena, span_trim(span_head(p->rest, n)));
		p->rest = span_skip(p->rest, n + 1);
	}
}

static void skip_to_separator(struct parser *p)
{
	skip_cfws(p);
	while (p->rest.len && !strchr(",;", peek(p))) {
		p->list->bad = true;
		if (peek(p) == '"')
			take_quoted(p);
		else
			p->rest = span_skip(p->rest, 1);
		skip_cfws(p);
	}
}

static void take_addr_spec(struct parser *p, struct rfc5322_addr *addr)
{
	addr->mailbox = keep(p, p->words > 1 && peek(p) != '@' ? &p->phrase : &p->local);
	if (!take(p, '@'))
		return;
	take_domain(p);
	addr->host = keep(p, &p->domain);
}

static void take_angle(struct parser *p, struct rfc5322_addr *addr)
{
	if (p->phrase.len)
		addr->name = keep(p, &p->phrase);
	take_route(p, addr);
	take_words(p);
	take_addr_spec(p, addr);
	p->list->bad |= !take(p, '>');
	skip_to_separator(p);
	if (addr->name.ptr == NULL)
		addr->name = comment_name(p);
}

/* At anything but a separator. Nothing is built past the maximum, yet a group's start and end are still seen. */
static void take_element(struct parser *p)
{
	struct rfc5322_addr *addr;

	p->comment = SPAN_NONE;
	take_words(p);
	if (p->phrase.len == 0 && p->rest.len == 0)
		return;
	if (take(p, ':')) {
		start_group(p);
		return;
	}
	if (p->phrase.len == 0 && !strchr("<@", peek(p))) {
		p->list->bad = true;
		skip_to_separator(p);
		return;
	}
	addr = append(p, RFC5322_MAILBOX);
	if (addr == NULL) {
		p->rest = SPAN_NONE;
		return;
	}
	if (take(p, '<')) {
		take_angle(p, addr);
		return;
	}
	take_addr_spec(p, addr);
	skip_to_separator(p);
	addr->name = comment_name(p);
}

void rfc5322_list_parse(struct arena *a, struct span body, size_t max, struct rfc5322_list *list)
{
	struct parser p = { .arena = a, .rest = body, .list = list, .max = max };

	buf_init(&p.phrase, 2 * body.len + 1);
	buf_init(&p.local, body.len + 1);
	buf_init(&p.domain, body.len + 1);
	for (;;) {
		skip_cfws(&p);
		if (p.rest.len == 0)
			break;
		if (take(&p, ';')) {
			list->bad |= !p.in_group;
			end_group(&p);
		} else if (!take(&p, ',')) {
			take_element(&p);
		}
	}
	end_group(&p);
	buf_free(&p.phrase);
	buf_free(&p.local);
	buf_free(&p.domain);
}

struct addr rfc5322_to_addr(const struct rfc5322_addr *addr)
{
	return (struct addr){ addr->mailbox, addr->host };
}
