/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/queue/place.h"
#include "lib/queue/queue.h"

int work_prepare(void)
{
	int fd = open(WORK_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? -1 : close(fd);
}

static int open_lock(void)
{
	return open(WORK_LOCK, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
}

int queue_work_begin(void)
{
	int fd = open_lock();

	if (fd >= 0 && flock(fd, LOCK_SH) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

void queue_work_end(int work)
{
	if (work >= 0)
		close(work);
}

bool queue_work_over(void)
{
	int fd = open_lock();
	bool over = fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0;

	if (fd >= 0)
		close(fd);
	return over;
}
