/* SPDX-License-Identifier: BSD-2-Clause */
/* regexp (POSIX) and pcre (PCRE2): patterns tried in turn, $1 in the value replaced by what the first ( ) matched. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/map/rules.h"

enum {
	GROUPS_MAX = 100,
	VALUE_MAX = 65536,
	PCRE_MATCH_LIMIT = 1000000, /* steps of one match: some milliseconds */
	PCRE_DEPTH_LIMIT = 100000,
	PCRE_HEAP_KIB = 20000,
};

struct pattern {
	regex_t posix;
	pcre2_code *pcre; /* NULL: the POSIX one is used */
	size_t groups;
};

struct regex_table {
	struct table table;
	struct arena arena;
	struct rules rules;
	struct pattern *patterns;
	size_t npatterns;
	bool is_pcre;
	pcre2_match_context *limits;
	struct buf why; /* of the last pattern that did not compile */
};

/* --- matching ----------------------------------------------------------------------------------------------------- */

struct match_state {
	const struct regex_table *t;
	struct span key;
	const char *key_cstr;
	size_t ngroups;
	regmatch_t groups[GROUPS_MAX];
};

static enum map_status pcre_holds(struct match_state *m, const struct pattern *p)
{
	pcre2_match_data *data = pcre2_match_data_create_from_pattern(p->pcre, NULL);
	int rc = pcre2_match(p->pcre, (PCRE2_SPTR)m->key_cstr, m->key.len, 0, 0, data, m->t->limits);
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(data);

	/* Compiled code has 32 KiB of stack; the interpreter works on the heap. */
	if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
		rc = pcre2_match(p->pcre, (PCRE2_SPTR)m->key_cstr, m->key.len, 0, PCRE2_NO_JIT, data, m->t->limits);
	m->ngroups = rc > 0 ? (size_t)rc : 0;
	if (m->ngroups > GROUPS_MAX)
		m->ngroups = GROUPS_MAX;
	for (size_t i = 0; i < m->ngroups; i++) {
		bool unset = at[2 * i] == PCRE2_UNSET;

		m->groups[i].rm_so = unset ? -1 : (regoff_t)at[2 * i];
		m->groups[i].rm_eo = unset ? -1 : (regoff_t)at[2 * i + 1];
	}
	pcre2_match_data_free(data);
	return rc > 0 ? MAP_OK : rc == PCRE2_ERROR_NOMATCH ? MAP_NOTFOUND : MAP_TEMP;
}

static enum map_status posix_holds(struct match_state *m, const struct pattern *p)
{
	size_t n = p->groups + 1 < GROUPS_MAX ? p->groups + 1 : GROUPS_MAX;
	int rc = regexec(&p->posix, m->key_cstr, n, m->groups, 0);

	m->ngroups = n;
	return rc == 0 ? MAP_OK : rc == REG_NOMATCH ? MAP_NOTFOUND : MAP_TEMP;
}

static enum map_status regex_holds(void *ctx, const struct rule *rule)
{
	struct match_state *m = ctx;
	const struct pattern *p = &m->t->patterns[rule->pattern];
	enum map_status st = p->pcre ? pcre_holds(m, p) : posix_holds(m, p);

	if (st == MAP_TEMP)
		log_warn("a pattern of line %d needs too much time or memory for <" SPAN_FMT ">", rule->line,
			 SPAN_ARG(span_head(m->key, 100)));
	return st;
}

/* --- $1 in the value ---------------------------------------------------------------------------------------------- */

/* s is behind a dollar: the number of `1', `{1}' or `(1)', and how many bytes it takes; 0: none. */
static size_t take_group(struct span s, size_t *number_r)
{
	bool braced = s.len > 0 && (s.ptr[0] == '{' || s.ptr[0] == '(');
	char close = braced && s.ptr[0] == '{' ? '}' : ')';
	size_t i = braced, first = i;

	*number_r = 0;
	while (i < s.len && ascii_isdigit(s.ptr[i]) && i < first + 4)
		*number_r = *number_r * 10 + (size_t)(s.ptr[i++] - '0');
	if (i == first || (braced && (i == s.len || s.ptr[i] != close)))
		return 0;
	return i + braced;
}

