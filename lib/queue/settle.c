/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the log to a file of its own: what outlives its first delivery attempt. The file is durable in its place before the record
 * in the log is DONE, so a crash leaves both at worst, and the scan then takes the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/queue/log.h"
#include "lib/queue/place.h"

static int write_file(int dir, const char *name, struct span bytes)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int result = -1;

	if (fd < 0)
		return -1;
	while (bytes.len) {
		ssize_t n = write(fd, bytes.ptr, bytes.len);

		if (n < 0 && errno != EINTR)
			break;
		if (n > 0)
			bytes = span_skip(bytes, (size_t)n);
	}
	if (bytes.len == 0)
		result = fsync(fd);
	if (result < 0) {
		int saved = errno;

		unlinkat(dir, name, 0);
		errno = saved;
	}
	close(fd);
	return result;
}

/* Two workers may do this to one message at the same time: each has a temporary file of its own, one name wins. */
static int put_in_place(int dir, const char *id, struct span bytes)
{
	char temp[PLACE_PATH_MAX];
	int saved;

	snprintf(temp, sizeof temp, ".%s~%d", id, (int)gettid());
	if (write_file(dir, temp, bytes) < 0)
		return -1;
	if (renameat2(dir, temp, dir, id, RENAME_NOREPLACE) < 0) {
		saved = errno;
		unlinkat(dir, temp, 0);
		errno = saved;
		if (saved != EEXIST)
			return -1;
	}
	return fsync(dir);
}

int queue_settle(const char *id, const struct queue_place *place)
{
	int dir = place_dir(id);
	struct span view;
	struct buf copy;
	int result;

	if (place->segment == 0 || !log_view(place, id, &view))
		return 0;
	if (dir < 0)
		return -1;
	buf_init(&copy, view.len);
	result = buf_add_span(&copy, view) ? put_in_place(dir, id, buf_span(&copy)) : -1;
	buf_free(&copy);
	if (result == 0)
		log_done(place, id);
	return result;
}
