/* SPDX-License-Identifier: BSD-2-Clause */
/* unix:passwd.byname (through userdb, so that there is one answer to who exists) and unix:group.byname. */
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/map/table.h"
#include "lib/map/userdb.h"

static enum map_status passwd_get(struct table *t, struct arena *a, struct span key, struct span *value_r)
{
	struct user u;
	enum map_status st = userdb_get(a, table_fold(a, key), &u);

	(void)t;
	if (st == MAP_NOTFOUND)
		st = userdb_get(a, key, &u);
	if (st == MAP_OK)
		*value_r = span_cstr(arena_printf(a, SPAN_FMT ":*:%u:%u::%s:%s", SPAN_ARG(u.name), (unsigned)u.uid,
						  (unsigned)u.gid, u.home, u.shell));
	return st;
}

static enum map_status group_get(struct table *t, struct arena *a, struct span key, struct span *value_r)
{
	struct group g, *found = NULL;
	size_t size = 4096;
	char *room = mem_alloc(size);
	const char *name = arena_cstr(a, key);
	int rc;

	(void)t;
	while ((rc = getgrnam_r(name, &g, room, size, &found)) == ERANGE && size < (1 << 24)) {
		size *= 4;
		room = mem_realloc_array(room, size, 1);
	}
	if (found)
		*value_r = span_cstr(arena_printf(a, "%s:*:%u:", g.gr_name, (unsigned)g.gr_gid));
	free(room);
	if (found)
		return MAP_OK;
	return rc == 0 || rc == ENOENT || rc == ESRCH ? MAP_NOTFOUND : MAP_TEMP;
}

struct table *table_unix_open(struct span text, struct buf *why)
{
	if (span_is(text, "passwd.byname"))
		return table_alloc(sizeof(struct table), passwd_get, NULL);
	if (span_is(text, "group.byname"))
		return table_alloc(sizeof(struct table), group_get, NULL);
	buf_addf(why, "unix:" SPAN_FMT ": passwd.byname or group.byname is expected", SPAN_ARG(text));
	return NULL;
}
