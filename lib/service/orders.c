/* SPDX-License-Identifier: BSD-2-Clause */
/* Notes up to master and orders down from it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/service/worker.h"

enum { LOOK_AGAIN_MS = 3600000 };

/* The counter of an eventfd goes up by one; that of stop_fd is never read, so it stays readable. */
static void raise_event(int fd)
{
	uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof one);

	(void)n;
}

void worker_wake(void)
{
	raise_event(worker.wake_fd);
}

void worker_note(enum link_note note)
{
	char byte = (char)note;

	/* A gone master shows as end of file when orders are read; there is nobody else to tell. */
	if (send(SERVICE_FD_MASTER, &byte, 1, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
		log_warn("note to master: %m");
}

static void set_stopping(void)
{
	if (!atomic_exchange(&worker.stopping, true))
		raise_event(worker.stop_fd);
}

/* Nobody is left who would end this process if it hangs: the alarm does. */
static void master_is_gone(void)
{
	static atomic_bool known;

	set_stopping();
	if (!atomic_exchange(&known, true))
		alarm((unsigned)(conf->stop_timeout_ms / 1000 + 1));
}

/* One packet: 1 and its byte, 0 at the end of the line, -1 when there is none now. */
static int receive(char *byte_r, int *fd_r)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { byte_r, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
	};
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(SERVICE_FD_MASTER, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	*fd_r = -1;
	if (n < 0)
		return errno == EAGAIN ? -1 : 0;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd_r, CMSG_DATA(c), sizeof(int));
	return n > 0;
}

static void obey(char order, int fd, bool *wakeup_r)
{
	switch (order) {
	case LINK_DRAIN:
		if (!atomic_exchange(&worker.draining, true))
			raise_event(worker.drain_fd);
		break;
	case LINK_STOP:
		set_stopping();
		break;
	case LINK_WAKEUP:
		if (wakeup_r)
			*wakeup_r = true;
		break;
	case LINK_STRESS:
		conf = worker.calm->stressed;
		break;
	case LINK_CALM:
		conf = worker.calm;
		break;
	case LINK_LOG: /* in one step: threads may be writing lines */
		if (fd >= 0)
			dup3(fd, SERVICE_FD_LOG, O_CLOEXEC);
		break;
	}
	if (fd >= 0)
		close(fd);
}

bool worker_take_orders(bool *wakeup_r)
{
	char order;
	int fd, got;

	while ((got = receive(&order, &fd)) > 0)
		obey(order, fd, wakeup_r);
	if (got == 0)
		master_is_gone();
	return got != 0;
}

enum io_status service_wait_request(int fd, int64_t deadline_ms)
{
	struct pollfd fds[3] = { { .fd = fd, .events = POLLIN },
				 { .fd = worker.stop_fd, .events = POLLIN },
				 { .fd = worker.drain_fd, .events = POLLIN } };

	for (;;) {
		int64_t left = deadline_ms == CLOCK_NEVER ? LOOK_AGAIN_MS : deadline_ms - clock_mono_ms();
		int ready = poll(fds, 3, left < 0 ? 0 : left > LOOK_AGAIN_MS ? LOOK_AGAIN_MS : (int)left);

		if (ready > 0)
			return fds[0].revents ? IO_OK : IO_STOPPING;
		if (ready < 0 && errno != EINTR)
			return IO_ERROR;
		if (clock_mono_ms() >= deadline_ms)
			return IO_TIMEOUT;
	}
}

int service_order_fd(void)
{
	return SERVICE_FD_MASTER;
}

enum service_order service_read_order(void)
{
	bool wakeup = false;

	worker_take_orders(&wakeup);
	if (service_stopping())
		return SERVICE_ORDER_STOP;
	if (service_draining())
		return SERVICE_ORDER_DRAIN;
	return wakeup ? SERVICE_ORDER_WAKEUP : SERVICE_ORDER_NONE;
}

void service_set_busy(uint32_t busy_sessions, uint32_t total_sessions_delta)
{
	atomic_store(&worker.board->busy, busy_sessions);
	atomic_fetch_add(&worker.board->total, total_sessions_delta);
}
