/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>

#include "lib/proto/date.h"

static void test_rfc5322_parse(void **state)
{
	static const struct {
		const char *in;
		long at;
		int zone;
	} table[] = {
		{ "Mon, 02 Jan 2006 15:04:05 -0700", 1136239445, -420 },
		{ "2 Jan 2006 15:04:05 -0700 (MST)", 1136239445, -420 },
		{ "Mon,\r\n 2 Jan 06\r\n 15:04:05 MST", 1136239445, -420 },
		{ "Mon (day), 2 (of (the) \\) month) Jan(x)2006 15 : 04 : 05 -0700", 1136239445, -420 },
		{ "Thu, 1 Jan 1970 00:00 +0000", 0, 0 },
		{ "Thu, 1 Jan 1970 00:00:00", 0, 0 },
		{ "Thu, 1 Jan 1970 00:00:00 Z", 0, 0 },
		{ "Thu, 1 Jan 70 00:00:00 GMT", 0, 0 },
		{ "Thu, 1 Jan 070 00:00:00 GMT", 0, 0 },
		{ "1 January 1970 00:00:00 XYZ", 0, 0 },
		{ "1-Jan-1970 00:00:00 +0000", 0, 0 },
		{ "29 Feb 2000 12:00:00 +0000", 951825600, 0 },
		{ "31 Dec 1969 23:59:60 +0000", 0, 0 },
		{ "1 Jan 1970 05:45:00 +0545", 0, 345 },
		{ "1 Jan 2100 00:00:00 EST", 4102462800, -300 },
	};
	static const char *const bad[] = { "",
					   "Mon",
					   "Mon, ",
					   "32 Jan 2006 15:04:05 +0000",
					   "29 Feb 2001 12:00:00 +0000",
					   "1 Foo 2006 15:04:05",
					   "1 Jan 2006 24:00:00",
					   "1 Jan 2006 12:60:00",
					   "1 Jan 2006 12:00:61",
					   "0 Jan 2006 12:00:00",
					   "1 Jan 12345 12:00:00",
					   "1 Jan 2006",
					   "1 Jan 2006 12",
					   "(((((",
					   "1 Jan 99999999999999999999 1:1:1",
					   "\\",
					   "(\\" };
	struct date d;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		assert_true(date_rfc5322_parse(span_cstr(table[i].in), &d));
		assert_int_equal(d.at, table[i].at);
		assert_int_equal(d.zone_minutes, table[i].zone);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(date_rfc5322_parse(span_cstr(bad[i]), &d));
}

static void test_local(void **state)
{
	char out[DATE_TEXT_MAX];

	(void)state;
	setenv("TZ", "MST7", 1);
	tzset();
	assert_string_equal(date_rfc5322(1136239445, out), "Mon, 02 Jan 2006 15:04:05 -0700 (MST)");
	assert_int_equal(date_local_zone(0), -420);
	setenv("TZ", "NPT-5:45", 1);
	tzset();
	assert_string_equal(date_rfc5322(0, out), "Thu, 01 Jan 1970 05:45:00 +0545 (NPT)");
	setenv("TZ", "UTC0", 1);
	tzset();
	assert_string_equal(date_rfc5322(951825600, out), "Tue, 29 Feb 2000 12:00:00 +0000 (UTC)");
}

static void test_imap(void **state)
{
	char out[DATE_TEXT_MAX];
	struct date d;
	long day;

	(void)state;
	assert_string_equal(date_imap((struct date){ 1136239445, -420 }, out), " 2-Jan-2006 15:04:05 -0700");
	assert_true(date_imap_parse(SPAN(" 2-Jan-2006 15:04:05 -0700"), &d));
	assert_true(d.at == 1136239445 && d.zone_minutes == -420);
	assert_true(date_imap_parse(SPAN("02-jan-2006 15:04:05 -0700"), &d));
	assert_true(date_imap_parse(SPAN("17-Jul-1996 02:44:25 -0700"), &d));
	assert_false(date_imap_parse(SPAN("2-Jan-2006 15:04:05 -0700 "), &d));
	assert_false(date_imap_parse(SPAN("2-January-2006 15:04:05 -0700"), &d));
	assert_false(date_imap_parse(SPAN("2-Jan-06 15:04:05 -0700"), &d));
	assert_false(date_imap_parse(SPAN("31-Feb-2006 15:04:05 -0700"), &d));
	assert_false(date_imap_parse(SPAN("2-Jan-2006 15:04:05"), &d));
	assert_false(date_imap_parse(SPAN("2-Jan-2006 15:04:05 -0760"), &d));
	assert_true(date_imap_day_parse(SPAN("1-Feb-1994"), &day));
	assert_int_equal(day, date_days(1994, 2, 1));
	assert_false(date_imap_day_parse(SPAN("1-Feb-1994x"), &day));
	assert_false(date_imap_day_parse(SPAN("30-Feb-1994"), &day));
	/* The day is the one on the writer's calendar. */
	assert_int_equal(date_day((struct date){ 23 * 3600, 120 }), 1);
	assert_int_equal(date_day((struct date){ 3600, -120 }), -1);
}

static void test_mbox(void **state)
{
	static const char *const forms[] = { "Mon Jan  2 22:04:05 2006", "Mon Jan 2 22:04:05 2006",
					     "Mon Jan  2 15:04:05 MST 2006", "Mon Jan  2 15:04:05 -0700 2006",
					     "Mon Jan  2 22:04:05 2006 +0000" };
	static const char *const bad[] = { "",
					   "Mon",
					   "Mon Jan 2 2006",
					   "Foo Jan  2 22:04:05 2006",
					   "Mon Jan  2 22:04:05",
					   "Mon Jan  2 22:04:05 2006 remote from x" };
	char out[DATE_TEXT_MAX];
	time_t at;

	(void)state;
	assert_string_equal(date_mbox(1136239445, out), "Mon Jan  2 22:04:05 2006");
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		assert_true(date_mbox_parse(span_cstr(forms[i]), &at));
		assert_int_equal(at, 1136239445);
	}
	assert_true(date_mbox_parse(SPAN("Mon Jan  2 22:04 2006\n"), &at));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(date_mbox_parse(span_cstr(bad[i]), &at));
}

static void test_round_trip(void **state)
{
	char out[DATE_TEXT_MAX];

	(void)state;
	for (time_t at = -62135596800; at < 253402300800; at += 86400 * 37 + 12345) {
		struct date d, back;
		time_t mbox;
		struct tm tm;

		gmtime_r(&at, &tm);
		assert_int_equal(date_days(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday) * 86400 + tm.tm_hour * 3600 +
				     tm.tm_min * 60 + tm.tm_sec,
				 at);
		d = (struct date){ at, 90 };
		if (at > 253402300800 - 86400 * 40)
			break;
		assert_true(date_imap_parse(span_cstr(date_imap(d, out)), &back));
		assert_true(back.at == at && back.zone_minutes == 90);
		assert_true(date_mbox_parse(span_cstr(date_mbox(at, out)), &mbox));
		assert_int_equal(mbox, at);
	}
	date_imap((struct date){ INT64_MAX / 2, 0 }, out);
	date_mbox(INT64_MIN / 2, out);
	date_rfc5322(INT64_MAX / 2, out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc5322_parse), cmocka_unit_test(test_local),      cmocka_unit_test(test_imap),
		cmocka_unit_test(test_mbox),          cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests_name("date", tests, NULL, NULL);
}