static bool substitute(const struct match_state *m, struct span value, struct buf *out)
{
	while (value.len > 0) {
		ptrdiff_t dollar = span_chr(value, '$');
		size_t number, taken;

		buf_add_span(out, dollar < 0 ? value : span_head(value, (size_t)dollar));
		if (dollar < 0)
			break;
		value = span_skip(value, (size_t)dollar + 1);
		if (span_starts(value, "$")) {
			buf_addc(out, '$');
			value = span_skip(value, 1);
			continue;
		}
		taken = take_group(value, &number);
		value = span_skip(value, taken);
		if (number < m->ngroups && m->groups[number].rm_so >= 0)
			buf_add(out, m->key.ptr + m->groups[number].rm_so,
				(size_t)(m->groups[number].rm_eo - m->groups[number].rm_so));
	}
	return !out->overflow;
}

static enum map_status regex_get(struct table *table, struct arena *a, struct span key, struct span *value_r)
{
	struct regex_table *t = (struct regex_table *)table;
	struct match_state m = { .t = t, .key = key };
	const struct rule *hit;
	enum map_status st;
	struct buf out;

	if (!t->is_pcre && memchr(key.len ? key.ptr : "", '\0', key.len) != NULL)
		return MAP_NOTFOUND;
	m.key_cstr = arena_cstr(a, key);
	m.key.ptr = m.key_cstr;
	st = rules_find(&t->rules, regex_holds, &m, &hit);
	if (st != MAP_OK)
		return st;
	if (span_chr(hit->value, '$') < 0) {
		*value_r = arena_span(a, hit->value);
		return MAP_OK;
	}
	buf_init(&out, VALUE_MAX);
	if (substitute(&m, hit->value, &out))
		*value_r = arena_span(a, buf_span(&out));
	else
		st = MAP_TEMP;
	buf_free(&out);
	return st;
}

static void regex_free(struct table *table)
{
	struct regex_table *t = (struct regex_table *)table;

	for (size_t i = 0; i < t->npatterns; i++) {
		if (t->patterns[i].pcre)
			pcre2_code_free(t->patterns[i].pcre);
		else
			regfree(&t->patterns[i].posix);
	}
	free(t->patterns);
	rules_free(&t->rules);
	arena_free(&t->arena);
	buf_free(&t->why);
	if (t->limits)
		pcre2_match_context_free(t->limits);
}

/* --- compiling ---------------------------------------------------------------------------------------------------- */

/* /pattern/flags: the pattern with \/ left as it is, and its flags. False: no closing delimiter. */
static bool take_pattern(struct span *rest, struct span *pattern_r, struct span *flags_r)
{
	struct span s = *rest;
	size_t i = 1, flags;

	if (s.len == 0 || ascii_isalnum(s.ptr[0]) || s.ptr[0] == '\\')
		return false;
	while (i < s.len && s.ptr[i] != s.ptr[0])
		i += s.ptr[i] == '\\' ? 2 : 1;
	if (i >= s.len)
		return false;
	flags = i + 1;
	while (flags < s.len && !ascii_isspace(s.ptr[flags]) && s.ptr[flags] != '!')
		flags++;
	*pattern_r = span_of(s.ptr + 1, i - 1);
	*flags_r = span_of(s.ptr + i + 1, flags - i - 1);
	*rest = span_skip(s, flags);
	return true;
}

static const char *compile_posix(struct regex_table *t, struct pattern *p, const char *text, struct span flags)
{
	int options = REG_EXTENDED | REG_ICASE, rc;
	char why[128];

	for (size_t i = 0; i < flags.len; i++) {
		if (flags.ptr[i] == 'i')
			options ^= REG_ICASE;
		else if (flags.ptr[i] == 'm')
			options ^= REG_NEWLINE;
		else if (flags.ptr[i] == 'x')
			options ^= REG_EXTENDED;
		else
			return "unknown flag after the pattern: i, m or x is expected";
	}
	rc = regcomp(&p->posix, text, options);
	p->groups = rc == 0 ? p->posix.re_nsub : 0;
	if (rc == 0)
		return NULL;
	regerror(rc, &p->posix, why, sizeof why);
	buf_reset(&t->why);
	buf_addf(&t->why, "the pattern is not a regular expression: %s", why);
	return buf_cstr(&t->why);
}

