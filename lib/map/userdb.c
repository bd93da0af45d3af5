/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/map/userdb.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/htab.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/conf/lines.h"
#include "lib/map/fresh.h"
#include "lib/map/passwdfile.h"

/* --- the system's users ------------------------------------------------------------------------------------------- */

/*
 * getpwnam opens and reads a file, or asks another daemon, at each call; one answer is kept for a short while, and no
 * longer than /etc/passwd stays as it is.
 */
enum { KEEP_FOUND_MS = 10000, KEEP_NOTFOUND_MS = 2000, CACHE_MAX = 20000, PASSWD_BYTES_MAX = 1 << 20 };

struct cached_user {
	int64_t until;
	bool found;
	uid_t uid;
	gid_t gid;
	char *name, *home, *shell;
};

static struct {
	pthread_mutex_t lock;
	struct htab users;
	struct file_id passwd;
	int64_t check_at;
} cache = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void free_cached(struct span key, void *value, void *arg)
{
	struct cached_user *u = value;

	(void)key;
	(void)arg;
	free(u->name);
	free(u->home);
	free(u->shell);
	free(u);
}

static void cache_clear(void)
{
	htab_each(&cache.users, free_cached, NULL);
	htab_free(&cache.users);
	cache.users = HTAB_INIT;
}

static void cache_check(int64_t now)
{
	struct file_id id;

	if (now < cache.check_at)
		return;
	cache.check_at = now + FRESH_CHECK_MS;
	(void)file_id_get("/etc/passwd", &id);
	if (!file_id_eq(&id, &cache.passwd) || cache.users.count > CACHE_MAX)
		cache_clear();
	cache.passwd = id;
}

static void from_cached(struct arena *a, const struct cached_user *u, struct user *user_r)
{
	*user_r = (struct user){ .name = arena_span(a, span_cstr(u->name)),
				 .uid = u->uid,
				 .gid = u->gid,
				 .home = arena_strdup(a, u->home),
				 .shell = arena_strdup(a, u->shell) };
}

/* True when the cache knows; *st_r is then the answer. */
static bool cache_get(struct arena *a, struct span name, struct user *user_r, enum map_status *st_r)
{
	int64_t now = clock_mono_ms();
	const struct cached_user *u;
	bool known;

	pthread_mutex_lock(&cache.lock);
	cache_check(now);
	u = htab_get(&cache.users, name);
	known = u && now < u->until;
	if (known) {
		*st_r = u->found ? MAP_OK : MAP_NOTFOUND;
		if (u->found)
			from_cached(a, u, user_r);
	}
	pthread_mutex_unlock(&cache.lock);
	return known;
}

static void cache_put(struct span name, const struct passwd *pw)
{
	struct cached_user *u = mem_zalloc(sizeof *u), *old;

	u->until = clock_mono_ms() + (pw ? KEEP_FOUND_MS : KEEP_NOTFOUND_MS);
	u->found = pw != NULL;
	if (pw) {
		u->uid = pw->pw_uid;
		u->gid = pw->pw_gid;
		u->name = mem_strdup(pw->pw_name);
		u->home = mem_strdup(pw->pw_dir ? pw->pw_dir : "/");
		u->shell = mem_strdup(pw->pw_shell ? pw->pw_shell : "");
	}
	pthread_mutex_lock(&cache.lock);
	if (cache.users.count > CACHE_MAX)
		cache_clear();
	old = htab_put(&cache.users, name, u);
	pthread_mutex_unlock(&cache.lock);
	if (old)
		free_cached(name, old, NULL);
}

static enum map_status system_lookup(struct arena *a, struct span name, struct user *user_r)
{
	size_t size = 2048;
	char *room = mem_alloc(size);
	struct passwd pw, *found = NULL;
	const char *cname = arena_cstr(a, name);
	int rc;

