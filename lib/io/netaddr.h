/* SPDX-License-Identifier: BSD-2-Clause */
/* IP addresses and networks. IPv4-mapped IPv6 addresses are turned into IPv4 on the way in. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "lib/base/span.h"

struct netaddr {
	sa_family_t family;     /* AF_INET, AF_INET6; AF_UNIX for a local peer; 0 = none */
	uint16_t port;          /* host order */
	unsigned char bytes[16]; /* network order; 4 used for AF_INET */
};

enum { NETADDR_TEXT_MAX = 64 };

bool netaddr_parse(struct span text, struct netaddr *out); /* "1.2.3.4", "2001:db8::1", no port, no brackets */
void netaddr_from_sockaddr(struct netaddr *out, const struct sockaddr *sa);
socklen_t netaddr_to_sockaddr(const struct netaddr *a, struct sockaddr_storage *out);
/* "1.2.3.4" or "2001:db8::1"; "unknown" without an address. Returns to. */
const char *netaddr_text(const struct netaddr *a, char to[NETADDR_TEXT_MAX]);
bool netaddr_eq(const struct netaddr *a, const struct netaddr *b); /* ports ignored */
void netaddr_mask(struct netaddr *a, int bits); /* keep the network: the first bits; all when there are fewer */
bool netaddr_is_loopback(const struct netaddr *a);

struct netblock {
	struct netaddr net;
	unsigned bits;
};

/* "10.0.0.0/8", "[::1]/128", "[2001:db8::]/32", "1.2.3.4", "10.0.0.1/8" (host bits set: refused, as Postfix does). */
bool netblock_parse(struct span text, struct netblock *out);
bool netblock_contains(const struct netblock *b, const struct netaddr *a);

/* Addresses of this machine's interfaces. Returns how many were written, at most max. */
size_t netaddr_interfaces(struct netaddr *out, size_t max);

/* Listening and connecting TCP sockets: non-blocking, close-on-exec. -1 and errno on failure. */
int netaddr_listen(const struct netaddr *a, int backlog);
/* local: source address or NULL. IO_OK semantics through errno: ETIMEDOUT when the deadline passes. */
int netaddr_connect(const struct netaddr *to, const struct netaddr *local, int64_t deadline_ms);
