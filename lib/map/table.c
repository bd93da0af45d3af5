/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/map/table.h"

#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/conf/lines.h"
#include "lib/proto/aliases.h"

static void snap_free(struct snap *s)
{
	table_free((struct table *)(void *)s);
}

struct table *table_alloc(size_t size,
			  enum map_status (*get)(struct table *t, struct arena *a, struct span key,
						 struct span *value_r),
			  void (*release)(struct table *t))
{
	struct table *t = mem_zalloc(size);

	t->snap.free = snap_free;
	t->get = get;
	t->free = release;
	return t;
}

void table_free(struct table *t)
{
	if (t == NULL)
		return;
	if (t->free)
		t->free(t);
	free(t);
}

struct span table_fold(struct arena *a, struct span key)
{
	for (size_t i = 0; i < key.len; i++)
		if (key.ptr[i] >= 'A' && key.ptr[i] <= 'Z')
			return arena_lower(a, key);
	return key;
}

/* --- source text -------------------------------------------------------------------------------------------------- */

static void warn(const struct table_source *src, int line, const char *what)
{
	if (src->warnings)
		buf_addf(src->warnings, "%s:%d: %s\n", src->file, line, what);
}

/* The text of a quoted key, without quotes and backslashes, in out; how much of s it took, or 0: no closing quote. */
static size_t unquote(struct span s, struct buf *out)
{
	for (size_t i = 1; i < s.len; i++) {
		if (s.ptr[i] == '"')
			return i + 1;
		if (s.ptr[i] == '\\' && i + 1 < s.len)
			i++;
		buf_addc(out, s.ptr[i]);
	}
	return 0;
}

/* Split a logical line `key value'; NULL, or what is wrong with it. */
static const char *split_line(struct span line, struct buf *quoted, struct span *key_r, struct span *value_r)
{
	size_t taken = 0;

	if (ascii_isspace(line.ptr[0]))
		return "the line begins with white space and there is none before it that it continues";
	if (line.ptr[0] == '"') {
		taken = unquote(line, quoted);
		*key_r = buf_span(quoted);
		if (taken == 0)
			return "a quote is not closed";
	} else {
		while (taken < line.len && !ascii_isspace(line.ptr[taken]))
			taken++;
		*key_r = span_head(line, taken);
	}
	*value_r = span_trim(span_skip(line, taken));
	if (key_r->len == 0)
		return "there is no key";
	return value_r->len == 0 ? "there is no value after the key" : NULL;
}

static void parse_aliases(const struct table_source *src, struct span text)
{
	struct arena a = ARENA_INIT;
	struct alias_entry entry;
	bool more = true;
	int at = 0;

	while (more && alias_entry_next(&a, &text, &at, &entry)) {
		if (entry.bad)
			warn(src, entry.line, "an alias is `name: value'");
		else
			more = src->each(src->arg, entry.line, entry.name, entry.value);
		arena_reset(&a);
	}
	arena_free(&a);
}

static void parse_pairs(const struct table_source *src, struct span text)
{
	struct lines l = lines_begin(text);
	struct buf line, quoted;
	bool more = true;
	int at;

	buf_init(&line, LINES_LINE_MAX);
	buf_init(&quoted, LINES_LINE_MAX);
	while (more && lines_next(&l, &line, &at)) {
		struct span key, value;
		const char *wrong;

		buf_reset(&quoted);
		wrong = line.overflow ? "the line is longer than 1 MiB"
				      : split_line(buf_span(&line), &quoted, &key, &value);
		if (wrong)
			warn(src, at, wrong);
		else
			more = src->each(src->arg, at, key, value);
	}
	buf_free(&line);
	buf_free(&quoted);
}

void table_source_parse(const struct table_source *src, struct span text)
{
	if (src->how == MAP_BUILD_POSTALIAS)
		parse_aliases(src, text);
	else
		parse_pairs(src, text);
}
