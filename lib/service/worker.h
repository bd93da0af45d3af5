/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside lib/service: the one worker that this process is. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>

#include "lib/service/link.h"
#include "lib/service/service.h"

enum { WORKER_LISTENERS_MAX = 64 };

struct worker {
	const struct service *service;
	const char *name; /* of master.cf */
	bool chroot;      /* the chroot column says y */
	int listeners[WORKER_LISTENERS_MAX];
	int nlisteners;
	int stop_fd; /* eventfd, readable for ever once stopping */
	int drain_fd; /* the same once draining */
	int wake_fd; /* eventfd: the main loop is to look at its state again */
	atomic_bool stopping, draining;
	struct board *board;
	const struct conf *calm; /* the configuration as it is without stress */
};
extern struct worker worker;

/* Orders that are there, all of them; wakeup_r may be NULL. Safe in a signal handler. False: master is gone. */
bool worker_take_orders(bool *wakeup_r);
void worker_note(enum link_note note);
void worker_wake(void);

/* Become who the service runs as; dies when that does not work for certain. */
void worker_jail(void);

/* The accept loops. They return when the worker is to exit. */
void worker_run_threads(void);
void worker_run_single(void);

/* Shared by the loops: an accepted socket, described. False: nothing to accept. */
bool worker_accept(int listener, struct service_session *session_r);
