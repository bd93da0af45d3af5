/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/store/index-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/fs.h"

int index_file_open(const struct folder *f, const char *name, int flags)
{
	AUTO_FREE char *path = fs_join(f->index.dir, name);
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1)
		return fd;
	close(fd);
	return -1;
}

bool index_new_begin(const struct folder *f, const char *name, struct index_new *n)
{
	enum { FLAGS = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW };

	n->path = mem_printf("%s/%s.%ld", f->index.dir, name, (long)getpid());
	unlink(n->path);
	n->fd = open(n->path, FLAGS, 0600);
	if (n->fd < 0 && errno == ENOENT && fs_make_dirs(f->index.dir, 0700) == 0)
		n->fd = open(n->path, FLAGS, 0600);
	if (n->fd >= 0)
		return true;
	mem_auto_free(&n->path);
	return false;
}

void index_new_abort(struct index_new *n)
{
	int err = errno;

	unlink(n->path);
	close(n->fd);
	mem_auto_free(&n->path);
	errno = err;
}

bool index_new_commit(const struct folder *f, const char *name, struct index_new *n)
{
	AUTO_FREE char *path = fs_join(f->index.dir, name);

	if (rename(n->path, path) < 0) {
		index_new_abort(n);
		return false;
	}
	mem_auto_free(&n->path);
	return true;
}

void index_file_failed(struct folder *f, const char *name, int err)
{
	if (!f->index.failed)
		log_warn("%s: the index %s/%s cannot be written: %s", f->path, f->index.dir, name,
			 strerrordesc_np(err) ? strerrordesc_np(err) : "unknown error");
	f->index.failed = true;
}
