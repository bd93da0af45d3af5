/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/base/stack.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, IN_USE_BYTES = 1024 }; /* below this frame: those of the calls that are made here */

/* The lowest address of this thread's stack, kept because finding it out allocates memory. 0: of the main thread, or unknown. */
static uintptr_t lowest(void)
{
	static _Thread_local uintptr_t found = UINTPTR_MAX;
	pthread_attr_t attr;
	void *at = NULL;
	size_t size = 0;

	if (found != UINTPTR_MAX)
		return found;
	found = 0;
	if (gettid() != getpid() && pthread_getattr_np(pthread_self(), &attr) == 0) {
		if (pthread_attr_getstack(&attr, &at, &size) == 0)
			found = (uintptr_t)at;
		pthread_attr_destroy(&attr);
	}
	return found;
}

void stack_give_back(void)
{
	char here;
	uintptr_t from = lowest(), to = ((uintptr_t)&here - IN_USE_BYTES) & ~(uintptr_t)(PAGE_BYTES - 1);

	if (from && from < to)
		madvise((void *)from, to - from, MADV_DONTNEED);
}
