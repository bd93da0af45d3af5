/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/map/match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/htab.h"
#include "lib/base/mem.h"
#include "lib/conf/lines.h"
#include "lib/map/fresh.h"

enum { FILES_MAX = 50 };

struct item {
	bool negated;
	struct span name; /* a name or address, lower case; empty: one of the others */
	struct map *table;
	bool is_block;
	struct netblock block;
};

struct match_snap {
	struct snap snap;
	struct arena arena;
	struct item *v;
	size_t n;
	bool only_names;   /* no table, address or `!': their order does not matter, and they are found by hash */
	struct htab names; /* the names of v, when only_names */
};

struct match {
	struct fresh fresh;
	char *list;
	enum match_kind kind;
	struct { /* the /file/name's of the list, as they were read */
		char *path;
		struct file_id id;
	} files[FILES_MAX];
	size_t nfiles;
};

/* --- reading the list --------------------------------------------------------------------------------------------- */

static void add_item(struct match_snap *s, struct item item)
{
	if ((s->n & (s->n - 1)) == 0)
		s->v = mem_realloc_array(s->v, s->n ? 2 * s->n : 1, sizeof item);
	s->v[s->n++] = item;
}

static bool is_table(struct span word)
{
	ptrdiff_t colon = span_chr(word, ':');

	/* [::1]/128 is an address */
	return colon > 0 && word.ptr[0] != '[';
}

static bool looks_like_block(struct span word)
{
	bool digits = word.len > 0;

	for (size_t i = 0; i < word.len; i++)
		digits = digits && (ascii_isdigit(word.ptr[i]) || strchr("./", word.ptr[i]) != NULL);
	return digits || span_starts(word, "[");
}

static bool add_words(struct match *m, struct match_snap *s, struct span text, bool negated, struct buf *why,
		      int depth);

/* The lines of a file, its comments left out, in place of its name. */
static bool add_file(struct match *m, struct match_snap *s, struct span path, bool negated, struct buf *why, int depth)
{
	struct lines l;
	struct buf text, line;
	bool ok = depth < 10 && m->nfiles < FILES_MAX;
	int at;

	if (!ok) {
		buf_addf(why, SPAN_FMT ": files are nested too deeply", SPAN_ARG(path));
		return false;
	}
	m->files[m->nfiles].path = mem_strndup(path.ptr, path.len);
	(void)file_id_get(m->files[m->nfiles].path, &m->files[m->nfiles].id);
	buf_init(&text, LINES_FILE_MAX);
	buf_init(&line, LINES_LINE_MAX);
	if (lines_read_file(m->files[m->nfiles++].path, &text) < 0) {
		buf_addf(why, "open " SPAN_FMT ": %s", SPAN_ARG(path), strerror(errno));
		ok = false;
	}
	l = lines_begin(buf_span(&text));
	while (ok && lines_next(&l, &line, &at))
		ok = add_words(m, s, buf_span(&line), negated, why, depth + 1);
	buf_free(&text);
	buf_free(&line);
	return ok;
}

static bool add_word(struct match *m, struct match_snap *s, struct span word, bool negated, struct buf *why, int depth)
{
	struct item item = { 0 };

	while (span_starts(word, "!")) {
		negated = !negated;
		word = span_skip(word, 1);
	}
	item.negated = negated;
	if (word.len == 0)
		return true;
	if (word.ptr[0] == '/')
		return add_file(m, s, word, negated, why, depth);
	if (is_table(word))
		item.table = map_open(arena_cstr(&s->arena, word));
	else if (m->kind == MATCH_NETWORK && looks_like_block(word)) {
		item.is_block = true;
		if (!netblock_parse(word, &item.block)) {
			buf_addf(why, SPAN_FMT ": not an address or a block of addresses without host bits",
				 SPAN_ARG(word));
			return false;
		}
	} else
		item.name = arena_lower(&s->arena, word);
	add_item(s, item);
	return true;
}

static bool add_words(struct match *m, struct match_snap *s, struct span text, bool negated, struct buf *why, int depth)
{
	struct span word;

	while (map_list_word(&text, &word))
		if (!add_word(m, s, word, negated, why, depth))
			return false;
	return true;
}

static void index_names(struct match_snap *s)
{
	s->only_names = true;
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].table || s->v[i].is_block || s->v[i].negated)
			s->only_names = false;
	for (size_t i = 0; s->only_names && i < s->n; i++)
		htab_put(&s->names, s->v[i].name, &s->v[i]);
}

static void match_snap_free(struct snap *snap)
{
	struct match_snap *s = (struct match_snap *)snap;

	htab_free(&s->names);
	arena_free(&s->arena);
	free(s->v);
	free(s);
}

static bool files_changed(struct match *m)
{
	struct file_id id;

	for (size_t i = 0; i < m->nfiles; i++) {
		(void)file_id_get(m->files[i].path, &id);
		if (!file_id_eq(&id, &m->files[i].id))
			return true;
	}
	return false;
}

static struct snap *match_load(struct fresh *f, struct buf *why)
{
	struct match *m = (struct match *)f;
	struct match_snap *s;

