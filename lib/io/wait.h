/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one place where a session waits. Descriptors are non-blocking; a wait ends by readiness, by its deadline
 * (clock_mono_ms() value, CLOCK_NEVER never) or because the process was told to stop.
 */
#pragma once
#include <stdint.h>

enum io_status {
	IO_OK = 0,
	IO_EOF,      /* the peer closed in order */
	IO_TIMEOUT,  /* the deadline passed */
	IO_TOO_LONG, /* more than the caller's limit; the excess was read and dropped */
	IO_STOPPING, /* this process was told to stop (not to reload); say goodbye and return */
	IO_ERROR,    /* a system call failed; errno says how */
	IO_LATER,    /* nothing for now, and the caller need not wait here: only of a stream that may pause (stream.h) */
};

const char *io_status_str(enum io_status s);

/* events: POLLIN or POLLOUT. Returns IO_OK, IO_TIMEOUT, IO_STOPPING (only while waiting for POLLIN) or IO_ERROR. */
enum io_status io_wait(int fd, short events, int64_t deadline_ms);
/* Wait for time to pass without a descriptor; IO_TIMEOUT when it has passed, IO_STOPPING when told to stop. */
enum io_status io_sleep_until(int64_t deadline_ms);

/* Start-up, before threads: a descriptor that becomes readable when the process is to stop. -1: none. */
void io_set_stop_fd(int fd);
int io_stop_fd(void);

int io_set_nonblock(int fd); /* 0, or -1 and errno */
