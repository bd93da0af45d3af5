/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a next hop leads: the hosts to try, in the order to try them (RFC 5321 5.1).
 *
 *	example.com  example.com:587	MX records; without any, the addresses of the name
 *	[mx.example.com]  [mx]:587	the addresses of the name
 *	[192.0.2.1]  [::1]:2525  [IPv6:2001:db8::1]	this address
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/verdict.h"
#include "lib/io/netaddr.h"

struct site_host {
	struct span name;
	const char *path;    /* of a UNIX-domain socket; addr then says AF_UNIX */
	struct netaddr addr; /* port included */
	uint32_t preference; /* of its MX record; 0 without */
	uint32_t lot;        /* drawn: the order among equals */
};

struct site {
	struct site_host *hosts;
	size_t nhosts;
	struct verdict trouble; /* why there are none, when there are none */
	bool unreachable;       /* ... and that may pass: the name service does not answer */
};

/*
 * This process is an LMTP client (RFC 2033): next hops are unix:PATH, inet:HOST, inet:HOST:PORT or HOST:PORT (24),
 * without MX records, and may well be ourselves. Set before threads start.
 */
extern bool site_lmtp;
/* lmtp.c: before the jail and before threads. */
void lmtp_take_settings(void);

/* Everything in *site_r lives in a. Blocks on name service. */
void site_resolve(struct arena *a, struct span nexthop, struct site *site_r);

enum site_prefer { SITE_PREFER_ANY, SITE_PREFER_IPV4, SITE_PREFER_IPV6 };
/*
 * Sort by preference, then family (unless ANY), then lot. Keep at most limit (0: all) of them; when a family would fill
 * the limit alone although the other has addresses too, the other gets up to half of it. Returns how many are kept.
 * Pure.
 */
size_t site_order(struct site_host *hosts, size_t n, enum site_prefer prefer, size_t limit);
