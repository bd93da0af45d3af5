/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The date forms of mail, written and read. Reading never consults the locale or the time zone of the machine except
 * where said; all arithmetic is checked. A moment is a time_t plus the zone it was written in.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "lib/base/span.h"

enum { DATE_TEXT_MAX = 64 }; /* room for any form written here, its NUL included */

/* A date as written somewhere: the moment, and the offset of its zone in minutes east of UTC. */
struct date {
	time_t at;
	int zone_minutes;
};

/* "Mon, 02 Jan 2006 15:04:05 -0700 (MST)" in local time, RFC 5322 3.3, as in Received: and Date:. Returns out. */
char *date_rfc5322(time_t at, char out[DATE_TEXT_MAX]);
/* Read RFC 5322 3.3 with its obsolete forms (4.3): comments, folding, two-digit years, zone names, no seconds. */
bool date_rfc5322_parse(struct span s, struct date *date_r) __attribute__((warn_unused_result));

/* IMAP INTERNALDATE, RFC 3501 date-time without its quotes: " 2-Jan-2006 15:04:05 -0700", in the given zone. */
char *date_imap(struct date date, char out[DATE_TEXT_MAX]);
bool date_imap_parse(struct span s, struct date *date_r) __attribute__((warn_unused_result));
/* IMAP date of SEARCH, "1-Feb-1994" (quotes already gone): the days since 1970-01-01. */
bool date_imap_day_parse(struct span s, long *day_r) __attribute__((warn_unused_result));
/* The day, counted the same way, on which date falls in its own zone (RFC 3501 6.4.4 disregards time and zone). */
long date_day(struct date date);

/* asctime form of the mbox From_ line, "Mon Jan  2 15:04:05 2006", UTC or local time. Without a line end. */
char *date_mbox(time_t at, char out[DATE_TEXT_MAX]);
/* The same read back as UTC. Tolerates a zone name or offset before or after the year and missing seconds. */
bool date_mbox_parse(struct span s, time_t *at_r) __attribute__((warn_unused_result));

/* The zone of this machine at a moment, in minutes east of UTC. */
int date_local_zone(time_t at);
/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar; month 1 to 12. */
long date_days(int year, int month, int day);
