/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sessions that wait without a thread. A session is done in pieces, each in some thread: a piece ends with the session, or with
 * service_park; then the session lies here until its descriptor is readable or a time has come, and the main thread of the process
 * finds a thread for the next piece. One set per process.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/list.h"

/* Part of what the owner keeps of a session; zeroed, but for the first piece. */
struct parked {
	void (*piece)(void *arg); /* the next one */
	void *arg;
	int fd; /* what it waits for; may be an epoll set */
	int64_t deadline_ms;
	struct list_node node;
	bool watched;
};

/* Once per process; writes to poke_fd tell the main thread to call park_collect. Returns what it should watch, or -1 and errno. */
int park_open(int poke_fd);
/* Run the next piece in this thread. False: the session is over. True: it waits; p belongs to whoever gets it from park_collect. */
bool park_run(struct parked *p);
/* There was no thread for it: once more in a second. */
void park_later(struct parked *p);
/* In the main thread: when to call park_collect at the latest. */
int64_t park_next_ms(void);
/* Those whose time has come, or all of them from now on (the process is to stop), go to give. */
void park_collect(bool all, void (*give)(struct parked *p));
