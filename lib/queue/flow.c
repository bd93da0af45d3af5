/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/queue/flow.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const _Atomic char *page;

int queue_flow_prepare(void)
{
	int fd = open(FLOW_PAGE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int status = fd < 0 ? -1 : ftruncate(fd, 1); /* never shorter, so that who has mapped it can read it */

	if (fd >= 0)
		close(fd);
	return status;
}

void queue_flow_show(bool behind)
{
	static int fd = -1, shown = -1;
	char byte = (char)behind;

	if (shown == (int)behind)
		return;
	if (fd < 0)
		fd = open(FLOW_PAGE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || pwrite(fd, &byte, 1, 0) != 1)
		log_warn("%s: the intake of mail is not told whether we are behind: %m", FLOW_PAGE);
	shown = behind;
}

static void map_page(void)
{
	int fd = open(FLOW_PAGE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	void *map = MAP_FAILED;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0)
		map = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	page = map == MAP_FAILED ? NULL : map;
}

bool queue_flow_behind(void)
{
	pthread_once(&once, map_page);
	return page && atomic_load_explicit(page, memory_order_relaxed) != 0;
}
