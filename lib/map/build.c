/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/map/build.h"

#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/conf/lines.h"
#include "lib/map/table.h"

/* --- pairs -------------------------------------------------------------------------------------------------------- */

void map_pairs_free(struct map_pairs *p)
{
	htab_free(&p->index);
	arena_free(&p->arena);
	free(p->v);
	*p = (struct map_pairs){ 0 };
}

static struct span fold(struct map_pairs *p, struct span key, unsigned flags)
{
	return flags & MAP_BUILD_KEEP_CASE ? key : table_fold(&p->arena, key);
}

struct map_pair *map_pairs_find(const struct map_pairs *p, struct span key, unsigned flags)
{
	struct arena tmp = ARENA_INIT;
	struct map_pair *pair = htab_get(&p->index, flags & MAP_BUILD_KEEP_CASE ? key : table_fold(&tmp, key));

	arena_free(&tmp);
	return pair && !pair->deleted ? pair : NULL;
}

bool map_pairs_add(struct map_pairs *p, struct span key, struct span value, unsigned flags)
{
	struct span folded = fold(p, key, flags);
	struct map_pair *pair = htab_get(&p->index, folded);

	if (pair && !pair->deleted && !(flags & MAP_BUILD_REPLACE))
		return false;
	if (pair == NULL) {
		pair = arena_alloc(&p->arena, sizeof *pair);
		pair->key = arena_span(&p->arena, folded);
		htab_put(&p->index, folded, pair);
		if (p->n == p->cap) {
			p->cap = p->cap ? 2 * p->cap : 64;
			p->v = mem_realloc_array(p->v, p->cap, sizeof(*p->v));
		}
		p->v[p->n++] = pair;
	}
	pair->deleted = false;
	pair->value = arena_span(&p->arena, value);
	return true;
}

/* --- from text ---------------------------------------------------------------------------------------------------- */

struct source_load {
	struct map_pairs *pairs;
	const char *file;
	unsigned flags;
	struct buf *messages;
};

static bool add_line(void *arg, int line, struct span key, struct span value)
{
	struct source_load *s = arg;

	if (!map_pairs_add(s->pairs, key, value, s->flags) && !(s->flags & MAP_BUILD_QUIET))
		buf_addf(s->messages, "warning: %s:%d: duplicate entry: \"" SPAN_FMT "\"\n", s->file, line,
			 SPAN_ARG(key));
	return true;
}

void map_read_source(struct map_pairs *p, const char *file, struct span text, enum map_build how, unsigned flags,
		     struct buf *messages)
{
	struct source_load load = { p, file, flags, messages };
	struct buf wrong;
	struct span rest, line;
	struct table_source src = { how, file, &wrong, add_line, &load };

	buf_init(&wrong, TABLE_WARNINGS_MAX);
	table_source_parse(&src, text);
	rest = buf_span(&wrong);
	while (span_word(&rest, "\n", &line))
		buf_addf(messages, "warning: " SPAN_FMT "\n", SPAN_ARG(line));
	buf_free(&wrong);
}

/* --- the two file formats ----------------------------------------------------------------------------------------- */

/* type:path with proxy: taken off. */
static bool split_name(const char *type_name, struct span *type_r, const char **path_r)
{
	const char *colon;

	if (strncmp(type_name, "proxy:", 6) == 0)
		type_name += 6;
	colon = strchr(type_name, ':');
	if (colon == NULL || colon[1] == '\0')
		return false;
	*type_r = span_of(type_name, (size_t)(colon - type_name));
	*path_r = colon + 1;
	return true;
}

static bool is_lmdb(struct span type)
{
	return span_is(type, "lmdb");
}

static bool is_compiled(struct span type)
{
	return span_is(type, "hash") || span_is(type, "btree") || is_lmdb(type);
}

static void not_compiled(const char *type_name, struct buf *messages)
{
	buf_addf(messages, "error: %s: only hash, btree and lmdb tables are compiled\n", type_name);
}

const char *map_compiled_path(struct arena *a, const char *type_name)
{
	struct span type;
	const char *path;

	if (!split_name(type_name, &type, &path))
		return NULL;
	if (span_is(type, "hash") || span_is(type, "btree"))
		return arena_printf(a, "%s.db", path);
	return is_lmdb(type) ? arena_printf(a, "%s.lmdb", path) : NULL;
}

static void be_quiet(const DB_ENV *env, const char *prefix, const char *text)
{
	(void)env;
	(void)prefix;
	(void)text;
}

static int db_put(DB *db, const struct map_pair *pair, unsigned nul)
{
	DBT k = { .data = (void *)(uintptr_t)pair->key.ptr, .size = (u_int32_t)pair->key.len + nul };
	DBT v = { .data = (void *)(uintptr_t)pair->value.ptr, .size = (u_int32_t)pair->value.len + nul };

	return db->put(db, NULL, &k, &v, 0);
}

