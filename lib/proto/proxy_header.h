/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The header that a load balancer puts in front of a connection it passes on: PROXY protocol, version 1 (a text line) and 2
 * (binary). Syntax only.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/span.h"
#include "lib/proto/addr.h"

enum { PROXY_HEADER_MAX = 4096 }; /* of version 2, with its extensions; version 1 has at most 107 bytes */

struct proxy_header {
	bool local; /* a connection of the balancer's own (health check), or of a family that has no IP addresses */
	struct addr_ip client, server;
	uint16_t client_port, server_port;
};

enum proxy_status {
	PROXY_OK = 0,
	PROXY_MORE, /* *want_r further bytes belong to the header for certain */
	PROXY_BAD,
};

/* bytes: everything received so far, never more than what was asked for: begin with none. PROXY_OK: all of it is the header. */
enum proxy_status proxy_header_read(struct span bytes, struct proxy_header *h_r, size_t *want_r)
    __attribute__((warn_unused_result));
