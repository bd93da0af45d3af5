/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An LMDB file; the key is the address, the value "status:probed:updated:text", times in seconds. Expired entries go while new ones
 * come: each update looks at some more of the file.
 */
#include "lib/queue/verify.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"

enum { KEY_MAX = 511, VALUE_MAX = QUEUE_REASON_MAX + 64, READERS_MAX = 2000, CLEAN_STEP = 8, QUIET_MS = 60000 };

static const size_t map_bytes = (size_t)512 << 20; /* of address space; when it is full, all is forgotten */

static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static MDB_env *env;
static MDB_dbi dbi;

struct entry {
	int status;
	long long probed, updated;
	char text[QUEUE_REASON_MAX + 1];
};

/* --- the file ----------------------------------------------------------------------------------------------------- */

static void complain(const char *what, int rc)
{
	static _Atomic int64_t quiet_until_ms;
	int64_t now = clock_mono_ms();

	if (now < atomic_load(&quiet_until_ms))
		return;
	atomic_store(&quiet_until_ms, now + QUIET_MS);
	log_warn("address verification cache: %s: %s", what, mdb_strerror(rc));
}

/* address_verify_map without its type: whatever that says, the file is ours. */
static void path_of(char *path, size_t size)
{
	struct span rest = span_cstr(conf->address_verify_map);

	while (span_chr(rest, ':') >= 0)
		rest = span_skip(rest, (size_t)span_chr(rest, ':') + 1);
	if (rest.len)
		snprintf(path, size, SPAN_FMT ".lmdb", SPAN_ARG(rest));
	else
		snprintf(path, size, "%s/verify_cache.lmdb", conf->data_directory);
}

