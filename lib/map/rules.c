/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/map/rules.h"

#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/conf/lines.h"

struct parse {
	struct rules *r;
	struct arena *a;
	const char *(*compile)(void *ctx, struct span *rest, struct rule *rule);
	void *ctx;
	size_t open[RULES_DEPTH_MAX]; /* the `if's we are in */
	size_t depth;
	size_t cap;
};

static void add_rule(struct parse *p, struct rule rule)
{
	if (p->r->n == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 16;
		p->r->v = mem_realloc_array(p->r->v, p->cap, sizeof rule);
	}
	p->r->v[p->r->n++] = rule;
}

/* `if' or `endif' as a whole word at the front of line. */
static bool take_keyword(struct span *line, const char *word)
{
	struct span rest = *line, first;

	if (!span_word(&rest, " \t", &first) || !span_iis(first, word))
		return false;
	*line = span_trim(rest);
	return true;
}

static const char *parse_endif(struct parse *p, struct span rest, int line)
{
	if (p->depth == 0)
		return "endif without if";
	if (rest.len > 0)
		return "text after endif";
	p->r->v[p->open[--p->depth]].endif = p->r->n;
	add_rule(p, (struct rule){ .kind = RULE_ENDIF, .line = line });
	return NULL;
}

static const char *parse_rule(struct parse *p, struct span s, struct rule *rule)
{
	const char *wrong;

	while (s.len > 0 && (s.ptr[0] == '!' || ascii_isspace(s.ptr[0]))) {
		rule->negated ^= s.ptr[0] == '!';
		s = span_skip(s, 1);
	}
	wrong = p->compile(p->ctx, &s, rule);
	if (wrong)
		return wrong;
	s = span_trim(s);
	if (rule->kind == RULE_IF)
		return s.len > 0 ? "text after the pattern of an if" : NULL;
	rule->value = arena_span(p->a, s);
	return s.len == 0 ? "there is no value after the pattern" : NULL;
}

static const char *parse_line(struct parse *p, struct span line, int at)
{
	struct rule rule = { .kind = RULE_VALUE, .line = at };
	const char *wrong;

	if (ascii_isspace(line.ptr[0]))
		return "the line begins with white space and there is none before it that it continues";
	if (p->r->n >= RULES_MAX)
		return "too many rules";
	if (take_keyword(&line, "endif"))
		return parse_endif(p, line, at);
	if (take_keyword(&line, "if")) {
		rule.kind = RULE_IF;
		if (p->depth == RULES_DEPTH_MAX)
			return "if is nested too deeply";
	}
	wrong = parse_rule(p, line, &rule);
	if (rule.kind == RULE_IF) {
		/* A bad `if' still opens its block, which then never holds: its rules must not come to life on their
		 * own. */
		if (wrong)
			rule.pattern = SIZE_MAX;
		p->open[p->depth++] = p->r->n;
		add_rule(p, rule);
	} else if (wrong == NULL) {
		add_rule(p, rule);
	}
	return wrong;
}

void rules_parse(struct rules *r, struct arena *a, const char *file, struct span text,
		 const char *(*compile)(void *ctx, struct span *rest, struct rule *rule), void *ctx,
		 struct buf *warnings)
{
	struct parse p = { .r = r, .a = a, .compile = compile, .ctx = ctx };
	struct lines l = lines_begin(text);
	struct buf line;
	int at = 0;

	*r = (struct rules){ NULL, 0 };
	buf_init(&line, LINES_LINE_MAX);
	while (lines_next(&l, &line, &at)) {
		const char *wrong =
		    line.overflow ? "the line is longer than 1 MiB" : parse_line(&p, buf_span(&line), at);

		if (wrong)
			buf_addf(warnings, "%s:%d: %s\n", file, at, wrong);
	}
	while (p.depth > 0) {
		size_t open = p.open[p.depth - 1];

		buf_addf(warnings, "%s:%d: if without endif\n", file, r->v[open].line);
		(void)parse_endif(&p, SPAN_NONE, at);
	}
	buf_free(&line);
}

enum map_status rules_find(const struct rules *r, enum map_status (*holds)(void *ctx, const struct rule *rule),
			   void *ctx, const struct rule **hit_r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct rule *rule = &r->v[i];
		enum map_status st;

		if (rule->kind == RULE_ENDIF)
			continue;
		st = rule->pattern == SIZE_MAX ? MAP_NOTFOUND : holds(ctx, rule);
		if (st == MAP_TEMP)
			return st;
		if (rule->pattern != SIZE_MAX && rule->negated)
			st = st == MAP_OK ? MAP_NOTFOUND : MAP_OK;
		if (st == MAP_OK && rule->kind == RULE_VALUE) {
			*hit_r = rule;
			return MAP_OK;
		}
		if (st != MAP_OK && rule->kind == RULE_IF)
			i = rule->endif;
	}
	return MAP_NOTFOUND;
}

void rules_free(struct rules *r)
{
	free(r->v);
}
