/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/map/map.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/htab.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/conf/lines.h"
#include "lib/map/build.h"
#include "lib/map/table.h"

enum { COMPILED_IN_MEMORY_MAX = 1 << 20, RETRY_DAMAGED_MS = 10000 };

struct map_type {
	const char *name;
	enum { DEFINITION, TEXT, COMPILED } kind;
	struct table *(*define)(struct span text, struct buf *why);                       /* DEFINITION */
	struct table *(*parse)(const char *file, struct span text, struct buf *warnings); /* TEXT */
	struct table *(*open)(const char *path, struct buf *why);                         /* COMPILED */
};

static struct table *texthash(const char *file, struct span text, struct buf *warnings)
{
	return table_texthash_parse(file, text, MAP_BUILD_POSTMAP, warnings);
}

static const struct map_type types[] = {
	{ "btree", COMPILED, .open = table_db_open },    { "cidr", TEXT, .parse = table_cidr_parse },
	{ "hash", COMPILED, .open = table_db_open },     { "inline", DEFINITION, .define = table_inline_parse },
	{ "lmdb", COMPILED, .open = table_lmdb_open },   { "pcre", TEXT, .parse = table_pcre_parse },
	{ "regexp", TEXT, .parse = table_regexp_parse }, { "static", DEFINITION, .define = table_static_parse },
	{ "texthash", TEXT, .parse = texthash },         { "unix", DEFINITION, .define = table_unix_open },
};
enum { NTYPES = sizeof types / sizeof types[0] };

struct map {
	struct fresh fresh;
	char *name;
	const struct map_type *type; /* NULL: unknown */
	char *path;                  /* what follows "type:" */
	char *compiled;              /* COMPILED: path of the compiled file */
	enum map_build how;
	struct file_id source_id, compiled_id; /* of the files fresh.now was read from */
	int64_t retry_at;                      /* COMPILED: a damaged file is not read again before that */
};

const char *map_type_name(size_t i)
{
	return i < NTYPES ? types[i].name : NULL;
}

static const struct map_type *find_type(struct span name)
{
	for (size_t i = 0; i < NTYPES; i++)
		if (span_is(name, types[i].name))
			return &types[i];
	return NULL;
}

/* --- reading tables ----------------------------------------------------------------------------------------------- */

static void log_warnings(struct buf *warnings)
{
	struct span rest = buf_span(warnings), line;

	while (span_word(&rest, "\n", &line)) {
		if (span_starts(line, "warning: "))
			line = span_skip(line, strlen("warning: "));
		log_warn(SPAN_FMT, SPAN_ARG(line));
	}
}

static struct table *parse_file(struct map *m, struct buf *why)
{
	struct buf text, warnings;
	struct table *t = NULL;

	buf_init(&text, LINES_FILE_MAX);
	buf_init(&warnings, TABLE_WARNINGS_MAX);
	if (lines_read_file(m->path, &text) < 0) {
		buf_addf(why, "open %s: %s", m->path, strerror(errno));
	} else {
		t = m->type->kind == TEXT ? m->type->parse(m->path, buf_span(&text), &warnings)
					  : table_texthash_parse(m->path, buf_span(&text), m->how, &warnings);
		log_warnings(&warnings);
	}
	buf_free(&text);
	buf_free(&warnings);
	return t;
}

static struct table *now_of(struct map *m)
{
	return (struct table *)(void *)m->fresh.now;
}

/* cidr:{ { rule }, { rule } }: the lines of the file that there is not. */
static struct table *parse_inline(struct map *m, struct buf *why)
{
	struct span rest = span_cstr(m->path), word;
	struct buf text, warnings;
	struct table *t = NULL;
	bool ok = m->type->parse != texthash && rest.ptr[rest.len - 1] == '}';

	buf_init(&text, LINES_FILE_MAX);
	buf_init(&warnings, TABLE_WARNINGS_MAX);
	rest = span_of(rest.ptr + 1, rest.len > 1 ? rest.len - 2 : 0);
	while (ok && map_list_word(&rest, &word)) {
		ok = word.len > 2 && word.ptr[0] == '{' && word.ptr[word.len - 1] == '}';
		if (ok)
			buf_addf(&text, SPAN_FMT "\n", SPAN_ARG(span_trim(span_of(word.ptr + 1, word.len - 2))));
	}
	if (ok)
		t = m->type->parse(m->name, buf_span(&text), &warnings);
	else
		buf_addf(why, "%s: { { rule }, { rule } } is expected", m->name);
	log_warnings(&warnings);
	buf_free(&text);
	buf_free(&warnings);
	return t;
}

static struct table *load_text(struct map *m, struct buf *why)
{
	struct file_id id;

