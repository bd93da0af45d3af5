/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/conf/raw.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/conf/expand.h"
#include "lib/conf/lines.h"

struct conf_raw *raw_new(const char *dir)
{
	struct conf_raw *raw = mem_zalloc(sizeof *raw);

	raw->dir = arena_strdup(&raw->arena, dir);
	raw->file = arena_printf(&raw->arena, "%s/main.cf", dir);
	for (size_t i = 0; i < conf_nparams; i++)
		raw_set(raw, span_cstr(conf_params[i].name), span_cstr(conf_params[i].def), NULL)->param =
		    &conf_params[i];
	return raw;
}

void raw_free(struct conf_raw *raw)
{
	htab_free(&raw->names);
	free(raw->entries);
	arena_free(&raw->arena);
	free(raw);
}

struct conf_entry *raw_get(const struct conf_raw *raw, struct span name)
{
	return htab_get(&raw->names, name);
}

struct conf_entry *raw_set(struct conf_raw *raw, struct span name, struct span value, const char *where)
{
	struct conf_entry *e = raw_get(raw, name);

	if (e == NULL) {
		e = arena_alloc(&raw->arena, sizeof *e);
		e->name = arena_cstr(&raw->arena, name);
		htab_put(&raw->names, name, e);
		if ((raw->count & (raw->count - 1)) == 0)
			raw->entries = mem_realloc_array(raw->entries, raw->count ? raw->count * 2 : 1, sizeof e);
		raw->entries[raw->count++] = e;
	}
	e->value = e->written = arena_cstr(&raw->arena, value);
	e->where = where ? arena_strdup(&raw->arena, where) : NULL;
	e->derived = false;
	return e;
}

const char *raw_parse_assignment(struct span line, struct span *name_r, struct span *value_r)
{
	ptrdiff_t eq = span_chr(line, '=');
	struct span name;

	if (line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))
		return "a line that begins with white space continues the one before, and there is none";
	if (span_chr(line, '\0') >= 0)
		return "a NUL byte";
	if (eq < 0)
		return "name = value is expected: there is no =";
	name = span_trim(span_head(line, (size_t)eq));
	if (name.len == 0)
		return "name = value is expected: there is no name before the =";
	for (size_t i = 0; i < name.len; i++) {
		if (!ascii_isalnum(name.ptr[i]) && strchr("_-.", name.ptr[i]) == NULL)
			return ascii_isspace(name.ptr[i])
				   ? "name = value is expected: there are several words before the ="
				   : "a name is made of letters, digits and _";
	}
	*name_r = name;
	*value_r = span_trim(span_skip(line, (size_t)eq + 1));
	return NULL;
}

bool raw_parse_text(struct conf_raw *raw, struct span text, struct buf *messages)
{
	struct lines l = lines_begin(text);
	struct buf line;
	int at;
	bool ok = true;

	buf_init(&line, LINES_LINE_MAX);
	while (lines_next(&l, &line, &at)) {
		struct span name, value;
		const char *wrong = line.overflow ? "the line is longer than 1 MiB"
						  : raw_parse_assignment(buf_span(&line), &name, &value);
		AUTO_FREE char *where = NULL;
		struct arena tmp = ARENA_INIT;

		if (wrong) {
			buf_addf(messages, "error: %s:%d: %s\n", raw->file, at, wrong);
			ok = false;
			continue;
		}
		where = mem_strdup(arena_printf(&tmp, "%s:%d", raw->file, at));
		arena_free(&tmp);
		raw_set(raw, name, value, where);
	}
	buf_free(&line);
	return ok;
}

struct source {
	const struct conf_raw *raw;
	struct span undefined;
};

static bool raw_lookup(struct expand *e, struct arena *a, struct span name, struct span *value_r)
{
	struct source *src = e->ctx;
	const struct conf_entry *entry = raw_get(src->raw, name);
	struct expand inner = *e;
	const char *text;

	if (entry == NULL) {
		if (!e->testing && src->undefined.len == 0 && !conf_is_foreign(name))
			src->undefined = arena_span(a, name);
		return false;
	}
	text = expand_text(&inner, span_cstr(entry->value));
	e->lookups = inner.lookups;
	e->error = inner.error;
	*value_r = span_cstr(text);
	return text != NULL;
}

const char *raw_value(const struct conf_raw *raw, struct arena *a, struct span name, const char **error_r,
		      struct span *undefined_r)
{
	struct source src = { raw, SPAN_NONE };
	struct expand e = { .lookup = raw_lookup, .ctx = &src, .a = a };
	const struct conf_entry *entry = raw_get(raw, name);
	const char *value;

	*error_r = NULL;
	if (undefined_r)
		*undefined_r = SPAN_NONE;
	if (entry == NULL)
		return NULL;
	if (entry->param && entry->param->kind == 'r')
		return arena_strdup(a, entry->value);
	value = expand_text(&e, span_cstr(entry->value));
	*error_r = e.error;
	if (undefined_r)
		*undefined_r = src.undefined;
	return value;
}

const char *conf_expand(const struct conf *c, struct arena *a, struct span text)
{
	struct source src = { c->raw, SPAN_NONE };
	struct expand e = { .lookup = raw_lookup, .ctx = &src, .a = a };

	return expand_text(&e, text);
}

const char *conf_value(const struct conf *c, struct arena *a, const char *name)
{
	const char *error;

	return raw_value(c->raw, a, span_cstr(name), &error, NULL);
}
