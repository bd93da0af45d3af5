/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/store/mbox-format.h"

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Index of a three-letter word in a table of such, or -1. */
static int word3(struct span w, const char *table, int n)
{
	if (w.len == 4 && w.ptr[3] == ',')
		w.len = 3;
	for (int i = 0; w.len == 3 && i < n; i++)
		if (span_ieq(w, span_of(table + 3 * i, 3)))
			return i;
	return -1;
}

static bool number(struct span s, unsigned max, int *n_r)
{
	uint64_t n;

	if (!span_u64(s, max, &n))
		return false;
	*n_r = (int)n;
	return true;
}

/* hh:mm or hh:mm:ss */
static bool clock_time(struct span s, struct tm *tm)
{
	struct span hour = span_cut(&s, ':'), minute = span_cut(&s, ':');

	if (hour.len > 2 || minute.len != 2 || s.len > 2)
		return false;
	if (!number(hour, 23, &tm->tm_hour) || !number(minute, 59, &tm->tm_min))
		return false;
	return s.len == 0 || number(s, 60, &tm->tm_sec);
}

static bool offset(struct span s, int *minutes_r)
{
	uint64_t n;

	if (s.len != 5 || (s.ptr[0] != '+' && s.ptr[0] != '-') || !span_u64(span_skip(s, 1), 9999, &n))
		return false;
	*minutes_r = (int)(n / 100 * 60 + n % 100) * (s.ptr[0] == '-' ? -1 : 1);
	return true;
}

static bool year(struct span s, struct tm *tm)
{
	int y;

	if ((s.len != 4 && s.len != 2) || !number(s, 9999, &y))
		return false;
	if (s.len == 2)
		y += y < 70 ? 2000 : 1900;
	tm->tm_year = y - 1900;
	return y >= 1900;
}

static bool is_zone_name(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_isalpha(s.ptr[i]))
			return false;
	return s.len > 0 && s.len <= 5;
}

/*
 * The words from the day of the week on: "Tue Nov 24 04:00:00 [zone] 2026 [+0100] [remote from host]". Month and day may
 * have changed places.
 */
static bool date_words(struct span rest, struct tm *tm, int *zone_minutes, bool *has_zone)
{
	struct span w, a, b;

	if (!span_word(&rest, " \t", &w) || word3(w, days, 7) < 0)
		return false;
	if (!span_word(&rest, " \t", &a) || !span_word(&rest, " \t", &b))
		return false;
	tm->tm_mon = word3(a, months, 12);
	if (tm->tm_mon < 0) {
		tm->tm_mon = word3(b, months, 12);
		b = a;
	}
	if (tm->tm_mon < 0 || b.len > 2 || !number(b, 31, &tm->tm_mday) || tm->tm_mday == 0)
		return false;
	if (!span_word(&rest, " \t", &w) || !clock_time(w, tm) || !span_word(&rest, " \t", &w))
		return false;
	if (offset(w, zone_minutes)) {
		*has_zone = true;
		return span_word(&rest, " \t", &w) && year(w, tm);
	}
	if (is_zone_name(w) && !span_word(&rest, " \t", &w))
		return false;
	if (!year(w, tm))
		return false;
	*has_zone = span_word(&rest, " \t", &w) && offset(w, zone_minutes);
	return true;
}

bool mbox_from_parse(struct span line, int64_t *date_r)
{
	struct span rest;

	if (line.len > MBOX_FROM_MAX || !span_starts(line, "From "))
		return false;
	line = span_trim(line);
	/* The sender may hold anything, spaces included: try each word as the beginning of the date. */
	for (rest = span_skip(line, 5); rest.len > 0;) {
		struct tm tm = { .tm_isdst = -1 };
		int zone = 0;
		bool has_zone = false;

		if (date_words(rest, &tm, &zone, &has_zone)) {
			*date_r = has_zone ? timegm(&tm) - zone * 60 : mktime(&tm);
			return true;
		}
		if (span_chr(rest, ' ') < 0)
			return false;
		rest = span_skip(rest, (size_t)span_chr(rest, ' ') + 1);
	}
	return false;
}

bool mbox_from_make(struct buf *b, struct span sender, int64_t date)
{
	time_t t = date;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL) {
		t = 0;
		localtime_r(&t, &tm);
	}
	if (tm.tm_year < 0 || tm.tm_year > 9999 - 1900)
		tm.tm_year = 70;
	if (sender.len == 0)
		sender = SPAN("MAILER-DAEMON");
	buf_adds(b, "From ");
	for (size_t i = 0; i < sender.len && i < 512; i++) {
		unsigned char c = (unsigned char)sender.ptr[i];

		buf_addc(b, c <= 32 || c == 127 ? '_' : (char)c);
	}
	return buf_addf(b, "  %.3s %.3s %2d %02d:%02d:%02d %d\n", days + 3 * tm.tm_wday, months + 3 * tm.tm_mon, tm.tm_mday,
			tm.tm_hour, tm.tm_min, tm.tm_sec, tm.tm_year + 1900);
}
