/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Folders of mbox: a file is a folder with mail; its children are in the directory of its name with .sbd. A directory without a
 * file is a level without mail. Names with a leading dot are not folders.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/folders.h"
#include "lib/store/fs.h"
#include "lib/store/mbox-int.h"

enum { DEPTH_MAX = 16 };

enum store_status folders_errno(const char *path, int err)
{
	switch (err) {
	case ENOENT:
		return STORE_NOTFOUND;
	case EEXIST:
	case EISDIR:
		return STORE_EXISTS;
	case ENOTDIR:
	case ENOTEMPTY:
		return STORE_REFUSED;
	case ENAMETOOLONG:
		return STORE_BADNAME;
	default:
		log_error("%s: %s", path, strerrordesc_np(err) ? strerrordesc_np(err) : "unknown error");
		return err == ENOSPC || err == EDQUOT ? STORE_NOSPACE : STORE_ERROR;
	}
}

struct walk {
	struct store *s;
	struct folder_list *l;
	struct stat inbox;
	bool has_inbox;
};

static void walk_entry(struct walk *w, int dirfd, const char *prefix, const char *name, int depth);

static void walk_dir(struct walk *w, int fd, const char *prefix, int depth)
{
	DIR *d = fdopendir(fd);

	if (d == NULL) {
		close(fd);
		return;
	}
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.')
			walk_entry(w, fd, prefix, e->d_name, depth);
	closedir(d);
}

static void walk_entry(struct walk *w, int dirfd, const char *prefix, const char *name, int depth)
{
	struct span decoded;
	struct store_folder *f;
	struct stat st;
	bool sbd = false;
	size_t len = strlen(name);
	char *rel;
	int fd;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
		return;
	if (w->has_inbox && st.st_dev == w->inbox.st_dev && st.st_ino == w->inbox.st_ino)
		return;
	if (S_ISDIR(st.st_mode) && len > strlen(SBD) && strcmp(name + len - strlen(SBD), SBD) == 0)
		len -= strlen(SBD), sbd = true;
	rel = arena_printf(w->l->a, "%s%s%.*s", prefix, *prefix ? "/" : "", (int)len, name);
	decoded = names_from_disk(w->l->a, STORE_MBOX, span_cstr(rel));
	if (decoded.len == 0)
		return;
	if (!names_is_inbox(decoded) && !sbd) {
		f = folder_list_add(w->l, decoded);
		f->selectable = S_ISREG(st.st_mode);
	}
	if (!S_ISDIR(st.st_mode) || depth == DEPTH_MAX)
		return;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		walk_dir(w, fd, rel, depth + 1);
}

enum store_status mbox_list(struct store *s, struct folder_list *l)
{
	struct walk w = { .s = s, .l = l };
	int fd = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? STORE_OK : folders_errno(s->root, errno);
	w.has_inbox = stat(s->inbox, &w.inbox) == 0;
	walk_dir(&w, fd, "", 0);
	return STORE_OK;
}

static bool has_sbd(struct store *s, const char *rel)
{
	struct arena a = ARENA_INIT;
	bool yes = sbd_is_directory(s, sbd_of(&a, rel));

	arena_free(&a);
	return yes;
}

enum store_status mbox_exists(struct store *s, const char *rel, bool *selectable)
{
	AUTO_FREE char *path = fs_join(s->root, rel);
	struct stat st;

	*selectable = false;
	if (lstat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
		return has_sbd(s, rel) ? STORE_OK : STORE_NOTFOUND;
	if (lstat(path, &st) < 0)
		return folders_errno(path, errno);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return STORE_NOTFOUND;
	*selectable = S_ISREG(st.st_mode);
	return STORE_OK;
}

static int make_parents(const char *path)
{
	AUTO_FREE char *dir = mem_strdup(path);

	*strrchr(dir, '/') = '\0';
	return fs_make_dirs(dir, 0700);
}

/* Our files about a folder, and their directory if nobody else's are in it. */
static void remove_ctl(const char *ctl)
{
	DIR *d = opendir(ctl);

	if (d == NULL)
		return;
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		if (strncmp(e->d_name, "posthouse-", 10) == 0)
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(ctl);
}

/* What is known about the folder moves with it; when it cannot, the mbox itself says enough. */
static void move_ctl(struct store *s, const char *from_rel, const char *to_rel, bool directory)
{
	AUTO_FREE char *from = directory ? fs_join(s->index, from_rel) : mbox_ctl_path(s, from_rel);
	AUTO_FREE char *to = directory ? fs_join(s->index, to_rel) : mbox_ctl_path(s, to_rel);

	if (directory && strcmp(s->index, s->root) == 0)
		return; /* lies below the directory itself */
	if (access(from, F_OK) < 0)
		return;
	remove_ctl(to);
	if (make_parents(to) < 0 || rename(from, to) < 0)
		log_warn("%s: cannot move to %s: %s", from, to, strerrordesc_np(errno));
}

static enum store_status move(struct store *s, const char *from_rel, const char *to_rel, bool directory)
{
	AUTO_FREE char *from = fs_join(s->root, from_rel);
	AUTO_FREE char *to = fs_join(s->root, to_rel);

