/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many clients of one network (an IPv4 address, an IPv6 /64) a service has at the same time, counted over all its processes,
 * so that one client cannot take every place. The count lies in a file that all of them map; each process writes only its own
 * part, held by a lock that ends with it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/io/netaddr.h"

struct peers_place; /* one counted client */

/* service names the file. As root, in queue_directory, before the jail; logs and counts nothing when the file cannot be had. */
void peers_open(const char *service);
/* Count a client. False: limit clients of its network are here already; then there is no place to leave. count_r: how
 * many, this one included; may be NULL. */
bool peers_enter(const struct netaddr *client, uint32_t limit, struct peers_place **place_r, uint32_t *count_r);
void peers_leave(struct peers_place *place); /* NULL: nothing */
