/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lmdb: one file without a lock file beside it. Our own builder replaces the file as a whole, so a reader's view never
 * changes under it.
 */
#include <errno.h>
#include <lmdb.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/map/table.h"

struct lmdb_table {
	struct table table;
	MDB_env *env;
	MDB_dbi dbi;
};

static int lmdb_try(struct lmdb_table *t, MDB_txn *txn, struct arena *a, struct span key, struct span *value_r)
{
	MDB_val k = { key.len, (void *)(uintptr_t)key.ptr }, v;
	int rc = mdb_get(txn, t->dbi, &k, &v);
	struct span value;

	if (rc != 0)
		return rc == MDB_BAD_VALSIZE ? MDB_NOTFOUND : rc;
	value = span_of(v.mv_data, v.mv_size);
	if (value.len > 0 && value.ptr[value.len - 1] == '\0')
		value.len--;
	*value_r = arena_span(a, value);
	return 0;
}

static enum map_status lmdb_get(struct table *table, struct arena *a, struct span key, struct span *value_r)
{
	struct lmdb_table *t = (struct lmdb_table *)table;
	struct span folded = arena_span(a, table_fold(a, key));
	MDB_txn *txn;
	int rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn);

	if (rc != 0)
		return MAP_TEMP;
	rc = lmdb_try(t, txn, a, span_of(folded.ptr, folded.len + 1), value_r);
	if (rc == MDB_NOTFOUND && folded.len > 0)
		rc = lmdb_try(t, txn, a, folded, value_r);
	mdb_txn_abort(txn);
	return rc == 0 ? MAP_OK : rc == MDB_NOTFOUND ? MAP_NOTFOUND : MAP_TEMP;
}

static void lmdb_free(struct table *table)
{
	mdb_env_close(((struct lmdb_table *)table)->env);
}

static int open_dbi(MDB_env *env, MDB_dbi *dbi_r)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

	if (rc != 0)
		return rc;
	rc = mdb_dbi_open(txn, NULL, 0, dbi_r);
	if (rc == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

/* LMDB maps the file and reads it as memory: what is missing at its end would be a SIGBUS. */
static int check_length(MDB_env *env, const char *path)
{
	MDB_envinfo info;
	MDB_stat stats;
	struct stat st;
	int rc = mdb_env_info(env, &info);

	if (rc == 0)
		rc = mdb_env_stat(env, &stats);
	if (rc == 0 && stat(path, &st) < 0)
		rc = errno;
	if (rc == 0 && (uintmax_t)st.st_size / stats.ms_psize < info.me_last_pgno + 1)
		rc = MDB_CORRUPTED;
	return rc;
}

int table_lmdb_env(const char *path, MDB_env **env_r)
{
	MDB_env *env;
	int rc = mdb_env_create(&env);

	if (rc != 0)
		return rc;
	rc = mdb_env_open(env, path, MDB_RDONLY | MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0600);
	if (rc == 0)
		rc = check_length(env, path);
	if (rc == 0)
		*env_r = env;
	else
		mdb_env_close(env);
	return rc;
}

struct table *table_lmdb_open(const char *path, struct buf *why)
{
	struct lmdb_table *t;
	MDB_env *env;
	MDB_dbi dbi = 0;
	int rc = table_lmdb_env(path, &env);

	if (rc == 0) {
		rc = open_dbi(env, &dbi);
		if (rc != 0)
			mdb_env_close(env);
	}
	if (rc != 0) {
		buf_addf(why, "open database %s: %s", path, mdb_strerror(rc));
		return NULL;
	}
	t = (struct lmdb_table *)table_alloc(sizeof *t, lmdb_get, lmdb_free);
	t->env = env;
	t->dbi = dbi;
	return &t->table;
}
