/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/date.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char months[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
};

/* --- calendar ----------------------------------------------------------------------------------------------------- */

static bool leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int month_days(int year, int month)
{
	static const int len[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return len[month - 1] + (month == 2 && leap(year));
}

long date_days(int year, int month, int day)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	long y = (long)year - 1 + 400000; /* a multiple of 400 years, so that division never sees a negative */
	long days_before_year = y * 365 + y / 4 - y / 100 + y / 400;

	days_before_year -= 400000L * 365 + 400000 / 4 - 400000 / 100 + 400000 / 400;
	return days_before_year - 719162 + before[month - 1] + (month > 2 && leap(year)) + day - 1;
}

/* What any of the readers found; fields are checked together at the end. */
struct fields {
	int year, month, day, hour, minute, second, zone_minutes;
};

static bool to_date(const struct fields *f, struct date *date_r)
{
	if (f->month < 1 || f->month > 12 || f->day < 1 || f->day > month_days(f->year, f->month) || f->hour > 23 ||
	    f->minute > 59 || f->second > 60)
		return false;
	date_r->at = (time_t)date_days(f->year, f->month, f->day) * 86400 + f->hour * 3600 + f->minute * 60 +
		     f->second - f->zone_minutes * 60;
	date_r->zone_minutes = f->zone_minutes;
	return true;
}

/* gmtime of a moment shifted into a zone: the calendar as it stands there. */
static void in_zone(struct date date, struct tm *tm)
{
	time_t shifted = date.at + date.zone_minutes * 60;

	if (gmtime_r(&shifted, tm) == NULL || tm->tm_year > 9999 - 1900 || tm->tm_year < -1900) {
		shifted = 0;
		gmtime_r(&shifted, tm);
	}
}

int date_local_zone(time_t at)
{
	struct tm tm;

	return localtime_r(&at, &tm) ? (int)(tm.tm_gmtoff / 60) : 0;
}

