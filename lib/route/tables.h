/* SPDX-License-Identifier: BSD-2-Clause */
/* What route_init opened, shared by the files of lib/route. Read-only afterwards. */
#pragma once
#include "lib/io/netaddr.h"
#include "lib/map/map.h"
#include "lib/map/match.h"

enum { ROUTE_OWN_ADDRS_MAX = 512 };

struct route_tables {
	struct match *mydestination, *virtual_alias_domains, *virtual_mailbox_domains, *relay_domains, *mynetworks;
	struct map_list *local_recipients, *virtual_alias, *virtual_mailbox, *relay_recipients, *transport, *probe_transport;
	struct netaddr own[ROUTE_OWN_ADDRS_MAX]; /* inet_interfaces and proxy_interfaces */
	size_t nown;
	size_t ninterfaces; /* so many of them are of inet_interfaces */
};

extern struct route_tables route_tables;

/* Is domain [ip] with an address of ours? */
bool route_literal_is_own(struct span domain);
/* Local, or $myorigin: where a table may name a user without a domain. Temporary failures count as no. */
bool route_is_local_name(struct span domain);
