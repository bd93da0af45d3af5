/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/io/netaddr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "lib/io/wait.h"

static const unsigned char v4_mapped[12] = { [10] = 0xff, [11] = 0xff };

static size_t address_len(const struct netaddr *a)
{
	return a->family == AF_INET ? 4 : a->family == AF_INET6 ? 16 : 0;
}

static void unmap(struct netaddr *a)
{
	if (a->family != AF_INET6 || memcmp(a->bytes, v4_mapped, sizeof v4_mapped) != 0)
		return;
	a->family = AF_INET;
	memmove(a->bytes, a->bytes + 12, 4);
	memset(a->bytes + 4, 0, 12);
}

bool netaddr_parse(struct span text, struct netaddr *out)
{
	char copy[INET6_ADDRSTRLEN];

	*out = (struct netaddr){ 0 };
	if (text.len == 0 || text.len >= sizeof copy || span_chr(text, '\0') >= 0)
		return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	out->family = span_chr(text, ':') >= 0 ? AF_INET6 : AF_INET;
	if (inet_pton(out->family, copy, out->bytes) != 1) {
		out->family = 0;
		return false;
	}
	unmap(out);
	return true;
}

void netaddr_from_sockaddr(struct netaddr *out, const struct sockaddr *sa)
{
	*out = (struct netaddr){ .family = sa->sa_family };
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *sin = (const void *)sa;

		out->port = ntohs(sin->sin_port);
		memcpy(out->bytes, &sin->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *sin6 = (const void *)sa;

		out->port = ntohs(sin6->sin6_port);
		memcpy(out->bytes, &sin6->sin6_addr, 16);
		unmap(out);
	}
}

socklen_t netaddr_to_sockaddr(const struct netaddr *a, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof *out);
	if (a->family == AF_INET) {
		struct sockaddr_in *sin = (void *)out;

		sin->sin_family = AF_INET;
		sin->sin_port = htons(a->port);
		memcpy(&sin->sin_addr, a->bytes, 4);
		return sizeof *sin;
	}
	if (a->family == AF_INET6) {
		struct sockaddr_in6 *sin6 = (void *)out;

		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons(a->port);
		memcpy(&sin6->sin6_addr, a->bytes, 16);
		return sizeof *sin6;
	}
	return 0;
}

const char *netaddr_text(const struct netaddr *a, char to[NETADDR_TEXT_MAX])
{
	if (address_len(a) == 0 || inet_ntop(a->family, a->bytes, to, NETADDR_TEXT_MAX) == NULL)
		memcpy(to, "unknown", sizeof "unknown");
	return to;
}

void netaddr_mask(struct netaddr *a, int bits)
{
	for (size_t i = 0; i < address_len(a); i++, bits -= 8)
		if (bits < 8)
			a->bytes[i] = bits > 0 ? (unsigned char)(a->bytes[i] & (0xff00 >> bits)) : 0;
}

bool netaddr_eq(const struct netaddr *a, const struct netaddr *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, address_len(a)) == 0;
}

bool netaddr_is_loopback(const struct netaddr *a)
{
	static const unsigned char one[16] = { [15] = 1 };

	if (a->family == AF_INET)
		return a->bytes[0] == 127;
	return a->family == AF_UNIX || (a->family == AF_INET6 && memcmp(a->bytes, one, 16) == 0);
}

/* --- networks ----------------------------------------------------------------------------------------------------- */

static bool host_bits_set(const struct netblock *b)
{
	for (unsigned bit = b->bits; bit < 8 * address_len(&b->net); bit++)
		if (b->net.bytes[bit / 8] & (0x80 >> bit % 8))
			return true;
	return false;
}

bool netblock_parse(struct span text, struct netblock *out)
{
	struct span addr = text, prefix = SPAN_NONE;
	ptrdiff_t slash = span_rchr(text, '/');
	bool mapped;
	uint64_t bits;

	if (slash >= 0) {
		addr = span_head(text, (size_t)slash);
		prefix = span_skip(text, (size_t)slash + 1);
	}
	if (addr.len > 2 && addr.ptr[0] == '[' && addr.ptr[addr.len - 1] == ']')
		addr = span_of(addr.ptr + 1, addr.len - 2);
	if (!netaddr_parse(addr, &out->net))
		return false;
	mapped = out->net.family == AF_INET && span_chr(addr, ':') >= 0;
	bits = 8 * address_len(&out->net) + (mapped ? 96 : 0);
	if (slash >= 0 && !span_u64(prefix, bits, &bits))
		return false;
	if (mapped && bits < 96)
		return false;
	out->bits = (unsigned)bits - (mapped ? 96 : 0);
	return !host_bits_set(out);
}

bool netblock_contains(const struct netblock *b, const struct netaddr *a)
{
	unsigned whole = b->bits / 8, rest = b->bits % 8;

	if (a->family != b->net.family || memcmp(a->bytes, b->net.bytes, whole) != 0)
		return false;
	return rest == 0 || ((a->bytes[whole] ^ b->net.bytes[whole]) & (0xff00 >> rest & 0xff)) == 0;
}

size_t netaddr_interfaces(struct netaddr *out, size_t max)
{
	struct ifaddrs *all;
	size_t n = 0;

	if (getifaddrs(&all) < 0)
		return 0;
	for (struct ifaddrs *i = all; i && n < max; i = i->ifa_next)
		if (i->ifa_addr && (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6))
			netaddr_from_sockaddr(&out[n++], i->ifa_addr);
	freeifaddrs(all);
	return n;
}

/* --- sockets ------------------------------------------------------------------------------------------------------ */

static int close_and_fail(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return -1;
}

int netaddr_listen(const struct netaddr *a, int backlog)
{
	struct sockaddr_storage ss;
	socklen_t len = netaddr_to_sockaddr(a, &ss);
	int on = 1;
	int fd = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit it */
	if (a->family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, backlog) < 0)
		return close_and_fail(fd);
	return fd;
}

static int finish_connect(int fd, int64_t deadline_ms)
{
	socklen_t len = sizeof(int);
	int err = 0;

	switch (io_wait(fd, POLLOUT, deadline_ms)) {
	case IO_OK:
		break;
	case IO_TIMEOUT:
		errno = ETIMEDOUT;
		return -1;
	default:
		return -1;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return -1;
	errno = err;
	return err ? -1 : 0;
}

int netaddr_connect(const struct netaddr *to, const struct netaddr *local, int64_t deadline_ms)
{
	struct sockaddr_storage ss;
	socklen_t len = netaddr_to_sockaddr(to, &ss);
	int on = 1;
	int fd = socket(to->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (local && local->family == to->family) {
		struct sockaddr_storage from;
		socklen_t from_len = netaddr_to_sockaddr(local, &from);

		if (bind(fd, (struct sockaddr *)&from, from_len) < 0)
			return close_and_fail(fd);
	}
	if (connect(fd, (struct sockaddr *)&ss, len) < 0 &&
	    (errno != EINPROGRESS || finish_connect(fd, deadline_ms) < 0))
		return close_and_fail(fd);
	return fd;
}