static const char *write_db(const char *path, const struct map_pairs *p, bool btree, unsigned nul)
{
	DB *db;
	int rc = db_create(&db, NULL, 0), closed;

	if (rc != 0)
		return db_strerror(rc);
	db->set_errcall(db, be_quiet);
	db->set_cachesize(db, 0, 8 << 20, 0);
	db->set_flags(db, DB_CHKSUM);
	if (!btree)
		db->set_h_nelem(db, (u_int32_t)p->n);
	rc = db->open(db, NULL, path, NULL, btree ? DB_BTREE : DB_HASH, DB_CREATE | DB_TRUNCATE, 0600);
	for (size_t i = 0; rc == 0 && i < p->n; i++)
		if (!p->v[i]->deleted)
			rc = db_put(db, p->v[i], nul);
	closed = db->close(db, 0);
	return rc != 0 ? db_strerror(rc) : closed != 0 ? db_strerror(closed) : NULL;
}

static int lmdb_fill(MDB_env *env, const struct map_pairs *p, unsigned nul)
{
	MDB_txn *txn;
	MDB_dbi dbi;
	int rc = mdb_txn_begin(env, NULL, 0, &txn);

	if (rc != 0)
		return rc;
	rc = mdb_dbi_open(txn, NULL, MDB_CREATE, &dbi);
	for (size_t i = 0; rc == 0 && i < p->n; i++) {
		const struct map_pair *pair = p->v[i];
		MDB_val k = { pair->key.len + nul, (void *)(uintptr_t)pair->key.ptr };
		MDB_val v = { pair->value.len + nul, (void *)(uintptr_t)pair->value.ptr };

		if (!pair->deleted)
			rc = mdb_put(txn, dbi, &k, &v, 0);
	}
	if (rc == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

static const char *write_lmdb(const char *path, const struct map_pairs *p, unsigned nul)
{
	MDB_env *env;
	size_t bytes = 1 << 20;
	int rc = mdb_env_create(&env);

	for (size_t i = 0; i < p->n; i++)
		bytes += 2 * (p->v[i]->key.len + p->v[i]->value.len) + 8192 * (p->v[i]->value.len > 1000) + 64;
	if (rc != 0)
		return mdb_strerror(rc);
	mdb_env_set_mapsize(env, (bytes / 4096 + 1) * 4096);
	rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK, 0600);
	if (rc == 0)
		rc = lmdb_fill(env, p, nul);
	mdb_env_close(env);
	return rc != 0 ? mdb_strerror(rc) : NULL;
}

/* --- putting a new file in place ---------------------------------------------------------------------------------- */

static int sync_path(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC), rc;

	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

/* Owner, mode and time of the file the table was made from, so that a password table stays as secret as its text. */
static int take_after(const char *path, const struct stat *like)
{
	struct timespec times[2] = { { 0, UTIME_NOW }, like->st_mtim };

	if (geteuid() == 0 && chown(path, like->st_uid, like->st_gid) < 0)
		return -1;
	if (chmod(path, like->st_mode & 0666) < 0)
		return -1;
	return utimensat(AT_FDCWD, path, times, 0);
}

static int put_in_place(const char *temp, const char *path, const struct stat *like, struct buf *messages)
{
	AUTO_FREE char *dir = mem_strdup(path);
	char *slash = strrchr(dir, '/');

	if (slash)
		slash[slash == dir] = '\0';
	if (take_after(temp, like) == 0 && sync_path(temp, O_RDONLY) == 0 && rename(temp, path) == 0 &&
	    sync_path(slash ? dir : ".", O_RDONLY | O_DIRECTORY) == 0)
		return 0;
	buf_addf(messages, "error: write %s: %s\n", path, strerror(errno));
	return -1;
}

/* An empty file beside path, its name in a; NULL: none can be made there. */
static const char *make_temp(struct arena *a, const char *path)
{
	char *temp = arena_printf(a, "%s.XXXXXX", path);
	int fd = mkstemp(temp);

	if (fd < 0)
		return NULL;
	close(fd);
	return temp;
}

int map_write(const struct map_pairs *p, const char *type_name, const struct stat *like, unsigned flags,
	      struct buf *messages)
{
	struct arena a = ARENA_INIT;
	const char *path = map_compiled_path(&a, type_name), *temp, *source, *wrong;
	unsigned nul = flags & MAP_BUILD_NO_NUL ? 0 : 1;
	struct span type;
	struct stat there;
	int rc = -1;

	if (path == NULL || !split_name(type_name, &type, &source)) {
		not_compiled(type_name, messages);
		goto out;
	}
	if (like == NULL && stat(path, &there) == 0)
		like = &there;
	temp = like ? make_temp(&a, path) : NULL;
	if (temp == NULL) {
		buf_addf(messages, "error: open database %s: %s\n", path, strerror(errno));
		goto out;
	}
	wrong = is_lmdb(type) ? write_lmdb(temp, p, nul) : write_db(temp, p, span_is(type, "btree"), nul);
	if (wrong)
		buf_addf(messages, "error: write %s: %s\n", path, wrong);
	else
		rc = put_in_place(temp, path, like, messages);
	if (rc < 0)
		unlink(temp);
out:
	arena_free(&a);
	return rc;
}

static int read_source_file(const char *path, struct buf *text, struct stat *st, struct buf *messages)
{
	/* The time is taken before the text is read: an edit in between makes the table look old, not new. */
	if (stat(path, st) == 0 && lines_read_file(path, text) == 0)
		return 0;
	buf_addf(messages, "error: open %s: %s\n", path, strerror(errno));
	return -1;
}

int map_build_with(const char *type_name, enum map_build how, unsigned flags, struct buf *messages)
{
	struct map_pairs pairs = { 0 };
	struct buf text;
	struct span type;
	const char *path;
	struct stat st;
	int rc = -1;

	buf_init(&text, LINES_FILE_MAX);
	if (!split_name(type_name, &type, &path))
		buf_addf(messages, "error: %s: type:name is expected\n", type_name);
	else if (!is_compiled(type))
		not_compiled(type_name, messages);
	else if (read_source_file(path, &text, &st, messages) == 0) {
		map_read_source(&pairs, path, buf_span(&text), how, flags, messages);
		rc = map_write(&pairs, type_name, &st, flags, messages);
	}
	map_pairs_free(&pairs);
	buf_free(&text);
	return rc;
}

int map_build(const char *type_name, enum map_build how, struct buf *messages)
{
	return map_build_with(type_name, how, 0, messages);
}

/* --- listing ------------------------------------------------------------------------------------------------------ */

static struct span without_nul(const void *ptr, size_t len)
{
	struct span s = span_of(ptr, len);

	if (s.len > 0 && s.ptr[s.len - 1] == '\0')
		s.len--;
	return s;
}

static const char *read_db(const char *path, struct map_pairs *p)
{
	DB *db;
	DBC *cursor = NULL;
	DBT k = { 0 }, v = { 0 };
	int rc = db_create(&db, NULL, 0);

	if (rc != 0)
		return db_strerror(rc);
	db->set_errcall(db, be_quiet);
	rc = db->open(db, NULL, path, NULL, DB_UNKNOWN, DB_RDONLY, 0);
	if (rc == 0)
		rc = db->cursor(db, NULL, &cursor, 0);
	while (rc == 0 && (rc = cursor->get(cursor, &k, &v, DB_NEXT)) == 0)
		map_pairs_add(p, without_nul(k.data, k.size), without_nul(v.data, v.size), MAP_BUILD_KEEP_CASE);
	if (cursor)
		cursor->close(cursor);
	db->close(db, DB_NOSYNC);
	return rc == DB_NOTFOUND ? NULL : db_strerror(rc);
}

static int lmdb_walk(MDB_env *env, struct map_pairs *p)
{
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_cursor *cursor = NULL;
	MDB_val k, v;
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

	if (rc != 0)
		return rc;
	rc = mdb_dbi_open(txn, NULL, 0, &dbi);
	if (rc == 0)
		rc = mdb_cursor_open(txn, dbi, &cursor);
	while (rc == 0 && (rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0)
		map_pairs_add(p, without_nul(k.mv_data, k.mv_size), without_nul(v.mv_data, v.mv_size),
			      MAP_BUILD_KEEP_CASE);
	if (cursor)
		mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static const char *read_lmdb(const char *path, struct map_pairs *p)
{
	MDB_env *env;
	int rc = table_lmdb_env(path, &env);

	if (rc != 0)
		return mdb_strerror(rc);
	rc = lmdb_walk(env, p);
	mdb_env_close(env);
	return rc != 0 ? mdb_strerror(rc) : NULL;
}

int map_read_compiled(struct map_pairs *p, const char *type_name, struct buf *messages)
{
	struct arena a = ARENA_INIT;
	const char *path = map_compiled_path(&a, type_name), *source, *wrong;
	struct span type;

	if (path == NULL || !split_name(type_name, &type, &source)) {
		not_compiled(type_name, messages);
		arena_free(&a);
		return -1;
	}
	wrong = is_lmdb(type) ? read_lmdb(path, p) : read_db(path, p);
	if (wrong)
		buf_addf(messages, "error: open database %s: %s\n", path, wrong);
	arena_free(&a);
	return wrong ? -1 : 0;
}