	while ((rc = getpwnam_r(cname, &pw, room, size, &found)) == ERANGE && size < PASSWD_BYTES_MAX) {
		size *= 4;
		room = mem_realloc_array(room, size, 1);
	}
	if (found == NULL && rc != 0 && rc != ENOENT && rc != ESRCH) {
		log_error("look up user %s: %s", cname, strerror(rc));
		free(room);
		return MAP_TEMP;
	}
	cache_put(name, found);
	if (found)
		*user_r = (struct user){ .name = arena_span(a, span_cstr(pw.pw_name)),
					 .uid = pw.pw_uid,
					 .gid = pw.pw_gid,
					 .home = arena_strdup(a, pw.pw_dir ? pw.pw_dir : "/"),
					 .shell = arena_strdup(a, pw.pw_shell ? pw.pw_shell : "") };
	free(room);
	return found ? MAP_OK : MAP_NOTFOUND;
}

/* --- passwd-files ------------------------------------------------------------------------------------------------- */

struct users_snap {
	struct snap snap;
	struct passwd_file *file;
};

struct users_file {
	struct fresh fresh;
	struct file_id id;
	char *path;
	bool with_hashes;
};

static void users_snap_free(struct snap *s)
{
	struct users_snap *u = (struct users_snap *)s;

	passwd_file_free(u->file);
	free(u);
}

static void log_lines(const struct buf *warnings)
{
	struct span rest = buf_span(warnings), line;

	while (span_word(&rest, "\n", &line))
		log_warn(SPAN_FMT, SPAN_ARG(line));
}

static struct snap *users_read(struct users_file *f, struct buf *why)
{
	struct users_snap *u = NULL;
	struct buf text, warnings;

	buf_init(&text, LINES_FILE_MAX);
	buf_init(&warnings, 65536);
	if (lines_read_file(f->path, &text) < 0) {
		buf_addf(why, "open %s: %s", f->path, strerror(errno));
	} else {
		u = mem_zalloc(sizeof *u);
		u->snap.free = users_snap_free;
		u->file = passwd_file_parse(f->path, buf_span(&text), f->with_hashes, &warnings);
		log_lines(&warnings);
	}
	buf_wipe(&text);
	buf_free(&warnings);
	return u ? &u->snap : NULL;
}

static struct snap *users_load(struct fresh *fresh, struct buf *why)
{
	struct users_file *f = (struct users_file *)fresh;
	struct file_id id;

	if (file_id_get(f->path, &id) < 0) {
		buf_addf(why, "open %s: %s", f->path, strerror(errno));
		return NULL;
	}
	if (f->fresh.now && file_id_eq(&id, &f->id))
		return f->fresh.now;
	f->id = id;
	return users_read(f, why);
}

/* The file of this path, opened once; those with passwords apart, so that only who asks for them ever holds them. */
static struct users_file *users_open(const char *path, bool with_hashes)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct htab files[2];
	struct users_file *f;

	pthread_mutex_lock(&lock);
	f = htab_get(&files[with_hashes], span_cstr(path));
	if (f == NULL) {
		f = mem_zalloc(sizeof *f);
		fresh_init(&f->fresh, users_load);
		f->path = mem_strdup(path);
		f->with_hashes = with_hashes;
		htab_put(&files[with_hashes], span_cstr(path), f);
	}
	pthread_mutex_unlock(&lock);
	return f;
}

static bool parse_uid(struct arena *a, struct span text, uid_t *uid_r)
{
	struct user u;
	uint64_t n;

	if (span_u64(text, UINT32_MAX - 1, &n)) {
		*uid_r = (uid_t)n;
		return true;
	}
	if (!passwd_name_valid(text) || system_lookup(a, text, &u) != MAP_OK)
		return false;
	*uid_r = u.uid;
	return true;
}

static bool parse_gid(struct arena *a, struct span text, gid_t *gid_r)
{
	struct group g, *found = NULL;
	char *room = arena_alloc(a, 65536);
	uint64_t n;

	if (span_u64(text, UINT32_MAX - 1, &n)) {
		*gid_r = (gid_t)n;
		return true;
	}
	if (!passwd_name_valid(text) || getgrnam_r(arena_cstr(a, text), &g, room, 65536, &found) != 0 || found == NULL)
		return false;
	*gid_r = g.gr_gid;
	return true;
}

