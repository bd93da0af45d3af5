/* SPDX-License-Identifier: BSD-2-Clause */
/* Folders of Maildir++: directories .a, .a.b beside cur, new and tmp of INBOX. Names that begin with two dots are not folders. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/folders.h"
#include "lib/store/fs.h"
#include "lib/store/maildir-int.h"

static bool is_maildir(int root, const char *name)
{
	char path[NAME_MAX + 8];
	struct stat st;

	snprintf(path, sizeof path, "%s/cur", name);
	return fstatat(root, path, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

/* Call each(name, arg) for the folder directories; stops when it returns false. */
static int each_folder(const char *root_path, bool (*each)(int root, const char *name, void *arg), void *arg)
{
	int root = open(root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = root >= 0 ? fdopendir(root) : NULL;

	if (d == NULL) {
		if (root >= 0)
			close(root);
		return errno == ENOENT ? 0 : -1;
	}
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		if (e->d_name[0] == '.' && e->d_name[1] != '.' && e->d_name[1] != '\0' && is_maildir(root, e->d_name) &&
		    !each(root, e->d_name, arg))
			break;
	closedir(d);
	return 0;
}

static bool list_one(int root, const char *name, void *arg)
{
	struct folder_list *l = arg;
	struct span decoded = names_from_disk(l->a, STORE_MAILDIR, span_cstr(name + 1));

	(void)root;
	if (decoded.len > 0 && !names_is_inbox(decoded))
		folder_list_add(l, decoded);
	return true;
}

enum store_status maildir_list(struct store *s, struct folder_list *l)
{
	return each_folder(s->root, list_one, l) < 0 ? folders_errno(s->root, errno) : STORE_OK;
}

static bool is_below(const char *name, const char *rel)
{
	size_t n = strlen(rel);

	return strncmp(name, rel, n) == 0 && name[n] == '.';
}

struct below {
	const char *rel;
	bool found;
};

static bool find_below(int root, const char *name, void *arg)
{
	struct below *b = arg;

	(void)root;
	b->found = is_below(name, b->rel);
	return !b->found;
}

enum store_status maildir_exists(struct store *s, const char *rel, bool *selectable)
{
	AUTO_FREE char *path = fs_join(s->root, rel);
	AUTO_FREE char *cur = fs_join(path, "cur");
	struct below b = { .rel = rel };
	struct stat st;

	*selectable = stat(cur, &st) == 0 && S_ISDIR(st.st_mode);
	if (*selectable)
		return STORE_OK;
	if (each_folder(s->root, find_below, &b) < 0)
		return folders_errno(s->root, errno);
	return b.found ? STORE_OK : STORE_NOTFOUND;
}

enum store_status maildir_create(struct store *s, const char *rel)
{
	static const char *const subs[] = { "tmp", "new", "cur" };
	AUTO_FREE char *path = fs_join(s->root, rel);
	AUTO_FREE char *mark = fs_join(path, "maildirfolder");
	int fd;

	if (fs_make_dirs(s->root, 0700) < 0 || mkdir(path, 0700) < 0)
		return folders_errno(path, errno);
	fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	for (size_t i = 0; i < 3; i++) {
		AUTO_FREE char *sub = fs_join(path, subs[i]);

		if (mkdir(sub, 0700) < 0)
			return folders_errno(sub, errno);
	}
	if (fs_sync_dir(AT_FDCWD, path) < 0 || fs_sync_parent(path) < 0)
		return folders_errno(path, errno);
	return STORE_OK;
}

/* Everything below a directory that is no folder any more. */
static void remove_tree(int dirfd, const char *name, int depth)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(fd, e->d_name, 0) < 0 && depth < 8)
			remove_tree(fd, e->d_name, depth + 1);
	}
	closedir(d);
	unlinkat(dirfd, name, AT_REMOVEDIR);
}

static void note_validity(struct store *s, struct span name)
{
	struct folder *f = folder_get(s, name);

	if (f == NULL)
		return;
	pthread_mutex_lock(&f->mu);
	if (maildir_refresh(f) == STORE_OK && f->uidvalidity != 0)
		uidvalidity_note(f->validity_file, f->uidvalidity);
	pthread_mutex_unlock(&f->mu);
	folder_put(f);
}

enum store_status maildir_delete(struct store *s, struct span name, const char *rel)
{
	AUTO_FREE char *path = fs_join(s->root, rel);
	AUTO_FREE char *away = NULL;
	char hidden[64];
	bool selectable;
	enum store_status st = maildir_exists(s, rel, &selectable);

	if (st != STORE_OK)
		return st;
	if (!selectable)
		return STORE_REFUSED; /* only its children are there */
	note_validity(s, name);
	snprintf(hidden, sizeof hidden, "..posthouse-deleted.%ld.%lld", (long)getpid(), (long long)clock_wall_us());
	away = fs_join(s->root, hidden);
	if (rename(path, away) < 0)
		return folders_errno(path, errno);
	remove_tree(AT_FDCWD, away, 0);
	return fs_sync_parent(path) == 0 ? STORE_OK : folders_errno(path, errno);
}

struct renaming {
	const char *from, *to;
	int err;
};

static bool rename_one(int root, const char *name, void *arg)
{
	struct renaming *r = arg;
	size_t n = strlen(r->from);
	char to[512];

	if (strcmp(name, r->from) != 0 && !is_below(name, r->from))
		return true;
	if ((size_t)snprintf(to, sizeof to, "%s%s", r->to, name + n) >= sizeof to ||
	    renameat2(root, name, root, to, RENAME_NOREPLACE) < 0)
		r->err = errno ? errno : ENAMETOOLONG;
	return r->err == 0;
}

enum store_status maildir_rename(struct store *s, const char *from_rel, const char *to_rel)
{
	struct renaming r = { .from = from_rel, .to = to_rel };

	if (each_folder(s->root, rename_one, &r) < 0)
		return folders_errno(s->root, errno);
	if (r.err != 0)
		return folders_errno(to_rel, r.err);
	return fs_sync_dir(AT_FDCWD, s->root) == 0 ? STORE_OK : folders_errno(s->root, errno);
}
