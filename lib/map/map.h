/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lookup tables, `type:name': hash, btree (Berkeley DB as Postfix's postmap makes them), lmdb, texthash, inline,
 * static, regexp, pcre, cidr, unix (passwd.byname, group.byname); `proxy:' in front is accepted and ignored. Safe from
 * any thread. A compiled table (hash, btree, lmdb) that is older than its source text is rebuilt by whoever opens it,
 * if it may write there; else the source is read as texthash. The text of a table named in alias_maps or alias_database
 * is aliases(5), of every other one `key value' lines. Keys are compared without regard to case, except by patterns. An
 * open table notices within a second that its file changed (fresh.h; fresh_check_now() makes it at once).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"

enum map_status {
	MAP_OK = 0,
	MAP_NOTFOUND,
	MAP_TEMP, /* the table cannot be read now: never "not found" */
};

struct map;      /* one table */
struct map_list; /* tables asked in turn, as in alias_maps */

/* The type names there are, in order; NULL past the last. */
const char *map_type_name(size_t i);

/* Shared, cached by name, never closed. Never NULL: a table that cannot be opened answers MAP_TEMP and logs why, once a
 * minute. */
struct map *map_open(const char *type_name);
enum map_status map_get(struct map *m, struct arena *a, struct span key, struct span *value_r)
    __attribute__((warn_unused_result));

/* The text of m is of this kind, whatever conf says: before m is used for the first time. */
enum map_build { MAP_BUILD_POSTMAP, MAP_BUILD_POSTALIAS };
void map_set_source(struct map *m, enum map_build how);

/* list: "hash:/etc/aliases, regexp:/x". Never NULL; empty list: MAP_NOTFOUND. */
struct map_list *map_list_open(const char *list);
/* The next word of *rest in a list of tables or patterns: comma or white space between them, { } keep words together.
 */
bool map_list_word(struct span *rest, struct span *word_r);
bool map_list_empty(const struct map_list *l);
enum map_status map_list_get(struct map_list *l, struct arena *a, struct span key, struct span *value_r)
    __attribute__((warn_unused_result));

/*
 * Search for a mail address the way Postfix's virtual(5), canonical(5), ... do: user+ext@domain, user@domain, user+ext,
 * user (the last two when domain is $myorigin or in local_domains; pass is_local), @domain. ext_r: the part of a
 * +extension that was not matched and is to be propagated, with its delimiter: "+ext" (empty span if none). delimiters:
 * recipient_delimiter, "" for none.
 */
enum map_status map_list_get_address(struct map_list *l, struct arena *a, struct span address, const char *delimiters,
				     bool is_local, struct span *value_r, struct span *ext_r);

/* Build the compiled form of type:path from its source text (postmap: keys folded, `key value' lines; postalias:
 * aliases(5)). */
int map_build(const char *type_name, enum map_build how,
	      struct buf *messages); /* 0, or -1 with messages; the old file stays */
