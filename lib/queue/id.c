/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queue ids in the look of Postfix's long ones: six or more base-52 digits of seconds, four of microseconds, `z', and a base-51
 * number (no `z' among its digits) that is the process id here. A process never uses a microsecond twice, and no two
 * processes share an id at one time, so an id names one message for ever.
 */
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/queue/queue.h"

static const char digits[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";

enum { BASE_TIME = 52, BASE_PROCESS = 51, SECONDS_DIGITS = 6, MICROS_DIGITS = 4 };

static char *put_number(char *to, uint64_t n, unsigned base, int width)
{
	char reversed[16];
	int len = 0;

	while (n > 0 || len < width) {
		reversed[len++] = digits[n % base];
		n /= base;
	}
	while (len > 0)
		*to++ = reversed[--len];
	return to;
}

static uint64_t unique_time_us(void)
{
	static _Atomic uint64_t last;
	uint64_t now = (uint64_t)clock_wall_us();
	uint64_t seen = atomic_load(&last);
	uint64_t next;

	do {
		next = now > seen ? now : seen + 1;
	} while (!atomic_compare_exchange_weak(&last, &seen, next));
	return next;
}

void queue_new_id(char id_r[QUEUE_ID_MAX])
{
	uint64_t us = unique_time_us();
	char *p = put_number(id_r, us / 1000000, BASE_TIME, SECONDS_DIGITS);

	p = put_number(p, us % 1000000, BASE_TIME, MICROS_DIGITS);
	*p++ = 'z';
	p = put_number(p, (uint64_t)getpid(), BASE_PROCESS, 1);
	*p = '\0';
}

static int digit(char c)
{
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

bool queue_id_valid(struct span id)
{
	ptrdiff_t z = span_rchr(id, 'z');

	if (id.len >= QUEUE_ID_MAX || z < SECONDS_DIGITS + MICROS_DIGITS || (size_t)z + 1 >= id.len)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (digit(id.ptr[i]) < 0)
			return false;
	return true;
}

int64_t queue_id_time_us(const char *id)
{
	const char *z = strrchr(id, 'z');
	int64_t seconds = 0, micros = 0;

	if (z == NULL || z - id < SECONDS_DIGITS + MICROS_DIGITS)
		return 0;
	for (const char *p = id; p < z - MICROS_DIGITS; p++)
		seconds = seconds * BASE_TIME + digit(*p);
	for (const char *p = z - MICROS_DIGITS; p < z; p++)
		micros = micros * BASE_TIME + digit(*p);
	return seconds * 1000000 + micros;
}
