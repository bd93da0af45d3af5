/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each account has sent today, counted over all processes that open the same file: messages, and recipients that it has not
 * written to before on that day. Safe from any thread. A day begins at midnight UTC. When the neighbourhood of an account in the
 * table is full, the one that is behind the most makes room.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "lib/base/span.h"

enum { ACCOUNTS_PLACES = 2048 };

struct accounts;

struct account_use {
	uint32_t messages, recipients; /* today, this message included */
};

/* path: made when it is not there. NULL: it cannot be used, which is logged. */
struct accounts *accounts_open(const char *path);
void accounts_close(struct accounts *a);
/* One more message of account to n recipients. now_s: wall time. */
struct account_use accounts_count(struct accounts *a, struct span account, const struct span *recipients, size_t n, int64_t now_s);
