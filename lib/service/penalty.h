/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failed logins, counted by the network of the client (IPv4 address, IPv6 /64) and by account, for all services and
 * processes that open the same file. Counts are forgotten after PENALTY_FORGET_S without a failure. A place in the
 * table is found by a keyed hash; when its neighbourhood is full, the one that has been quiet for longest makes room.
 */
#pragma once
#include <stdint.h>

#include "lib/base/span.h"

enum { PENALTY_FREE = 2, PENALTY_MAX_MS = 15000, PENALTY_FORGET_S = 600, PENALTY_PLACES = 16384 };

struct penalty;

/* path: made when it is not there. Never NULL; when the file cannot be used, that is logged and this process counts alone. */
struct penalty *penalty_open(const char *path);
void penalty_close(struct penalty *p);
/* One more failure of each key that is not 0; now_s: wall time. Returns the larger of the two counts. */
uint32_t penalty_failure(struct penalty *p, uint64_t network, uint64_t account, int64_t now_s);
void penalty_success(struct penalty *p, uint64_t account); /* the account is believed again */
/* How long the answer to a failure waits: base_ms, doubled with each one past PENALTY_FREE, at most PENALTY_MAX_MS (or base_ms). */
uint32_t penalty_delay_ms(uint32_t failures, int64_t base_ms);