	if (make_parents(to) < 0 || renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0)
		return folders_errno(to, errno);
	move_ctl(s, from_rel, to_rel, directory);
	if (fs_sync_parent(to) < 0 || fs_sync_parent(from) < 0)
		return folders_errno(to, errno);
	return STORE_OK;
}

/* Mail comes to a level that had none: its children move to where those of a file are. */
static void make_room(struct store *s, struct span name, const char *rel)
{
	struct arena a = ARENA_INIT;

	if (sbd_is_directory(s, rel) && move(s, rel, sbd_of(&a, rel), true) == STORE_OK)
		folder_forget(s, name);
	arena_free(&a);
}

enum store_status mbox_create(struct store *s, struct span name, const char *rel, bool directory)
{
	AUTO_FREE char *path = fs_join(s->root, rel);
	int fd;

	if (make_parents(path) < 0)
		return folders_errno(path, errno);
	if (directory && has_sbd(s, rel))
		return STORE_EXISTS;
	if (directory)
		return mkdir(path, 0700) == 0 ? STORE_OK : folders_errno(path, errno);
	make_room(s, name, rel);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return folders_errno(path, errno);
	close(fd);
	return fs_sync_parent(path) == 0 ? STORE_OK : folders_errno(path, errno);
}

static enum store_status delete_file(struct folder *f)
{
	struct mboxlock l;
	enum store_status st = mbox_lock(f, &l, false);

	if (st != STORE_OK)
		return st;
	st = mbox_refresh_locked(f, &l, true);
	if (st == STORE_OK || st == STORE_ERROR)
		st = unlink(f->path) == 0 ? STORE_OK : folders_errno(f->path, errno);
	if (st == STORE_OK) {
		if (f->uidvalidity != 0)
			uidvalidity_note(f->validity_file, f->uidvalidity);
		remove_ctl(f->ctl);
	}
	mboxlock_close(&l);
	return st;
}

/* A directory goes when only our own files are left below it. */
static enum store_status delete_directory(const char *path)
{
	AUTO_FREE char *own = fs_join(path, ".imap");

	if (rmdir(path) == 0)
		return STORE_OK;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return folders_errno(path, errno);
	rmdir(own); /* fails, and so does the next, while a folder's files are in it */
	return rmdir(path) == 0 ? STORE_OK : STORE_REFUSED;
}

static enum store_status delete_level(struct store *s, const char *rel)
{
	AUTO_FREE char *path = sbd_is_directory(s, rel) ? fs_join(s->root, rel) : mem_printf("%s/%s" SBD, s->root, rel);

	return delete_directory(path);
}

/* The last child of a file takes the directory with it; so does the file, when there are no children. */
static void remove_empty(const char *path)
{
	AUTO_FREE char *below = mem_printf("%s" SBD, path);
	AUTO_FREE char *above = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
	struct stat st;

	if (lstat(below, &st) == 0)
		(void)delete_directory(below);
	if (span_ends(span_cstr(above), SBD))
		(void)delete_directory(above);
}

enum store_status mbox_delete(struct store *s, struct span name, const char *rel)
{
	AUTO_FREE char *path = fs_join(s->root, rel);
	bool selectable;
	enum store_status st = mbox_exists(s, rel, &selectable);
	struct folder *f;

	if (st != STORE_OK)
		return st;
	if (!selectable)
		return delete_level(s, rel);
	f = folder_get(s, name);
	pthread_mutex_lock(&f->mu);
	st = delete_file(f);
	pthread_mutex_unlock(&f->mu);
	folder_put(f);
	if (st == STORE_OK)
		remove_empty(path);
	return st;
}

static enum store_status move_children(struct store *s, const char *from_rel, const char *to_rel)
{
	struct arena a = ARENA_INIT;
	char *from = sbd_of(&a, from_rel), *to = sbd_of(&a, to_rel);
	enum store_status st = sbd_is_directory(s, from) ? move(s, from, to, true) : STORE_OK;

	arena_free(&a);
	return st;
}

enum store_status mbox_rename(struct store *s, struct span from, const char *from_rel, const char *to_rel)
{
	bool selectable;
	enum store_status st = mbox_exists(s, from_rel, &selectable);
	struct folder *f;
	struct mboxlock l;

	if (st != STORE_OK)
		return st;
	if (!selectable)
		return sbd_is_directory(s, from_rel) ? move(s, from_rel, to_rel, true) : move_children(s, from_rel, to_rel);
	f = folder_get(s, from);
	pthread_mutex_lock(&f->mu);
	st = mbox_lock(f, &l, false);
	if (st == STORE_OK) {
		st = mbox_refresh_locked(f, &l, true);
		if (st == STORE_OK)
			st = move(s, from_rel, to_rel, false);
		if (st == STORE_OK)
			st = move_children(s, from_rel, to_rel);
		mboxlock_close(&l);
	}
	pthread_mutex_unlock(&f->mu);
	folder_put(f);
	return st;
}
