/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pattern lists of main.cf: comma or white space separated; "name", "!pattern", "/file/name" (its lines inserted),
 * "type:table" (matched when the key is found; right side ignored). First match decides. Safe from any thread.
 */
#pragma once
#include <stdbool.h>

#include "lib/base/span.h"
#include "lib/io/netaddr.h"
#include "lib/map/map.h"

struct match;

enum match_kind {
	MATCH_DOMAIN, /* host names, exact; ".domain" matches subdomains */
	MATCH_PARENT, /* as MATCH_DOMAIN, and "domain" also matches its subdomains (parent_domain_matches_subdomains) */
	MATCH_NETWORK, /* addresses and CIDR blocks; also host names when given, as MATCH_DOMAIN */
	MATCH_STRING,  /* exact, case-insensitive */
};

struct match *match_open(const char *list, enum match_kind kind); /* never NULL; shared, lives for ever */
/* MAP_OK: matches. MAP_NOTFOUND: does not. MAP_TEMP: a table could not be asked. */
enum map_status match_name(struct match *m, struct span name);
enum map_status match_netaddr(struct match *m, const struct netaddr *addr, struct span host_name);