static int open_dbi(MDB_env *e)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(e, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = mdb_dbi_open(txn, NULL, 0, &dbi);
	if (rc == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

static int open_env(const char *path)
{
	MDB_env *e;
	int dead, rc = mdb_env_create(&e);

	if (rc)
		return rc;
	(void)mdb_env_set_mapsize(e, map_bytes);
	(void)mdb_env_set_maxreaders(e, READERS_MAX);
	rc = mdb_env_open(e, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD, 0600);
	if (rc == 0)
		(void)mdb_reader_check(e, &dead);
	if (rc == 0)
		rc = open_dbi(e);
	if (rc == 0)
		env = e;
	else
		mdb_env_close(e);
	return rc;
}

static bool ready(void)
{
	char path[4096];
	bool ok;
	int rc = 0;

	pthread_mutex_lock(&opening);
	if (env == NULL) {
		path_of(path, sizeof path);
		rc = open_env(path);
		if (rc)
			complain(path, rc);
	}
	ok = env != NULL;
	pthread_mutex_unlock(&opening);
	return ok;
}

void verify_open(void)
{
	(void)ready(); /* what is wrong is in the log, and the next query tries again */
}

/* --- entries ------------------------------------------------------------------------------------------------------ */

static bool parse(const MDB_val *v, struct entry *e)
{
	char value[VALUE_MAX];
	int at = 0;

	if (v->mv_size >= sizeof value)
		return false;
	memcpy(value, v->mv_data, v->mv_size);
	value[v->mv_size] = '\0';
	if (sscanf(value, "%d:%lld:%lld:%n", &e->status, &e->probed, &e->updated, &at) != 3 || at == 0)
		return false;
	snprintf(e->text, sizeof e->text, "%s", value + at);
	return e->status >= VERIFY_OK && e->status <= VERIFY_UNKNOWN;
}

static bool expired(const struct entry *e, long long now)
{
	int64_t keep_ms =
	    e->status == VERIFY_OK ? conf->address_verify_positive_expire_time_ms : conf->address_verify_negative_expire_time_ms;

	return now - e->probed > VERIFY_PROBE_SECONDS && e->updated + keep_ms / 1000 < now;
}

static bool refresh_due(const struct entry *e, long long now)
{
	int64_t after_ms =
	    e->status == VERIFY_OK ? conf->address_verify_positive_refresh_time_ms : conf->address_verify_negative_refresh_time_ms;

	return now - e->probed > VERIFY_PROBE_SECONDS && e->updated + after_ms / 1000 < now;
}

/* The entry as it counts: one that is not there, is damaged or has expired says that nothing is known. 0, or LMDB's error. */
static int get(MDB_txn *txn, struct span address, struct entry *e)
{
	MDB_val k = { address.len, (void *)(uintptr_t)address.ptr }, v;
	int rc = mdb_get(txn, dbi, &k, &v);

	if (rc && rc != MDB_NOTFOUND)
		return rc;
	if (rc || !parse(&v, e) || expired(e, time(NULL))) {
		*e = (struct entry){ .status = VERIFY_UNKNOWN };
		snprintf(e->text, sizeof e->text, "Address verification in progress");
	}
	return 0;
}

static int put(MDB_txn *txn, struct span address, const struct entry *e)
{
	char value[VALUE_MAX];
	int n = snprintf(value, sizeof value, "%d:%lld:%lld:%s", e->status, e->probed, e->updated, e->text);
	MDB_val k = { address.len, (void *)(uintptr_t)address.ptr }, v = { (size_t)n, value };

	return mdb_put(txn, dbi, &k, &v, 0);
}

/* From where it was last time, some entries on. */
static void clean_some(MDB_txn *txn)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static char at[KEY_MAX];
	static size_t at_len;
	MDB_val k = { at_len, at }, v;
	MDB_cursor *cursor;
	struct entry e;
	int rc;

	if (mdb_cursor_open(txn, dbi, &cursor))
		return;
	pthread_mutex_lock(&lock);
	rc = mdb_cursor_get(cursor, &k, &v, at_len ? MDB_SET_RANGE : MDB_FIRST);
	for (int i = 0; rc == 0 && i < CLEAN_STEP; i++) {
		if (!parse(&v, &e) || expired(&e, time(NULL)))
			(void)mdb_cursor_del(cursor, 0);
		rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	at_len = rc == 0 ? k.mv_size : 0;
	if (at_len)
		memcpy(at, k.mv_data, at_len);
	pthread_mutex_unlock(&lock);
	mdb_cursor_close(cursor);
}

/* In a transaction of its own; change returns 0 for "commit". */
static bool transact(int (*change)(MDB_txn *txn, void *arg), void *arg)
{
	MDB_txn *txn;
	int rc = MDB_SUCCESS;

	for (int round = 0; round < 2; round++) {
		rc = mdb_txn_begin(env, NULL, 0, &txn);
		if (rc)
			break;
		if (round > 0) /* it was full */
			(void)mdb_drop(txn, dbi, 0);
		rc = change(txn, arg);
		if (rc == 0)
			rc = mdb_txn_commit(txn);
		else
			mdb_txn_abort(txn);
		if (rc != MDB_MAP_FULL)
			break;
	}
	if (rc)
		complain("write", rc);
	return rc == 0;
}

/* --- what others see ---------------------------------------------------------------------------------------------- */

static bool usable(struct span address)
{
	return address.len > 0 && address.len <= KEY_MAX && ready();
}

struct query {
	struct span address;
	struct entry entry;
	bool probe;
};

/* Whoever writes first that a probe is on its way sends it. */
static int claim(MDB_txn *txn, void *arg)
{
	struct query *q = arg;
	struct entry marked;
	int rc = get(txn, q->address, &q->entry);

	q->probe = rc == 0 && refresh_due(&q->entry, time(NULL));
	if (!q->probe)
		return rc;
	marked = q->entry;
	marked.probed = time(NULL);
	return put(txn, q->address, &marked);
}

bool verify_query(struct span address, bool may_probe, struct verify_answer *r)
{
	struct query q = { .address = address };
	MDB_txn *txn;
	int rc;

	if (!usable(address))
		return false;
	rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	if (rc == 0) {
		rc = get(txn, address, &q.entry);
		mdb_txn_abort(txn);
	}
	if (rc) {
		complain("read", rc);
		return false;
	}
	if (may_probe && refresh_due(&q.entry, time(NULL)) && !transact(claim, &q))
		return false;
	r->status = (enum verify_status)q.entry.status;
	r->probe = q.probe;
	memcpy(r->text, q.entry.text, sizeof r->text);
	return true;
}

static int update(MDB_txn *txn, void *arg)
{
	const struct query *q = arg;
	struct entry old;
	int rc = get(txn, q->address, &old);

	if (rc || (q->entry.status != VERIFY_OK && old.status == VERIFY_OK))
		return rc;
	rc = put(txn, q->address, &q->entry);
	if (rc == 0)
		clean_some(txn);
	return rc;
}

static int forget(MDB_txn *txn, void *arg)
{
	struct span *address = arg;
	MDB_val k = { address->len, (void *)(uintptr_t)address->ptr };
	struct entry old;
	int rc = get(txn, *address, &old);

	if (rc || old.status == VERIFY_OK)
		return rc;
	rc = mdb_del(txn, dbi, &k, NULL);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

void verify_update(struct span address, enum verdict_class class, struct span text)
{
	static const int statuses[] = {
		[VERDICT_OK] = VERIFY_OK, [VERDICT_TEMP] = VERIFY_DEFER, [VERDICT_PERM] = VERIFY_BOUNCE,
	};
	struct query q = { address, { .status = statuses[class], .updated = time(NULL) }, false };

	if (!usable(address))
		return;
	if (class != VERDICT_OK && !conf->address_verify_negative_cache) {
		(void)transact(forget, &address);
		return;
	}
	snprintf(q.entry.text, sizeof q.entry.text, SPAN_FMT, SPAN_ARG(span_head(text, QUEUE_REASON_MAX)));
	for (char *p = q.entry.text; *p; p++)
		if (ascii_iscntrl(*p))
			*p = '?';
	(void)transact(update, &q);
}

void verify_forget(struct span address)
{
	if (usable(address))
		(void)transact(forget, &address);
}
