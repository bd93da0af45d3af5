/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/io/dial.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/io/dns.h"
#include "lib/io/wait.h"

enum { AGAIN_MS = 20 };

/* A backlog that is full is no reason to give up before the deadline. */
static int dial_unix(struct span path, int64_t deadline_ms)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, saved;

	errno = ENAMETOOLONG;
	if (path.len == 0 || path.len >= sizeof sun.sun_path)
		return -1;
	memcpy(sun.sun_path, path.ptr, path.len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	while (fd >= 0 && connect(fd, (const struct sockaddr *)&sun, sizeof sun) < 0) {
		saved = errno;
		if (saved == EAGAIN && clock_mono_ms() < deadline_ms && io_sleep_until(clock_deadline(AGAIN_MS)) == IO_TIMEOUT)
			continue;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static int dial_inet(struct span text, int64_t deadline_ms)
{
	ptrdiff_t colon = span_rchr(text, ':');
	struct span host = span_head(text, colon < 0 ? text.len : (size_t)colon);
	struct arena a = ARENA_INIT;
	struct dns_answer addresses;
	uint64_t port;
	int fd = -1, saved = EHOSTUNREACH;

	errno = EINVAL;
	if (colon < 0 || !span_u64(span_skip(text, (size_t)colon + 1), 65535, &port))
		return -1;
	if (host.len > 2 && host.ptr[0] == '[')
		host = span_of(host.ptr + 1, host.len - 2);
	if (dns_native_addresses(&a, host.len ? host : SPAN("localhost"), DNS_WANT_A | DNS_WANT_AAAA, &addresses) == DNS_OK)
		for (size_t i = 0; i < addresses.nrecords && fd < 0; i++) {
			addresses.records[i].addr.port = (uint16_t)port;
			fd = netaddr_connect(&addresses.records[i].addr, NULL, deadline_ms);
			saved = errno;
		}
	arena_free(&a);
	errno = saved;
	return fd;
}

int dial(struct span endpoint, int64_t deadline_ms)
{
	if (span_starts(endpoint, "inet:"))
		return dial_inet(span_skip(endpoint, 5), deadline_ms);
	return dial_unix(span_starts(endpoint, "unix:") ? span_skip(endpoint, 5) : endpoint, deadline_ms);
}