static const char *compile_pcre(struct regex_table *t, struct pattern *p, struct span text, struct span flags)
{
	static const struct {
		char flag;
		uint32_t option;
	} known[] = {
		{ 'i', PCRE2_CASELESS }, { 'm', PCRE2_MULTILINE },
		{ 's', PCRE2_DOTALL },   { 'x', PCRE2_EXTENDED },
		{ 'A', PCRE2_ANCHORED }, { 'E', PCRE2_DOLLAR_ENDONLY },
		{ 'U', PCRE2_UNGREEDY }, { 'X', 0 },
	};
	uint32_t options = PCRE2_CASELESS | PCRE2_DOTALL, groups = 0;
	PCRE2_SIZE at;
	PCRE2_UCHAR why[200];
	size_t k;
	int rc;

	for (size_t i = 0; i < flags.len; i++) {
		for (k = 0; k < sizeof known / sizeof known[0] && known[k].flag != flags.ptr[i]; k++)
			;
		if (k == sizeof known / sizeof known[0])
			return "unknown flag after the pattern: i, m, s, x, A, E, U or X is expected";
		options ^= known[k].option;
	}
	p->pcre = pcre2_compile((PCRE2_SPTR)text.ptr, text.len, options, &rc, &at, NULL);
	if (p->pcre) {
		(void)pcre2_jit_compile(p->pcre, PCRE2_JIT_COMPLETE); /* refused where memory may not become code */
		pcre2_pattern_info(p->pcre, PCRE2_INFO_CAPTURECOUNT, &groups);
		p->groups = groups;
		return NULL;
	}
	pcre2_get_error_message(rc, why, sizeof why);
	buf_reset(&t->why);
	buf_addf(&t->why, "the pattern is not a regular expression, from its byte %zu on: %s", (size_t)at, (char *)why);
	return buf_cstr(&t->why);
}

/* What the value asks for that the pattern has not. */
static const char *check_groups(const struct rule *rule, const struct pattern *p, struct span value)
{
	ptrdiff_t dollar;

	while ((dollar = span_chr(value, '$')) >= 0) {
		size_t number, taken;

		value = span_skip(value, (size_t)dollar + 1);
		if (span_starts(value, "$")) {
			value = span_skip(value, 1);
			continue;
		}
		taken = take_group(value, &number);
		if (taken == 0)
			return "a number is expected after $ in the value; write $$ for a dollar";
		if (rule->negated)
			return "there is no $1 in the value of a !pattern: nothing was matched";
		if (number > p->groups || number >= GROUPS_MAX)
			return "the value asks for more ( ) than the pattern has";
		value = span_skip(value, taken);
	}
	return NULL;
}

static const char *regex_compile(void *ctx, struct span *rest, struct rule *rule)
{
	struct regex_table *t = ctx;
	struct pattern p = { .pcre = NULL };
	struct span pattern, flags;
	const char *wrong;

	if (!take_pattern(rest, &pattern, &flags))
		return "/pattern/ is expected, with the same character at both ends";
	if (memchr(pattern.ptr, '\0', pattern.len) != NULL)
		return "a NUL byte";
	wrong = t->is_pcre ? compile_pcre(t, &p, pattern, flags)
			   : compile_posix(t, &p, arena_cstr(&t->arena, pattern), flags);
	if (wrong)
		return wrong;
	rule->pattern = t->npatterns;
	t->patterns = mem_realloc_array(t->patterns, t->npatterns + 1, sizeof p);
	t->patterns[t->npatterns++] = p;
	return rule->kind == RULE_VALUE ? check_groups(rule, &p, *rest) : NULL;
}

static struct table *regex_parse(bool is_pcre, const char *file, struct span text, struct buf *warnings)
{
	struct regex_table *t = (struct regex_table *)table_alloc(sizeof *t, regex_get, regex_free);

	t->is_pcre = is_pcre;
	buf_init(&t->why, 512);
	if (is_pcre) {
		t->limits = pcre2_match_context_create(NULL);
		pcre2_set_match_limit(t->limits, PCRE_MATCH_LIMIT);
		pcre2_set_depth_limit(t->limits, PCRE_DEPTH_LIMIT);
		pcre2_set_heap_limit(t->limits, PCRE_HEAP_KIB);
	}
	rules_parse(&t->rules, &t->arena, file, text, regex_compile, t, warnings);
	return &t->table;
}

struct table *table_regexp_parse(const char *file, struct span text, struct buf *warnings)
{
	return regex_parse(false, file, text, warnings);
}

struct table *table_pcre_parse(const char *file, struct span text, struct buf *warnings)
{
	return regex_parse(true, file, text, warnings);
}
