/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/store/fs.h"
#include "lib/store/store-int.h"

/* The file holds one decimal number: the highest UIDVALIDITY given out or seen for this user. */
static uint32_t read_last(int fd)
{
	char text[16];
	ssize_t n = pread(fd, text, sizeof text, 0);
	uint64_t last = 0;

	if (n <= 0 || !span_u64(span_trim(span_of(text, (size_t)n)), UINT32_MAX - 1, &last))
		return 0;
	return (uint32_t)last;
}

static void write_last(int fd, uint32_t last)
{
	char text[16];
	int n = snprintf(text, sizeof text, "%010u\n", last);

	if (fs_pwrite_all(fd, span_of(text, (size_t)n), 0) == 0)
		fdatasync(fd);
}

static int open_file(const char *file)
{
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

	if (fd < 0) {
		AUTO_FREE char *dir = mem_strdup(file);

		*strrchr(dir, '/') = '\0';
		if (fs_make_dirs(dir, 0700) == 0)
			fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	}
	return fd;
}

uint32_t uidvalidity_new(const char *file)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static uint32_t here; /* where no file can be kept: at least in this process */
	uint32_t now = (uint32_t)clock_wall(), last = 0;
	int fd = open_file(file);

	pthread_mutex_lock(&lock);
	if (fd >= 0 && flock(fd, LOCK_EX) == 0)
		last = read_last(fd);
	if (last < here)
		last = here;
	if (last > now + 86400u * 3650) /* nonsense */
		last = 0;
	here = last >= now ? last + 1 : now;
	last = here;
	if (fd >= 0) {
		write_last(fd, last);
		close(fd);
	}
	pthread_mutex_unlock(&lock);
	return last;
}

void uidvalidity_note(const char *file, uint32_t used)
{
	int fd = open_file(file);

	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX) == 0 && read_last(fd) < used)
		write_last(fd, used);
	close(fd);
}
