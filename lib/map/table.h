/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One state of one lookup table: what the types of map.h implement. A table is immutable and safe from any thread.
 * The loaders return NULL, with one line in why, when the table cannot be used; lines of a text that make no sense are
 * left out with a warning "FILE:LINE: ..." in the log, as Postfix does.
 */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"
#include "lib/map/fresh.h"
#include "lib/map/map.h"

enum { TABLE_WARNINGS_MAX = 1 << 20 };

struct table {
	struct snap snap;
	enum map_status (*get)(struct table *t, struct arena *a, struct span key, struct span *value_r);
	void (*free)(struct table *t); /* what the table holds besides itself */
};

struct table *table_alloc(size_t size,
			  enum map_status (*get)(struct table *t, struct arena *a, struct span key,
						 struct span *value_r),
			  void (*free)(struct table *t));
void table_free(struct table *t);

/* Text tables, from a file's text; file: its name in warnings ("FILE:LINE: what\n"). Pure. */
struct table *table_texthash_parse(const char *file, struct span text, enum map_build how, struct buf *warnings);
struct table *table_regexp_parse(const char *file, struct span text, struct buf *warnings);
struct table *table_pcre_parse(const char *file, struct span text, struct buf *warnings);
struct table *table_cidr_parse(const char *file, struct span text, struct buf *warnings);

/* Tables that are their own definition: the text after "inline:", "static:", "unix:". */
struct table *table_inline_parse(struct span text, struct buf *why);
struct table *table_static_parse(struct span text, struct buf *why);
struct table *table_unix_open(struct span text, struct buf *why);

/* A table in memory with the pairs of p, keys folded. */
struct map_pairs;
struct table *table_from_pairs(const struct map_pairs *p);

/* Compiled tables. path: with its suffix. */
struct table *table_db_open(const char *path, struct buf *why);
struct table *table_lmdb_open(const char *path, struct buf *why);
/* path opened for reading: 0, or an error of LMDB's; a file that is shorter than it says is MDB_CORRUPTED. */
struct MDB_env;
int table_lmdb_env(const char *path, struct MDB_env **env_r);

/*
 * The logical lines of a table's source as key and value; each returns false to stop. Postmap: key, white space, value;
 * a key in double quotes may hold white space. Postalias: name, colon, value; the name may be quoted.
 */
struct table_source {
	enum map_build how;
	const char *file;
	struct buf *warnings;
	bool (*each)(void *arg, int line, struct span key, struct span value);
	void *arg;
};
void table_source_parse(const struct table_source *src, struct span text);

/* key folded to lower case in a; as it is when it needs no folding. */
struct span table_fold(struct arena *a, struct span key);
