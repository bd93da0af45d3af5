/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/io/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "lib/base/clock.h"

static int stop_fd = -1;

const char *io_status_str(enum io_status s)
{
	static const char *const names[] = {
		[IO_OK] = "ok",          [IO_EOF] = "end of file",  [IO_TIMEOUT] = "timeout",
		[IO_TOO_LONG] = "too long", [IO_STOPPING] = "stopping", [IO_ERROR] = "error", [IO_LATER] = "later",
	};

	return names[s];
}

void io_set_stop_fd(int fd)
{
	stop_fd = fd;
}

int io_stop_fd(void)
{
	return stop_fd;
}

int io_set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -1;
	return flags & O_NONBLOCK ? 0 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* poll(2) until the deadline, whatever signals come. Returns what poll does; 0 when the time is over. */
static int poll_until(struct pollfd *fds, nfds_t n, int64_t deadline_ms)
{
	for (;;) {
		int64_t left = deadline_ms == CLOCK_NEVER ? -1 : deadline_ms - clock_mono_ms();
		int ready;

		if (left < 0 && deadline_ms != CLOCK_NEVER)
			left = 0;
		if (left > 24 * 3600 * 1000)
			left = 24 * 3600 * 1000;
		ready = poll(fds, n, (int)left);
		if (ready > 0 || (ready < 0 && errno != EINTR))
			return ready;
		if (deadline_ms != CLOCK_NEVER && clock_mono_ms() >= deadline_ms)
			return 0;
	}
}

enum io_status io_wait(int fd, short events, int64_t deadline_ms)
{
	/* A session that writes is allowed to finish its reply; only a wait for the peer's next move is cut short. */
	struct pollfd fds[2] = { { .fd = fd, .events = events },
				 { .fd = events & POLLIN ? stop_fd : -1, .events = POLLIN } };
	int ready = poll_until(fds, 2, deadline_ms);

	if (ready < 0)
		return IO_ERROR;
	if (ready == 0)
		return IO_TIMEOUT;
	return fds[0].revents ? IO_OK : IO_STOPPING;
}

enum io_status io_sleep_until(int64_t deadline_ms)
{
	struct pollfd stop = { .fd = stop_fd, .events = POLLIN };
	int ready = poll_until(&stop, 1, deadline_ms);

	return ready < 0 ? IO_ERROR : ready == 0 ? IO_TIMEOUT : IO_STOPPING;
}