	if (m->path[0] == '{')
		return now_of(m) ? now_of(m) : parse_inline(m, why);
	if (file_id_get(m->path, &id) < 0) {
		buf_addf(why, "open %s: %s", m->path, strerror(errno));
		return NULL;
	}
	if (now_of(m) && file_id_eq(&id, &m->source_id))
		return now_of(m);
	m->source_id = id;
	return parse_file(m, why);
}

/*
 * May a compiled table be put there? Only beside a text whose directory nobody but root and we can change: a program
 * that runs as root does not write where a user could have prepared the ground.
 */
static bool may_build(const char *path)
{
	AUTO_FREE char *dir = mem_strdup(path);
	char *slash = strrchr(dir, '/');
	struct stat st;

	if (slash)
		slash[slash == dir] = '\0';
	if (stat(slash ? dir : ".", &st) < 0 || (st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 0002))
		return false;
	return access(slash ? dir : ".", W_OK) == 0;
}

static bool is_older(const struct file_id *a, const struct file_id *b)
{
	return a->mtime.tv_sec != b->mtime.tv_sec ? a->mtime.tv_sec < b->mtime.tv_sec
						  : a->mtime.tv_nsec < b->mtime.tv_nsec;
}

static bool rebuild(struct map *m)
{
	struct buf messages;
	bool ok;

	if (!may_build(m->path))
		return false;
	buf_init(&messages, TABLE_WARNINGS_MAX);
	ok = map_build(m->name, m->how, &messages) == 0;
	log_warnings(&messages);
	if (ok)
		log_info("rebuilt %s from %s", m->compiled, m->path);
	buf_free(&messages);
	return ok;
}

/* A small table is held in memory, where a lookup costs a tenth; a large one is asked page by page. */
static struct table *open_compiled(struct map *m, struct buf *why)
{
	struct map_pairs pairs = { 0 };
	struct buf messages;
	struct table *t = NULL;

	if (m->compiled_id.size > COMPILED_IN_MEMORY_MAX)
		return m->type->open(m->compiled, why);
	buf_init(&messages, FRESH_WHY_MAX);
	if (map_read_compiled(&pairs, m->name, &messages) == 0)
		t = table_from_pairs(&pairs);
	else
		buf_add_span(why, span_skip(span_trim(buf_span(&messages)), strlen("error: ")));
	map_pairs_free(&pairs);
	buf_free(&messages);
	return t;
}

/* The text is the truth: a compiled table that cannot be used is made anew from it, or else the text is used. */
static struct table *replace_damaged(struct map *m, struct buf *why)
{
	log_warn(SPAN_FMT ": using %s instead", SPAN_ARG(buf_span(why)), m->path);
	buf_reset(why);
	if (rebuild(m) && file_id_get(m->compiled, &m->compiled_id) == 0)
		return open_compiled(m, why);
	return parse_file(m, why);
}

static struct table *load_compiled(struct map *m, struct buf *why)
{
	struct file_id source, compiled;
	int compiled_errno = file_id_get(m->compiled, &compiled) < 0 ? errno : 0;
	struct table *t;
	bool stale, changed, same;

	(void)file_id_get(m->path, &source);
	same = file_id_eq(&source, &m->source_id) && file_id_eq(&compiled, &m->compiled_id);
	if (same && (now_of(m) || clock_mono_ms() < m->retry_at)) {
		buf_addf(why, "open database %s: it could not be read", m->compiled);
		return now_of(m);
	}
	/* A second edit within one tick of the file system's clock shows in the size or inode only. */
	changed = now_of(m) && !file_id_eq(&source, &m->source_id) && !is_older(&source, &compiled);
	stale = source.exists && (!compiled.exists || is_older(&compiled, &source) || changed);
	if (stale && rebuild(m))
		stale = file_id_get(m->compiled, &compiled) < 0;
	m->source_id = source;
	m->compiled_id = compiled;
	if (stale)
		return parse_file(m, why);
	if (!compiled.exists) {
		buf_addf(why, "open database %s: %s", m->compiled, strerror(compiled_errno));
		return NULL;
	}
	t = open_compiled(m, why);
	m->retry_at = clock_mono_ms() + RETRY_DAMAGED_MS;
	return t || !source.exists ? t : replace_damaged(m, why);
}

static struct snap *load_map(struct fresh *f, struct buf *why)
{
	struct map *m = (struct map *)f;
	struct table *t;

	if (m->type == NULL) {
		buf_addf(why, "%s: unknown type of lookup table", m->name);
		return NULL;
	}
	if (m->type->kind == DEFINITION)
		t = now_of(m) ? now_of(m) : m->type->define(span_cstr(m->path), why);
	else if (m->type->kind == TEXT)
		t = load_text(m, why);
	else
		t = load_compiled(m, why);
	return (struct snap *)(void *)t;
}

