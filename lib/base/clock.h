/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two clocks, never mixed. Monotonic milliseconds carry every deadline and schedule; wall time only goes into headers,
 * logs and stored next-attempt times. A deadline is a clock_mono_ms() value; CLOCK_NEVER never passes.
 */
#pragma once
#include <stdint.h>
#include <time.h>

#define CLOCK_NEVER INT64_MAX

int64_t clock_mono_ms(void);
int64_t clock_wall_us(void); /* microseconds since 1970 */
time_t clock_wall(void);
int64_t clock_deadline(int64_t from_now_ms); /* clock_mono_ms() + from_now_ms; negative gives CLOCK_NEVER */
