/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compiled tables as postmap(1) and postalias(1) handle them: from text, changed by single keys, listed. A new state is
 * always a new file put in place of the old one; whoever has the old one open keeps a consistent view of it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/htab.h"
#include "lib/base/span.h"
#include "lib/map/map.h"

enum map_build_flags {
	MAP_BUILD_KEEP_CASE = 1, /* -f: keys are not folded */
	MAP_BUILD_NO_NUL = 2,    /* -n: no NUL after keys and values */
	MAP_BUILD_REPLACE = 4,   /* -r: a second value for a key takes the place of the first */
	MAP_BUILD_QUIET = 8,     /* -w: no warning for a second value */
};

/* A whole table in memory, each key once, in order of arrival. */
struct map_pair {
	struct span key, value;
	bool deleted;
};
struct map_pairs {
	struct arena arena;
	struct htab index;
	struct map_pair **v;
	size_t n, cap;
};

void map_pairs_free(struct map_pairs *p);
struct map_pair *map_pairs_find(const struct map_pairs *p, struct span key, unsigned flags);
/* False: the key was there, and flags do not say to replace it. */
bool map_pairs_add(struct map_pairs *p, struct span key, struct span value, unsigned flags);

/* The compiled file of type:path, "/etc/aliases.db", in a; NULL when the type has none. */
const char *map_compiled_path(struct arena *a, const char *type_name);

/* Add the lines of text; file: name in messages (one "warning: FILE:LINE: ..." line each). */
void map_read_source(struct map_pairs *p, const char *file, struct span text, enum map_build how, unsigned flags,
		     struct buf *messages);
/* All pairs of a compiled table. 0, or -1 with a message. */
int map_read_compiled(struct map_pairs *p, const char *type_name, struct buf *messages);
/*
 * Write the compiled table of type:path. like: the file whose owner, mode and modification time it gets, or NULL: those
 * of the compiled table that is there. 0, or -1 with a message; the old file stays then.
 */
struct stat;
int map_write(const struct map_pairs *p, const char *type_name, const struct stat *like, unsigned flags,
	      struct buf *messages);
/* map_build with flags. */
int map_build_with(const char *type_name, enum map_build how, unsigned flags, struct buf *messages);
