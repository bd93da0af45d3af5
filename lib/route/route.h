/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where an address goes: Postfix's address classes and trivial-rewrite. One library for RCPT TO, for delivery and for
 * the tools.
 *
 * Class order: address literal of ours or mydestination (local); virtual_alias_domains; virtual_mailbox_domains;
 * relay_domains; everything else (default). user@[ip] is local for an address of inet_interfaces or proxy_interfaces.
 * Safe from any thread; call route_init once before threads start.
 */
#pragma once
#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"
#include "lib/base/verdict.h"
#include "lib/map/map.h"

enum route_class { ROUTE_LOCAL, ROUTE_VIRTUAL_ALIAS, ROUTE_VIRTUAL_MAILBOX, ROUTE_RELAY, ROUTE_DEFAULT };

struct route {
	enum route_class class;
	struct span transport;   /* "local", "smtp" */
	struct span nexthop;     /* "example.com", "[relay.example]:25"; for local and virtual: the final domain */
	struct span destination; /* what qmgr schedules by: the next hop; for local and virtual: the whole recipient */
};

void route_init(void); /* open the tables that conf names; logs warnings (a domain listed in two classes, ...) */

/* Bring an address into standard form: append @$myorigin, .$mydomain, %-hack, site!user, empty local part kept. */
struct span route_rewrite(struct arena *a, struct span address);
enum route_class route_class_of(struct span domain, bool *temp_r); /* temp_r: a table could not be asked */
/* transport and next hop for a rewritten address: transport_maps, relayhost, class. MAP_OK or MAP_TEMP. */
enum map_status route_resolve(struct arena *a, struct span address, struct route *route_r)
    __attribute__((warn_unused_result));

/* The same for a probe letter: address_verify_transport_maps and so on. */
enum map_status route_resolve_probe(struct arena *a, struct span address, struct route *route_r)
    __attribute__((warn_unused_result));

/* By a content filter instead: "transport:nexthop"; without a next hop it is the domain of the address. */
void route_filtered(struct arena *a, struct span filter, struct span address, struct route *route_r);

/* May mail be sent to this domain by a stranger: local, virtual alias, virtual mailbox or relay domain (and
 * subdomains). */
enum map_status route_is_ours(struct span domain);

/*
 * Does the recipient exist? OK (also when the class's recipient maps are empty), or why not with Postfix's reply text
 * ("5.1.1", "User unknown in local recipient table", ..., or what error: or retry: in transport_maps says). address is
 * rewritten. code_r: the SMTP reply code (unknown_*_reject_code); 0 when a table could not be asked.
 */
struct verdict route_recipient(struct arena *a, struct span address, int *code_r);

/*
 * Can the mailbox of this recipient, which exists, take a message of size bytes (0: not known)? Not when its account is disabled
 * (550, "5.2.1") or its mbox full (452, "4.2.2"); OK whenever that cannot be seen. address is rewritten.
 */
struct verdict route_mailbox(struct arena *a, struct span address, uint64_t size, int *code_r);

/*
 * virtual_alias_maps, recursively (depth 20, at most max results, duplicates removed). Results in a; an address without
 * an alias gives itself. MAP_TEMP: a table could not be asked; MAP_NOTFOUND: loop or too many (log says which).
 */
enum map_status route_virtual_alias(struct arena *a, struct span address, size_t max, struct span **list_r,
				    size_t *n_r);

/* Is this an address of inet_interfaces? One of those or of proxy_interfaces? */
struct netaddr;
bool route_is_interface(const struct netaddr *addr);
bool route_is_own(const struct netaddr *addr);

/* Is the client inside mynetworks? */
enum map_status route_in_mynetworks(const struct netaddr *client);
