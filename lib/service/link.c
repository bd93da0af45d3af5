/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/link.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/clock.h"

enum { PAGE_BYTES = 4096 };

struct board *board_attach(int fd)
{
	void *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return page == MAP_FAILED ? NULL : page;
}

void board_detach(struct board *page)
{
	if (page)
		munmap(page, PAGE_BYTES);
}

int board_create(struct board **page_r)
{
	int fd = memfd_create("posthouse-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int saved;

	if (fd < 0)
		return -1;
	/* Without the seal a worker could cut the file off and master would die of SIGBUS at its next look. */
	if (ftruncate(fd, PAGE_BYTES) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0 &&
	    (*page_r = board_attach(fd)) != NULL)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

bool board_begin(struct board *b)
{
	uint32_t busy = atomic_fetch_add(&b->busy, 1) + 1;

	atomic_fetch_add(&b->total, 1);
	atomic_store(&b->last_ms, clock_mono_ms());
	return busy >= atomic_load(&b->limit);
}

bool board_end(struct board *b)
{
	atomic_store(&b->last_ms, clock_mono_ms());
	return atomic_fetch_sub(&b->busy, 1) == atomic_load(&b->limit);
}