	if (f->now && !files_changed(m))
		return f->now;
	for (size_t i = 0; i < m->nfiles; i++)
		free(m->files[i].path);
	m->nfiles = 0;
	s = mem_zalloc(sizeof *s);
	s->snap.free = match_snap_free;
	if (add_words(m, s, span_cstr(m->list), false, why, 0)) {
		index_names(s);
		return &s->snap;
	}
	match_snap_free(&s->snap);
	return NULL;
}

struct match *match_open(const char *list, enum match_kind kind)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct htab known[MATCH_STRING + 1];
	struct match *m;

	pthread_mutex_lock(&lock);
	m = htab_get(&known[kind], span_cstr(list));
	if (m == NULL) {
		m = mem_zalloc(sizeof *m);
		fresh_init(&m->fresh, match_load);
		m->list = mem_strdup(list);
		m->kind = kind;
		htab_put(&known[kind], span_cstr(list), m);
	}
	pthread_mutex_unlock(&lock);
	return m;
}

/* --- asking it ---------------------------------------------------------------------------------------------------- */

static bool is_below(struct span name, struct span domain)
{
	return name.len > domain.len && name.ptr[name.len - domain.len - 1] == '.' &&
	       span_eq(span_skip(name, name.len - domain.len), domain);
}

static bool name_matches(enum match_kind kind, struct span name, struct span pattern)
{
	if (span_eq(name, pattern))
		return true;
	if (kind == MATCH_PARENT)
		return is_below(name, pattern);
	return kind != MATCH_STRING && pattern.ptr[0] == '.' && is_below(name, span_skip(pattern, 1));
}

/* The name, then each domain above it: as `domain' for MATCH_PARENT, as `.domain' else. */
static enum map_status table_has_name(struct map *table, enum match_kind kind, struct arena *a, struct span name)
{
	struct span value, rest = name;
	enum map_status st = map_get(table, a, name, &value);

	while (st == MAP_NOTFOUND && kind != MATCH_STRING) {
		ptrdiff_t dot = span_chr(span_skip(rest, 1), '.');

		if (dot < 0)
			break;
		rest = span_skip(rest, (size_t)dot + 1);
		st = map_get(table, a, kind == MATCH_PARENT ? span_skip(rest, 1) : rest, &value);
	}
	return st;
}

/* The same among the names of a list: `domain' or `.domain' for the domains above name. */
static bool names_have(const struct match_snap *s, enum match_kind kind, struct span name)
{
	struct span rest = name;

	if (htab_get(&s->names, name))
		return true;
	while (kind != MATCH_STRING && rest.len > 1) {
		ptrdiff_t dot = span_chr(span_skip(rest, 1), '.');

		if (dot < 0)
			return false;
		rest = span_skip(rest, (size_t)dot + 1);
		if (htab_get(&s->names, kind == MATCH_PARENT ? span_skip(rest, 1) : rest))
			return true;
	}
	return false;
}

static enum map_status item_has_name(const struct match *m, const struct item *item, struct arena *a, struct span name)
{
	if (item->table)
		return table_has_name(item->table, m->kind, a, name);
	if (item->is_block || name.len == 0)
		return MAP_NOTFOUND;
	return name_matches(m->kind, name, item->name) ? MAP_OK : MAP_NOTFOUND;
}

static enum map_status item_has_addr(const struct match *m, const struct item *item, struct arena *a,
				     const struct netaddr *addr, struct span host)
{
	char text[NETADDR_TEXT_MAX];
	struct span value;
	enum map_status st;

	if (item->is_block)
		return netblock_contains(&item->block, addr) ? MAP_OK : MAP_NOTFOUND;
	if (item->table) {
		st = map_get(item->table, a, span_cstr(netaddr_text(addr, text)), &value);
		if (st != MAP_NOTFOUND || host.len == 0)
			return st;
	}
	return item_has_name(m, item, a, host);
}

static enum map_status ask(struct match *m, const struct netaddr *addr, struct span name)
{
	struct match_snap *s = (struct match_snap *)fresh_get(&m->fresh);
	struct arena a = ARENA_INIT;
	struct span lower = arena_lower(&a, name);
	enum map_status answer = MAP_NOTFOUND;

	if (s == NULL) {
		arena_free(&a);
		return MAP_TEMP;
	}
	if (s->only_names && names_have(s, m->kind, lower))
		answer = MAP_OK;
	for (size_t i = 0; !s->only_names && i < s->n; i++) {
		const struct item *item = &s->v[i];
		enum map_status st = addr ? item_has_addr(m, item, &a, addr, lower) : item_has_name(m, item, &a, lower);

		if (st == MAP_NOTFOUND)
			continue;
		answer = st == MAP_OK && item->negated ? MAP_NOTFOUND : st;
		break;
	}
	fresh_put(&m->fresh, &s->snap);
	arena_free(&a);
	return answer;
}

enum map_status match_name(struct match *m, struct span name)
{
	return name.len == 0 ? MAP_NOTFOUND : ask(m, NULL, name);
}

enum map_status match_netaddr(struct match *m, const struct netaddr *addr, struct span host_name)
{
	return ask(m, addr, host_name);
}
