/* SPDX-License-Identifier: BSD-2-Clause */
/* texthash, inline and static: tables in memory. */
#include "lib/base/htab.h"
#include "lib/map/build.h"
#include "lib/map/table.h"

struct memory_table {
	struct table table;
	struct arena arena;
	struct htab index; /* key to struct span */
	struct span any;   /* static: the one value */
};

static enum map_status memory_get(struct table *t, struct arena *a, struct span key, struct span *value_r)
{
	struct memory_table *m = (struct memory_table *)t;
	const struct span *value = htab_get(&m->index, table_fold(a, key));

	if (value == NULL)
		return MAP_NOTFOUND;
	*value_r = arena_span(a, *value);
	return MAP_OK;
}

static enum map_status static_get(struct table *t, struct arena *a, struct span key, struct span *value_r)
{
	(void)key;
	*value_r = arena_span(a, ((struct memory_table *)t)->any);
	return MAP_OK;
}

static void memory_free(struct table *t)
{
	struct memory_table *m = (struct memory_table *)t;

	htab_free(&m->index);
	arena_free(&m->arena);
}

static struct memory_table *memory_new(void)
{
	return (struct memory_table *)table_alloc(sizeof(struct memory_table), memory_get, memory_free);
}

/* False when the key is there already: the first one stays, as in Postfix. */
static bool memory_add(struct memory_table *m, struct span key, struct span value)
{
	struct arena tmp = ARENA_INIT;
	struct span folded = table_fold(&tmp, key), *copy;
	bool is_new = htab_get(&m->index, folded) == NULL;

	if (is_new) {
		copy = arena_alloc(&m->arena, sizeof *copy);
		*copy = arena_span(&m->arena, value);
		htab_put(&m->index, folded, copy);
	}
	arena_free(&tmp);
	return is_new;
}

struct texthash_load {
	struct memory_table *table;
	const struct table_source *source;
};

static bool add_line(void *arg, int line, struct span key, struct span value)
{
	struct texthash_load *load = arg;

	if (!memory_add(load->table, key, value) && load->source->warnings)
		buf_addf(load->source->warnings, "%s:%d: " SPAN_FMT " is there already: the first one counts\n",
			 load->source->file, line, SPAN_ARG(key));
	return true;
}

struct table *table_texthash_parse(const char *file, struct span text, enum map_build how, struct buf *warnings)
{
	struct texthash_load load = { .table = memory_new() };
	struct table_source src = { how, file, warnings, add_line, &load };

	load.source = &src;
	table_source_parse(&src, text);
	return &load.table->table;
}

struct table *table_from_pairs(const struct map_pairs *p)
{
	struct memory_table *m = memory_new();

	for (size_t i = 0; i < p->n; i++)
		(void)memory_add(m, p->v[i]->key, p->v[i]->value);
	return &m->table;
}

/* --- inline:{key=value, {key = value with blanks}} ---------------------------------------------------------------- */

/* The text inside the braces that enclose all of s, trimmed. */
static bool strip_braces(struct span s, struct span *inside_r)
{
	struct span t = span_trim(s);

	if (t.len < 2 || t.ptr[0] != '{' || t.ptr[t.len - 1] != '}')
		return false;
	*inside_r = span_trim(span_of(t.ptr + 1, t.len - 2));
	return true;
}

static bool add_item(struct memory_table *m, struct span item)
{
	struct span pair = item;
	ptrdiff_t eq;

	(void)strip_braces(item, &pair);
	eq = span_chr(pair, '=');
	if (eq <= 0)
		return false;
	(void)memory_add(m, span_trim(span_head(pair, (size_t)eq)), span_trim(span_skip(pair, (size_t)eq + 1)));
	return true;
}

struct table *table_inline_parse(struct span text, struct buf *why)
{
	struct memory_table *m = memory_new();
	struct span rest, item;
	bool ok = strip_braces(text, &rest);

	while (ok && map_list_word(&rest, &item))
		ok = add_item(m, item);
	if (ok)
		return &m->table;
	buf_addf(why, "inline:" SPAN_FMT ": inline:{key=value, key=value} is expected", SPAN_ARG(text));
	table_free(&m->table);
	return NULL;
}

struct table *table_static_parse(struct span text, struct buf *why)
{
	struct memory_table *m = memory_new();
	struct span value = text;

	(void)why;
	(void)strip_braces(text, &value);
	m->any = arena_span(&m->arena, value);
	m->table.get = static_get;
	return &m->table;
}
