/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pause before a service that keeps dying is started again: 100 ms, 1 s, then doubling up to a maximum. A service
 * that then lives for twice the last pause and ten seconds more begins anew.
 */
#pragma once
#include <stdint.h>

struct backoff {
	int64_t pause_ms; /* last one given; 0: none yet */
	int64_t until_ms; /* monotonic: when it was or will be over */
};

/* A failure at now_ms: the pause that it costs, at most max_ms. */
int64_t backoff_next(struct backoff *b, int64_t now_ms, int64_t max_ms);
