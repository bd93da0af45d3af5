/* SPDX-License-Identifier: BSD-2-Clause */
/* .forward and :include: files: opened with the right rights, checked, read whole. */
#include "local/expand.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"

/* Open as r (NULL: as we are). -1 and errno. */
static int open_as(const char *path, const struct rights *r, int flags)
{
	int fd, err;

	if (r && !rights_become(r, -1))
		return -1;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | flags);
	err = errno;
	if (r)
		rights_restore();
	errno = err;
	return fd;
}

static enum source_status read_all(struct arena *a, int fd, const char *path, size_t max, struct span *text_r,
				   struct verdict *v_r)
{
	struct buf b;
	ssize_t n = 0;
	char *to;

	buf_init(&b, max);
	while ((to = buf_reserve(&b, max - b.len < 8192 ? max - b.len : 8192)) != NULL) {
		n = max == b.len ? 0 : read(fd, to, max - b.len < 8192 ? max - b.len : 8192);
		if (n <= 0)
			break;
		buf_commit(&b, (size_t)n);
	}
	if (n < 0)
		*v_r = verdict_errno(a, path, errno);
	else if (b.len == max)
		*v_r = verdict_make(a, "4.3.5", "%s is too large", path);
	*text_r = arena_span(a, buf_span(&b));
	buf_free(&b);
	return n < 0 || text_r->len == max ? SOURCE_TEMP : SOURCE_OK;
}

enum source_status source_forward(struct arena *a, const char *path, const struct rights *r, struct span *text_r,
				  struct verdict *v_r)
{
	enum source_status status = SOURCE_NONE;
	struct stat st;
	int fd;

	/* What is not there for root is there for nobody: most have none, and then there is nothing to become somebody for. */
	if (rights_privileged() && lstat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
		return SOURCE_NONE;
	fd = open_as(path, r, O_NOFOLLOW);
	if (fd < 0) {
		switch (errno) {
		case ENOENT:
		case ENOTDIR:
			return SOURCE_NONE;
		case EACCES:
		case ELOOP:
			log_warn("%s is not used: %m", path);
			return SOURCE_NONE;
		default:
			*v_r = verdict_errno(a, path, errno);
			return SOURCE_TEMP;
		}
	}
	if (fstat(fd, &st) < 0) {
		*v_r = verdict_errno(a, path, errno);
		status = SOURCE_TEMP;
	} else if (!S_ISREG(st.st_mode)) {
		log_warn("%s is not used: not a regular file", path);
	} else if (rights_privileged() && st.st_uid != r->uid && st.st_uid != 0) {
		log_warn("%s is not used: it belongs to user id %u", path, st.st_uid);
	} else if (st.st_mode & S_IWOTH) {
		log_warn("%s is not used: everybody can write to it", path);
	} else {
		status = read_all(a, fd, path, FORWARD_FILE_MAX, text_r, v_r);
	}
	close(fd);
	return status;
}

enum source_status source_include(struct arena *a, const char *path, const struct rights *r, struct span *text_r,
				  uid_t *owner_r, struct verdict *v_r)
{
	enum source_status status = SOURCE_TEMP;
	struct stat st;
	int fd = open_as(path, r, 0);

	if (fd < 0 || fstat(fd, &st) < 0)
		*v_r = verdict_errno(a, path, errno);
	else if (!S_ISREG(st.st_mode))
		*v_r = verdict_make(a, "4.3.5", "%s is not a regular file", path);
	else if (st.st_mode & S_IWOTH)
		*v_r = verdict_make(a, "4.3.5", "everybody can write to %s", path);
	else
		status = read_all(a, fd, path, INCLUDE_FILE_MAX, text_r, v_r);
	if (status == SOURCE_OK)
		*owner_r = st.st_uid;
	if (fd >= 0)
		close(fd);
	return status;
}
