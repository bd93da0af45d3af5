/* SPDX-License-Identifier: BSD-2-Clause */
/* The filter behind the name of a DNS list: "127.0.0.2", "127.0.0.[2..11]", "127.0.[0;2].[1..255]". Pure. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/span.h"

/* False also when the pattern makes no sense. address: four octets. */
bool rbl_filter_match(struct span pattern, const uint8_t address[4]);
