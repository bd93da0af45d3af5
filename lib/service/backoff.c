/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/backoff.h"

enum { FIRST_MS = 100, SECOND_MS = 1000, CALM_MS = 10000 };

int64_t backoff_next(struct backoff *b, int64_t now_ms, int64_t max_ms)
{
	if (b->pause_ms == 0 || now_ms - b->until_ms > 2 * b->pause_ms + CALM_MS)
		b->pause_ms = FIRST_MS;
	else if (b->pause_ms < SECOND_MS)
		b->pause_ms = SECOND_MS;
	else
		b->pause_ms *= 2;
	if (b->pause_ms > max_ms)
		b->pause_ms = max_ms;
	b->until_ms = now_ms + b->pause_ms;
	return b->pause_ms;
}
