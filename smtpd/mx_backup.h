/* SPDX-License-Identifier: BSD-2-Clause */
/* permit_mx_backup: is this machine a mail exchanger of the domain, and not the best one? */
#pragma once
#include "lib/base/arena.h"
#include "lib/map/map.h"

/* MAP_OK: an MX record of domain leads to an address of ours. MAP_TEMP: DNS did not answer. */
enum map_status mx_backup(struct arena *a, struct span domain);