/* In unprivileged mode everybody is us. Identities do not change there, and this runs for every recipient. */
static void be_us(struct user *u)
{
	static _Atomic int64_t ids = -1; /* uid and gid, once known */

	if (ids < 0)
		ids = (int64_t)geteuid() << 31 | (int64_t)getegid();
	u->uid = (uid_t)(ids >> 31);
	u->gid = (gid_t)(ids & 0x7fffffff);
}

static enum map_status from_line(struct arena *a, const char *path, const struct passwd_line *line, struct user *user_r)
{
	struct user u = { .name = arena_span(a, line->name),
			  .home = arena_cstr(a, line->home.len ? line->home : SPAN("/nonexistent")),
			  .shell = arena_cstr(a, line->shell),
			  .disabled = line->disabled,
			  .no_login = line->no_login,
			  .mail_location = line->mail.len ? arena_cstr(a, line->mail) : NULL };

	if (conf_unprivileged(conf))
		be_us(&u);
	else if (!parse_uid(a, line->uid, &u.uid) || !parse_gid(a, line->gid, &u.gid)) {
		log_error("%s: user " SPAN_FMT " has no valid uid and gid", path, SPAN_ARG(line->name));
		return MAP_TEMP;
	}
	*user_r = u;
	return MAP_OK;
}

static enum map_status file_lookup(const char *path, struct arena *a, struct span name, struct user *user_r)
{
	struct users_file *f = users_open(path, false);
	struct users_snap *u = (struct users_snap *)fresh_get(&f->fresh);
	const struct passwd_line *line;
	enum map_status st = MAP_NOTFOUND;

	if (u == NULL)
		return MAP_TEMP;
	line = passwd_file_find(u->file, name);
	if (line)
		st = from_line(a, path, line, user_r);
	fresh_put(&f->fresh, &u->snap);
	return st;
}

/* --- both --------------------------------------------------------------------------------------------------------- */

static enum map_status source_lookup(struct span source, struct arena *a, struct span name, struct user *user_r)
{
	enum map_status st;

	if (span_starts(source, "passwd-file:"))
		return file_lookup(arena_cstr(a, span_skip(source, strlen("passwd-file:"))), a, name, user_r);
	if (!span_is(source, "passwd")) {
		log_error("userdb = " SPAN_FMT ": passwd or passwd-file:PATH is expected", SPAN_ARG(source));
		return MAP_TEMP;
	}
	if (!cache_get(a, name, user_r, &st))
		st = system_lookup(a, name, user_r);
	if (st == MAP_OK && conf_unprivileged(conf))
		be_us(user_r);
	return st;
}

enum map_status userdb_get(struct arena *a, struct span name, struct user *user_r)
{
	struct span rest = span_cstr(conf->userdb), source;

	if (!passwd_name_valid(name))
		return MAP_NOTFOUND;
	while (span_word(&rest, ", \t\r\n", &source)) {
		enum map_status st = source_lookup(source, a, name, user_r);

		if (st != MAP_NOTFOUND)
			return st;
	}
	return MAP_NOTFOUND;
}

enum map_status userdb_password(const char *path, struct arena *a, struct span name, struct span *hash_r,
				bool *no_login_r)
{
	struct users_file *f = users_open(path, true);
	struct users_snap *u;
	const struct passwd_line *line;

	if (!passwd_name_valid(name))
		return MAP_NOTFOUND;
	u = (struct users_snap *)fresh_get(&f->fresh);
	if (u == NULL)
		return MAP_TEMP;
	line = passwd_file_find(u->file, name);
	if (line) {
		*hash_r = arena_span(a, line->hash);
		*no_login_r = line->disabled || line->no_login;
	}
	fresh_put(&f->fresh, &u->snap);
	return line ? MAP_OK : MAP_NOTFOUND;
}
