/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/queue/queue.h"

static const char lock_file[] = "work.lock";

static int open_lock(void)
{
	return open(lock_file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
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
