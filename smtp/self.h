/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which network addresses are this mail system's own, so that mail is never sent in a circle: those of inet_interfaces
 * and proxy_interfaces at the SMTP port, and what master.cf has smtpd listen on at that port.
 */
#pragma once
#include <stdbool.h>

#include "lib/io/netaddr.h"

/* Read them, once, before threads start and before privileges are dropped. */
void self_init(void);
/* Is this the port where a server of ours takes mail from anywhere: 25, or 2025 in unprivileged mode? */
bool self_is_port(uint16_t port);
/* Would a connection there reach ourselves? */
bool self_is_us(const struct netaddr *addr);
