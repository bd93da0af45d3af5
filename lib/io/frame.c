/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/io/frame.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/must.h"

static int unix_address(const char *path, struct sockaddr_un *sun)
{
	*sun = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof sun->sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(sun->sun_path, path, strlen(path));
	return 0;
}

static int close_and_fail(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return -1;
}

int frame_connect(const char *path, int64_t deadline_ms)
{
	struct sockaddr_un sun;
	int fd;

	if (unix_address(path, &sun) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* A full backlog: a blocking connect waits for a place, SO_SNDTIMEO bounds each try. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){ 0, 100000 }, sizeof(struct timeval));
	for (;;) {
		if (connect(fd, (struct sockaddr *)&sun, sizeof sun) == 0)
			break;
		if (errno != EAGAIN && errno != EINTR)
			return close_and_fail(fd);
		if (clock_mono_ms() >= deadline_ms) {
			errno = ETIMEDOUT;
			return close_and_fail(fd);
		}
	}
	if (io_set_nonblock(fd) < 0)
		return close_and_fail(fd);
	return fd;
}

int frame_listen(const char *path, mode_t mode, int backlog)
{
	struct sockaddr_un sun;
	int fd;

	if (unix_address(path, &sun) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (unlink(path) < 0 && errno != ENOENT)
		return close_and_fail(fd);
	if (bind(fd, (struct sockaddr *)&sun, sizeof sun) < 0 || chmod(path, mode) < 0 || listen(fd, backlog) < 0)
		return close_and_fail(fd);
	return fd;
}

int frame_pair(int fd_r[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd_r);
}

union fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

enum io_status frame_send(int fd, struct span frame, int pass_fd, int64_t deadline_ms)
{
	struct iovec iov = { (void *)(uintptr_t)frame.ptr, frame.len };
	union fd_control control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	must(frame.len > 0 && frame.len <= FRAME_MAX);
	if (pass_fd >= 0) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof control);
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof control.bytes;
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &pass_fd, sizeof(int));
	}
	for (;;) {
		enum io_status status;

		if (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return IO_OK;
		if (errno == EPIPE || errno == ECONNRESET || errno == ECONNREFUSED)
			return IO_EOF;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != ENOBUFS)
			return IO_ERROR;
		status = io_wait(fd, POLLOUT, deadline_ms);
		if (status != IO_OK)
			return status;
	}
}

/* The one descriptor that came along, if any; more than one cannot fit the control buffer and is closed by the kernel. */
static int passed_fd(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

enum io_status frame_recv(int fd, struct buf *frame, int *fd_r, int64_t deadline_ms)
{
	union fd_control control;
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int passed;
	ssize_t n;

	buf_reset(frame);
	iov.iov_len = frame->max < FRAME_MAX ? frame->max : FRAME_MAX;
	iov.iov_base = buf_reserve(frame, iov.iov_len);
	must(iov.iov_base != NULL);
	if (fd_r)
		*fd_r = -1;
	for (;;) {
		enum io_status status;

		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof control.bytes;
		n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n >= 0)
			break;
		if (errno == EINTR)
			continue;
		if (errno == ECONNRESET)
			return IO_EOF;
		if (errno != EAGAIN)
			return IO_ERROR;
		status = io_wait(fd, POLLIN, deadline_ms);
		if (status != IO_OK)
			return status;
	}
	passed = passed_fd(&msg);
	if (fd_r && n > 0)
		*fd_r = passed;
	else if (passed >= 0)
		close(passed);
	if (n == 0)
		return IO_EOF;
	buf_commit(frame, (size_t)n);
	return msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? IO_TOO_LONG : IO_OK;
}

int frame_peer(int fd, uid_t *uid_r, gid_t *gid_r, pid_t *pid_r)
{
	struct ucred cred;
	socklen_t len = sizeof cred;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -1;
	if (uid_r)
		*uid_r = cred.uid;
	if (gid_r)
		*gid_r = cred.gid;
	if (pid_r)
		*pid_r = cred.pid;
	return 0;
}
