/* SPDX-License-Identifier: BSD-2-Clause */
/* -bs: the caller speaks SMTP himself; bytes go to and fro until the mail system closes. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "tools/sendmail/sendmail.h"

static bool write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return true;
}

/* Bytes moved, 0 at the end, -1 and errno. */
static ssize_t move(int from, int to)
{
	char piece[16384];
	ssize_t n;

	do
		n = read(from, piece, sizeof piece);
	while (n < 0 && errno == EINTR);
	return n > 0 && !write_all(to, piece, (size_t)n) ? -1 : n;
}

int relay_smtp(void)
{
	int fd = submit_connect();
	struct pollfd fds[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = fd, .events = POLLIN } };

	if (fd < 0)
		return EX_TEMPFAIL;
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return EX_OSERR;
		if (fds[0].revents && move(STDIN_FILENO, fd) <= 0) {
			shutdown(fd, SHUT_WR);
			fds[0].fd = -1;
		}
		if (fds[1].revents && move(fd, STDOUT_FILENO) <= 0)
			break;
	}
	close(fd);
	return EX_OK;
}
