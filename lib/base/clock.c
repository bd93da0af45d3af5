/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/base/clock.h"

int64_t clock_mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

time_t clock_wall(void)
{
	return (time_t)(clock_wall_us() / 1000000);
}

int64_t clock_deadline(int64_t from_now_ms)
{
	return from_now_ms < 0 ? CLOCK_NEVER : clock_mono_ms() + from_now_ms;
}
