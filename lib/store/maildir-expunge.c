/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages are removed all or none, whatever happens: their names are written into posthouse-expunge, durably, before the first
 * file goes, and whoever opens the Maildir next and finds that file finishes the work. A single message needs none. The file is
 * written, worked off and removed with the uidlist locked, so there is one expunge at a time.
 *
 *	posthouse-expunge	the files			after a crash
 *	not there		all there			nothing happened
 *	there			all, some or none there		those that are named go
 *	not there		none of those named		all is done
 *
 * A name stands there without flags, and a NUL ends it: other programs may give a message flags meanwhile.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/htab.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/maildir-int.h"

enum { NAMES_MAX = 512 << 20, ATTEMPTS = 4 };

static char *plan_path(const struct folder *f)
{
	return maildir_path(f, "posthouse-expunge", NULL);
}

static bool plan_exists(const struct folder *f)
{
	AUTO_FREE char *path = plan_path(f);

	return access(path, F_OK) == 0;
}

/* When it stays, the same names are looked for once more, in vain. */
static void forget_plan(const struct folder *f)
{
	AUTO_FREE char *path = plan_path(f);

	if (unlink(path) < 0 && errno != ENOENT)
		log_warn("%s: unlink: %s", path, strerror(errno));
}

/* A full disk is no reason to keep mail that is to go. */
static enum store_status plan(struct folder *f, const uint32_t *uids, size_t n)
{
	AUTO_FREE char *path = plan_path(f);
	enum store_status s = STORE_OK;
	struct buf b;

	buf_init(&b, NAMES_MAX);
	for (size_t i = 0; i < n; i++) {
		const struct rec *r = folder_find(f, uids[i]);

		if (r == NULL)
			continue;
		buf_add(&b, r->maildir.name, r->maildir.base_len);
		buf_addc(&b, '\0');
	}
	if (fs_replace_file(AT_FDCWD, path, buf_span(&b), 0600, true) < 0 && errno != ENOSPC && errno != EDQUOT)
		s = folder_errno(f, "posthouse-expunge", errno);
	if (s != STORE_OK)
		forget_plan(f);
	buf_free(&b);
	return s;
}

static enum store_status sync_both(struct folder *f)
{
	AUTO_FREE char *cur = maildir_path(f, "cur", NULL);
	AUTO_FREE char *new = maildir_path(f, "new", NULL);

	if (fs_sync_dir(AT_FDCWD, cur) < 0 || fs_sync_dir(AT_FDCWD, new) < 0)
		return folder_errno(f, "fsync", errno);
	return STORE_OK;
}

/* --- what was left undone ---------------------------------------------------------------------------------------- */

static enum store_status remove_named(struct folder *f, const char *sub, const struct htab *names)
{
	AUTO_FREE char *path = maildir_path(f, sub, NULL);
	enum store_status s = STORE_OK;
	DIR *d = opendir(path);

	if (d == NULL)
		return errno == ENOENT ? STORE_OK : folder_errno(f, "read directory", errno);
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		struct maildir_name name;

		maildir_name_parse(span_cstr(e->d_name), &name);
		if (htab_get(names, name.base) == NULL)
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) < 0 && errno != ENOENT)
			s = folder_errno(f, e->d_name, errno);
	}
	closedir(d);
	return s;
}

/* With the uidlist locked. */
static void finish(struct folder *f)
{
	AUTO_FREE char *path = plan_path(f);
	struct htab names = HTAB_INIT;
	struct span rest;
	struct buf b;

	buf_init(&b, NAMES_MAX);
	if (fs_read_file(AT_FDCWD, path, &b) < 0) {
		if (errno != ENOENT)
			log_error("%s: %s", path, strerror(errno));
		buf_free(&b);
		return;
	}
	for (rest = buf_span(&b); rest.len > 0;) {
		struct span name = span_cut(&rest, '\0');

		if (name.len > 0)
			htab_put(&names, name, &b);
	}
	if (remove_named(f, "new", &names) == STORE_OK && remove_named(f, "cur", &names) == STORE_OK && sync_both(f) == STORE_OK) {
		forget_plan(f);
		log_info("%s: an interrupted expunge of %zu messages was finished", f->path, names.count);
	}
	htab_free(&names);
	buf_free(&b);
}

void maildir_finish_expunge(struct folder *f)
{
	char *lock;

	if (!plan_exists(f) || maildir_lock_list(f, &lock) != STORE_OK)
		return;
	finish(f);
	maildir_unlock_list(lock);
}

/* --- a new one --------------------------------------------------------------------------------------------------- */

/* Lock the uidlist when nothing is left undone. *lock_r NULL: the directory is read-only, there is no lock and no plan. */
static enum store_status begin(struct folder *f, char **lock_r)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		enum store_status s = maildir_refresh(f);

		if (s == STORE_OK)
			s = maildir_lock_list(f, lock_r);
		if (s != STORE_OK)
			return s == STORE_REFUSED ? STORE_OK : s;
		if (!plan_exists(f))
			return STORE_OK;
		maildir_unlock_list(*lock_r);
		*lock_r = NULL;
		f->maildir->racy = true;
	}
	return STORE_LOCKED;
}

/* *any_r: one at least is gone. */
static enum store_status remove_all(struct folder *f, const uint32_t *uids, size_t n, bool *any_r)
{
	enum store_status s = STORE_OK;

	*any_r = false;
	for (size_t i = 0; i < n && s == STORE_OK; i++) {
		struct rec *r = folder_find(f, uids[i]);
		AUTO_FREE char *path = r ? maildir_path(f, r->maildir.in_new ? "new" : "cur", r->maildir.name) : NULL;

		if (path == NULL)
			continue;
		if (unlink(path) == 0)
			*any_r = true;
		else if (errno != ENOENT)
			s = folder_errno(f, r->maildir.name, errno);
	}
	return s;
}

static enum store_status expunge_planned(struct folder *f, const uint32_t *uids, size_t n)
{
	enum store_status s;
	char *lock = NULL;
	bool any;

	s = begin(f, &lock);
	if (s == STORE_OK && lock != NULL)
		s = plan(f, uids, n);
	if (s == STORE_OK) {
		s = remove_all(f, uids, n, &any);
		if (s == STORE_OK)
			s = sync_both(f);
		if (lock != NULL && (s == STORE_OK || !any)) /* else the next one to look finishes it */
			forget_plan(f);
	}
	maildir_unlock_list(lock);
	return s;
}

static enum store_status expunge_one(struct folder *f, uint32_t uid)
{
	enum store_status s = maildir_refresh(f);
	bool any;

	if (s == STORE_OK)
		s = remove_all(f, &uid, 1, &any);
	return s == STORE_OK ? sync_both(f) : s;
}

enum store_status maildir_expunge(struct folder *f, const uint32_t *uids, size_t n)
{
	enum store_status s = n == 1 ? expunge_one(f, uids[0]) : expunge_planned(f, uids, n);

	f->maildir->racy = true;
	return s == STORE_OK ? maildir_refresh(f) : s;
}
