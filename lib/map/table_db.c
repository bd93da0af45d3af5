/* SPDX-License-Identifier: BSD-2-Clause */
/* hash and btree: Berkeley DB files, those of Postfix's postmap included (keys end with a NUL there, elsewhere not). */
#include <db.h>
#include <pthread.h>
#include <string.h>

#include "lib/map/table.h"

enum { CACHE_BYTES = 1 << 20 };

struct db_table {
	struct table table;
	pthread_mutex_t lock;
	DB *db;
	bool no_nul; /* a key was found without a NUL: try that first */
};

/* DB_NOTFOUND, 0 or an error; key and value without the NUL. */
static int db_try(struct db_table *t, struct arena *a, struct span key, bool with_nul, struct span *value_r)
{
	char *copy = arena_cstr(a, key);
	DBT k = { .data = copy, .size = (u_int32_t)(key.len + with_nul) }, v = { 0 };
	int rc = t->db->get(t->db, NULL, &k, &v, 0);
	struct span value;

	if (rc != 0)
		return rc;
	value = span_of(v.data, v.size);
	if (value.len > 0 && value.ptr[value.len - 1] == '\0')
		value.len--;
	*value_r = arena_span(a, value);
	return 0;
}

static enum map_status db_get(struct table *table, struct arena *a, struct span key, struct span *value_r)
{
	struct db_table *t = (struct db_table *)table;
	struct span folded = table_fold(a, key);
	int rc;

	if (key.len > UINT32_MAX / 2)
		return MAP_NOTFOUND;
	pthread_mutex_lock(&t->lock);
	rc = db_try(t, a, folded, !t->no_nul, value_r);
	if (rc == DB_NOTFOUND) {
		rc = db_try(t, a, folded, t->no_nul, value_r);
		if (rc == 0)
			t->no_nul = !t->no_nul;
	}
	pthread_mutex_unlock(&t->lock);
	return rc == 0 ? MAP_OK : rc == DB_NOTFOUND ? MAP_NOTFOUND : MAP_TEMP;
}

static void db_free(struct table *table)
{
	struct db_table *t = (struct db_table *)table;

	t->db->close(t->db, DB_NOSYNC);
	pthread_mutex_destroy(&t->lock);
}

static void be_quiet(const DB_ENV *env, const char *prefix, const char *text)
{
	(void)env;
	(void)prefix;
	(void)text;
}

struct table *table_db_open(const char *path, struct buf *why)
{
	struct db_table *t;
	DB *db;
	int rc = db_create(&db, NULL, 0);

	if (rc == 0) {
		db->set_errcall(db, be_quiet);
		db->set_cachesize(db, 0, CACHE_BYTES, 0);
		rc = db->open(db, NULL, path, NULL, DB_UNKNOWN, DB_RDONLY, 0);
		if (rc != 0)
			db->close(db, 0);
	}
	if (rc != 0) {
		buf_addf(why, "open database %s: %s", path, db_strerror(rc));
		return NULL;
	}
	t = (struct db_table *)table_alloc(sizeof *t, db_get, db_free);
	pthread_mutex_init(&t->lock, NULL);
	t->db = db;
	return &t->table;
}
