/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is TLS demanded for a destination? This client has none yet, so mail that must not go without it waits, and never goes in
 * the clear: smtp_tls_security_level, smtp_tls_policy_maps, smtp_enforce_tls.
 */
#pragma once
#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/verdict.h"

/* Before the jail and before threads; after lmtp_take_settings. */
void tls_policy_init(void);
/* nexthop: as the transport table has it. True: *why_r, in a, is why its mail waits. */
bool tls_policy_forbids(struct arena *a, struct span nexthop, struct verdict *why_r);