long date_day(struct date date)
{
	struct tm tm;

	in_zone(date, &tm);
	return date_days(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static int zone_hhmm(int minutes)
{
	int m = minutes < 0 ? -minutes : minutes;

	return m / 60 % 100 * 100 + m % 60;
}

char *date_rfc5322(time_t at, char out[DATE_TEXT_MAX])
{
	struct date date = { at, date_local_zone(at) };
	struct tm tm, local;
	const char *name = localtime_r(&at, &local) && local.tm_zone ? local.tm_zone : "UTC";

	in_zone(date, &tm);
	snprintf(out, DATE_TEXT_MAX, "%s, %02d %s %04d %02d:%02d:%02d %c%04d (%.10s)", days[tm.tm_wday], tm.tm_mday,
		 months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
		 date.zone_minutes < 0 ? '-' : '+', zone_hhmm(date.zone_minutes), name);
	return out;
}

char *date_imap(struct date date, char out[DATE_TEXT_MAX])
{
	struct tm tm;

	in_zone(date, &tm);
	snprintf(out, DATE_TEXT_MAX, "%2d-%s-%04d %02d:%02d:%02d %c%04d", tm.tm_mday, months[tm.tm_mon],
		 tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec, date.zone_minutes < 0 ? '-' : '+',
		 zone_hhmm(date.zone_minutes));
	return out;
}

char *date_mbox(time_t at, char out[DATE_TEXT_MAX])
{
	struct tm tm;

	in_zone((struct date){ at, 0 }, &tm);
	snprintf(out, DATE_TEXT_MAX, "%s %s %2d %02d:%02d:%02d %04d", days[tm.tm_wday], months[tm.tm_mon], tm.tm_mday,
		 tm.tm_hour, tm.tm_min, tm.tm_sec, tm.tm_year + 1900);
	return out;
}

/* --- reading: pieces ---------------------------------------------------------------------------------------------- */

static bool skip_char(struct span *s, char c)
{
	if (s->len == 0 || s->ptr[0] != c)
		return false;
	*s = span_skip(*s, 1);
	return true;
}

/* One comment with all that is nested in it; the depth is a counter, so depth costs nothing. */
static void skip_comment(struct span *s)
{
	size_t i = 0, depth = 0;

	do {
		char c = s->ptr[i++];

		if (c == '\\')
			i++;
		else if (c == '(')
			depth++;
		else if (c == ')')
			depth--;
	} while (depth && i < s->len);
	*s = span_skip(*s, i);
}

static void skip_cfws(struct span *s)
{
	for (; s->len;) {
		if (s->ptr[0] == '(')
			skip_comment(s);
		else if (ascii_isspace(s->ptr[0]))
			*s = span_skip(*s, 1);
		else
			return;
	}
}

/* min to max digits as a number; -1 when there are fewer or more. */
static int number(struct span *s, size_t min, size_t max)
{
	size_t n = 0;
	int value = 0;

	while (n < s->len && n <= max && ascii_isdigit(s->ptr[n]))
		value = value * 10 + (s->ptr[n++] - '0');
	if (n < min || n > max)
		return -1;
	*s = span_skip(*s, n);
	return value;
}

static size_t alpha_len(struct span s)
{
	size_t n = 0;

	while (n < s.len && ascii_isalpha(s.ptr[n]))
		n++;
	return n;
}

/* A month by its first three letters, whatever letters follow; 0 when it is none. */
static int month(struct span *s)
{
	size_t n = alpha_len(*s);

	for (int m = 0; n >= 3 && m < 12; m++) {
		if (!span_istarts(*s, months[m]))
			continue;
		*s = span_skip(*s, n);
		return m + 1;
	}
	return 0;
}

/* hh:mm with optional seconds; cfws: comments and blanks may stand between. */
static bool clock_time(struct span *s, bool cfws, struct fields *f)
{
	f->hour = number(s, 1, 2);
	if (cfws)
		skip_cfws(s);
	if (f->hour < 0 || !skip_char(s, ':'))
		return false;
	if (cfws)
		skip_cfws(s);
	f->minute = number(s, 2, 2);
	if (cfws)
		skip_cfws(s);
	f->second = 0;
	if (f->minute >= 0 && skip_char(s, ':')) {
		if (cfws)
			skip_cfws(s);
		f->second = number(s, 1, 2);
	}
	return f->minute >= 0 && f->second >= 0;
}

/* +hhmm */
static bool offset(struct span *s, int *minutes_r)
{
	bool west = s->len && s->ptr[0] == '-';
	int hhmm;

	if (!skip_char(s, '+') && !skip_char(s, '-'))
		return false;
	hhmm = number(s, 4, 4);
	if (hhmm < 0 || hhmm % 100 > 59)
		return false;
	*minutes_r = (hhmm / 100 * 60 + hhmm % 100) * (west ? -1 : 1);
	return true;
}

/* Zone names of RFC 5322 4.3; all others count as -0000, as it says. */
static bool zone_name(struct span *s, int *minutes_r)
{
	static const struct {
		const char *name;
		int hours;
	} names[] = { { "EST", -5 }, { "EDT", -4 }, { "CST", -6 }, { "CDT", -5 },
		      { "MST", -7 }, { "MDT", -6 }, { "PST", -8 }, { "PDT", -7 } };
	size_t n = alpha_len(*s);

	if (n == 0)
		return false;
	*minutes_r = 0;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (span_iis(span_head(*s, n), names[i].name))
			*minutes_r = names[i].hours * 60;
	*s = span_skip(*s, n);
	return true;
}

/* --- reading: whole forms ----------------------------------------------------------------------------------------- */

static void skip_day_name(struct span *s)
{
	skip_cfws(s);
	*s = span_skip(*s, alpha_len(*s));
	skip_cfws(s);
	skip_char(s, ',');
	skip_cfws(s);
}

/* 4.3: two digits are 2000 to 2049 or 1950 to 1999, three count from 1900. */
static int header_year(struct span *s)
{
	size_t len = s->len;
	int year = number(s, 2, 4);

	len -= s->len;
	if (year < 0 || len == 4)
		return year;
	return len == 3 || year >= 50 ? year + 1900 : year + 2000;
}

bool date_rfc5322_parse(struct span s, struct date *date_r)
{
	struct fields f = { 0 };

	skip_day_name(&s);
	f.day = number(&s, 1, 2);
	skip_cfws(&s);
	skip_char(&s, '-');
	f.month = month(&s);
	skip_cfws(&s);
	skip_char(&s, '-');
	f.year = header_year(&s);
	skip_cfws(&s);
	if (f.day < 0 || f.year < 0 || !clock_time(&s, true, &f))
		return false;
	skip_cfws(&s);
	if (s.len && !offset(&s, &f.zone_minutes))
		zone_name(&s, &f.zone_minutes);
	return to_date(&f, date_r);
}

static bool imap_day(struct span *s, struct fields *f)
{
	f->day = number(s, 1, 2);
	if (f->day < 0 || !skip_char(s, '-') || alpha_len(*s) != 3)
		return false;
	f->month = month(s);
	if (!skip_char(s, '-'))
		return false;
	f->year = number(s, 4, 4);
	return f->year >= 0;
}

bool date_imap_parse(struct span s, struct date *date_r)
{
	struct fields f = { 0 };

	skip_char(&s, ' ');
	return imap_day(&s, &f) && skip_char(&s, ' ') && clock_time(&s, false, &f) && skip_char(&s, ' ') &&
	       offset(&s, &f.zone_minutes) && s.len == 0 && to_date(&f, date_r);
}

bool date_imap_day_parse(struct span s, long *day_r)
{
	struct fields f = { 0 };
	struct date date;

	if (!imap_day(&s, &f) || s.len || !to_date(&f, &date))
		return false;
	*day_r = date_days(f.year, f.month, f.day);
	return true;
}

static void skip_blanks(struct span *s)
{
	while (s->len && (s->ptr[0] == ' ' || s->ptr[0] == '\t'))
		*s = span_skip(*s, 1);
}

static bool is_day_name(struct span s)
{
	for (size_t i = 0; i < 7; i++)
		if (span_istarts(s, days[i]))
			return true;
	return false;
}

bool date_mbox_parse(struct span s, time_t *at_r)
{
	struct fields f = { 0 };
	struct date date;

	s = span_trim(s);
	if (!is_day_name(s))
		return false;
	s = span_skip(s, 3);
	skip_blanks(&s);
	f.month = month(&s);
	skip_blanks(&s);
	f.day = number(&s, 1, 2);
	skip_blanks(&s);
	if (f.day < 0 || !clock_time(&s, false, &f))
		return false;
	skip_blanks(&s);
	if (!offset(&s, &f.zone_minutes))
		zone_name(&s, &f.zone_minutes);
	skip_blanks(&s);
	f.year = number(&s, 4, 4);
	skip_blanks(&s);
	if (s.len && !offset(&s, &f.zone_minutes))
		zone_name(&s, &f.zone_minutes);
	if (f.year < 0 || s.len || !to_date(&f, &date))
		return false;
	*at_r = date.at;
	return true;
}
