/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/store/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"

int fs_write_all(int fd, struct span s)
{
	while (s.len > 0) {
		ssize_t n = write(fd, s.ptr, s.len);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0)
			s = span_skip(s, (size_t)n);
	}
	return 0;
}

int fs_pwrite_all(int fd, struct span s, uint64_t at)
{
	while (s.len > 0) {
		ssize_t n = pwrite(fd, s.ptr, s.len, (off_t)at);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			s = span_skip(s, (size_t)n);
			at += (uint64_t)n;
		}
	}
	return 0;
}

ssize_t fs_pread_all(int fd, void *p, size_t n, uint64_t at)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(fd, (char *)p + done, n - done, (off_t)(at + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

int fs_read_file(int dirfd, const char *path, struct buf *b)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	int rc = -1;
	char *room;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0) {
		rc = -1;
	} else if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
	} else {
		room = buf_reserve(b, (size_t)st.st_size);
		if (room == NULL) {
			errno = EFBIG;
		} else {
			ssize_t n = fs_pread_all(fd, room, (size_t)st.st_size, 0);

			if (n >= 0) {
				buf_commit(b, (size_t)n);
				rc = 0;
			}
		}
	}
	close(fd);
	return rc;
}

int fs_sync_dir(int dirfd, const char *path)
{
	int rc, err, fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	rc = fsync(fd);
	err = errno;
	close(fd);
	errno = err;
	return rc;
}

static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return mem_strdup(".");
	return mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

int fs_sync_parent(const char *path)
{
	AUTO_FREE char *parent = parent_of(path);

	return fs_sync_dir(AT_FDCWD, parent);
}

char *fs_join(const char *dir, const char *name)
{
	return mem_printf("%s/%s", dir, name);
}

int fs_replace_file(int dirfd, const char *path, struct span content, mode_t mode, bool durable)
{
	AUTO_FREE char *parent = parent_of(path);
	AUTO_FREE char *tmp = mem_printf("%s.%ld.%lx.tmp", path, (long)getpid(), (unsigned long)pthread_self());
	int fd, rc;

	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -1;
	rc = fs_write_all(fd, content);
	if (rc == 0)
		rc = fsync(fd);
	if (close(fd) < 0)
		rc = -1;
	if (rc == 0)
		rc = renameat(dirfd, tmp, dirfd, path);
	if (rc < 0) {
		int err = errno;

		unlinkat(dirfd, tmp, 0);
		errno = err;
		return -1;
	}
	return durable ? fs_sync_dir(dirfd, parent) : 0;
}

int fs_make_dirs(const char *path, mode_t mode)
{
	AUTO_FREE char *p = mem_strdup(path);
	int first = 0; /* the error that says more than the one it leads to */

	for (char *s = strchr(p + 1, '/'); s != NULL; s = strchr(s + 1, '/')) {
		*s = '\0';
		if (mkdir(p, mode) < 0 && errno != EEXIST) {
			if (errno != EROFS && errno != EACCES && errno != ENOENT)
				return -1;
			first = first ? first : errno;
		}
		*s = '/';
	}
	if (mkdir(p, mode) == 0 || errno == EEXIST)
		return 0;
	if (errno == ENOENT && first != 0)
		errno = first;
	return -1;
}
