/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a service of master.cf listens: inet_interfaces x inet_protocols x its port, or its UNIX sockets. */
#pragma once
#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/conf/conf.h"
#include "lib/conf/mastercf.h"
#include "lib/io/netaddr.h"

enum { ENDPOINT_PATH_MAX = 100, ENDPOINT_TEXT_MAX = 112, UNPRIVILEGED_PORT_OFFSET = 2000 };

struct endpoint {
	enum mastercf_type type;
	struct netaddr addr;          /* inet */
	char path[ENDPOINT_PATH_MAX]; /* unix: relative to queue_directory */
	bool optional;                /* derived from "all": a machine without this protocol is fine */
};

struct endpoints {
	struct endpoint *list; /* in the arena */
	size_t count;
};

/* Programs that master knows more about than master.cf says. */
struct endpoint_program {
	const char *program;
	const char *protocol; /* of the parameter `protocols': not started without it; NULL: any */
	bool root_peers;      /* only root may connect: who reaches it opens mailboxes */
};
const struct endpoint_program *endpoint_program(const char *program); /* never NULL */

/* Does `protocols' allow the service? The protocol is its program's, or the value of its -P argument. */
bool endpoint_wanted(const struct conf *c, const struct mastercf_service *s);
/*
 * All endpoints of s. False: messages has an "error: " line. Names of hosts in inet_interfaces are looked up (may
 * block).
 */
bool endpoints_of(const struct conf *c, const struct mastercf_service *s, struct arena *a, struct endpoints *out,
		  struct buf *messages) __attribute__((warn_unused_result));

/* Port by name ("smtp", "imaps") or number, without the offset of unprivileged mode. 0: unknown. */
uint16_t endpoint_port(struct span name);
bool endpoint_eq(const struct endpoint *a, const struct endpoint *b);
/* "127.0.0.1:25", "[::1]:25", "private/auth"; returns to. */
const char *endpoint_text(const struct endpoint *e, char to[ENDPOINT_TEXT_MAX]);
