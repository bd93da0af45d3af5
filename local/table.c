/* SPDX-License-Identifier: BSD-2-Clause */
/* alias_maps, table by table: who owns the table that answers decides whose rights its commands and files get. */
#include "local/expand.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/mem.h"
#include "lib/conf/conf.h"

struct table {
	struct map *map;
	const char *path; /* source file, or NULL: inline, static and the like are main.cf's own */
};

static struct table *tables; /* of alias_maps, made once */
static size_t ntables;
static bool ready;

/* Next `type:name' of a list; blanks and commas inside braces do not separate. */
static bool next_name(struct span *rest, struct span *name_r)
{
	size_t depth = 0, i = 0;

	while (rest->len > 0 && (ascii_isspace(rest->ptr[0]) || rest->ptr[0] == ','))
		*rest = span_skip(*rest, 1);
	for (; i < rest->len; i++) {
		char c = rest->ptr[i];

		depth += c == '{';
		depth -= c == '}' && depth > 0;
		if (depth == 0 && (ascii_isspace(c) || c == ','))
			break;
	}
	*name_r = span_head(*rest, i);
	*rest = span_skip(*rest, i);
	return i > 0;
}

static const char *source_path(struct span name)
{
	struct span path;

	if (span_starts(name, "proxy:"))
		name = span_skip(name, strlen("proxy:"));
	path = span_skip(name, (size_t)(span_chr(name, ':') + 1));
	return span_starts(path, "/") ? mem_strndup(path.ptr, path.len) : NULL;
}

static void open_tables(void)
{
	struct span rest = span_cstr(conf->alias_maps), name;

	while (next_name(&rest, &name)) {
		AUTO_FREE char *text = mem_strndup(name.ptr, name.len);

		tables = mem_realloc_array(tables, ntables + 1, sizeof *tables);
		tables[ntables++] = (struct table){ map_open(text), source_path(name) };
	}
	ready = true;
}

/* Of source text and compiled table the one that is not root's counts: its owner can change what is in there. */
static uid_t table_owner(const struct table *t)
{
	static const char *const suffixes[] = { "", ".db", ".lmdb" };
	char path[4096];
	struct stat st;

	for (size_t i = 0; t->path && i < sizeof suffixes / sizeof suffixes[0]; i++) {
		snprintf(path, sizeof path, "%s%s", t->path, suffixes[i]);
		if (stat(path, &st) == 0 && st.st_uid != 0)
			return st.st_uid;
	}
	return 0;
}

enum map_status table_lookup(struct arena *a, struct span key, struct span *value_r, uid_t *owner_r)
{
	if (!ready)
		open_tables();
	for (size_t i = 0; i < ntables; i++) {
		enum map_status status = map_get(tables[i].map, a, key, value_r);

		if (status == MAP_NOTFOUND)
			continue;
		*owner_r = table_owner(&tables[i]);
		return status;
	}
	return MAP_NOTFOUND;
}