/* --- tables ------------------------------------------------------------------------------------------------------- */

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct htab registry;

/* Is this one of the tables whose text is aliases(5)? */
static bool is_alias_table(const char *name)
{
	const char *lists[] = { conf ? conf->alias_maps : "", conf ? conf->alias_database : "" };

	for (size_t i = 0; i < 2; i++) {
		struct span rest = span_cstr(lists[i]), item;

		while (map_list_word(&rest, &item)) {
			if (span_starts(item, "proxy:"))
				item = span_skip(item, 6);
			if (span_is(item, name))
				return true;
		}
	}
	return false;
}

static struct map *map_new(const char *name)
{
	struct map *m = mem_zalloc(sizeof *m);
	const char *colon = strchr(name, ':');

	fresh_init(&m->fresh, load_map);
	m->name = mem_strdup(name);
	m->type = colon ? find_type(span_of(name, (size_t)(colon - name))) : NULL;
	m->path = mem_strdup(colon ? colon + 1 : "");
	m->how = is_alias_table(name) ? MAP_BUILD_POSTALIAS : MAP_BUILD_POSTMAP;
	if (m->type && m->type->kind == COMPILED) {
		struct arena tmp = ARENA_INIT;

		m->compiled = mem_strdup(map_compiled_path(&tmp, name) ? map_compiled_path(&tmp, name) : "");
		arena_free(&tmp);
	}
	return m;
}

struct map *map_open(const char *type_name)
{
	struct map *m;
	const char *name = strncmp(type_name, "proxy:", 6) == 0 ? type_name + 6 : type_name;

	pthread_mutex_lock(&registry_lock);
	m = htab_get(&registry, span_cstr(name));
	if (m == NULL) {
		m = map_new(name);
		htab_put(&registry, span_cstr(name), m);
	}
	pthread_mutex_unlock(&registry_lock);
	return m;
}

void map_set_source(struct map *m, enum map_build how)
{
	m->how = how;
}

enum map_status map_get(struct map *m, struct arena *a, struct span key, struct span *value_r)
{
	struct snap *s = fresh_get(&m->fresh);
	struct table *t = (struct table *)(void *)s;
	enum map_status st;

	if (s == NULL)
		return MAP_TEMP;
	st = key.len == 0 ? MAP_NOTFOUND : t->get(t, a, key, value_r);
	fresh_put(&m->fresh, s);
	return st;
}

/* --- lists -------------------------------------------------------------------------------------------------------- */

struct map_list {
	struct map **v;
	size_t n;
};

bool map_list_word(struct span *rest, struct span *word_r)
{
	size_t depth = 0, n = 0;

	while (rest->len > 0 && (ascii_isspace(rest->ptr[0]) || rest->ptr[0] == ','))
		*rest = span_skip(*rest, 1);
	for (; n < rest->len; n++) {
		char c = rest->ptr[n];

		if (depth == 0 && (ascii_isspace(c) || c == ','))
			break;
		if (c == '{')
			depth++;
		else if (c == '}' && depth > 0)
			depth--;
	}
	*word_r = span_head(*rest, n);
	*rest = span_skip(*rest, n);
	return n > 0;
}

static pthread_mutex_t lists_lock = PTHREAD_MUTEX_INITIALIZER;
static struct htab lists;

static struct map_list *list_new(const char *list)
{
	struct map_list *l = mem_zalloc(sizeof *l);
	struct span rest = span_cstr(list), word;

	while (map_list_word(&rest, &word)) {
		AUTO_FREE char *name = mem_strndup(word.ptr, word.len);

		l->v = mem_realloc_array(l->v, l->n + 1, sizeof *l->v);
		l->v[l->n++] = map_open(name);
	}
	return l;
}

struct map_list *map_list_open(const char *list)
{
	struct map_list *l;

	pthread_mutex_lock(&lists_lock);
	l = htab_get(&lists, span_cstr(list));
	if (l == NULL) {
		l = list_new(list);
		htab_put(&lists, span_cstr(list), l);
	}
	pthread_mutex_unlock(&lists_lock);
	return l;
}

bool map_list_empty(const struct map_list *l)
{
	return l->n == 0;
}

enum map_status map_list_get(struct map_list *l, struct arena *a, struct span key, struct span *value_r)
{
	for (size_t i = 0; i < l->n; i++) {
		enum map_status st = map_get(l->v[i], a, key, value_r);

		if (st != MAP_NOTFOUND)
			return st;
	}
	return MAP_NOTFOUND;
}
