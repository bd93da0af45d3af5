/* SPDX-License-Identifier: BSD-2-Clause */
/* Failed logins and what accounts send: counted in files that processes share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/service/accounts.h"
#include "lib/service/penalty.h"

static char path[64];

static void test_penalty(void **state)
{
	struct penalty *a, *b;

	(void)state;
	snprintf(path, sizeof path, "/tmp/counts_test.%ld", (long)getpid());
	a = penalty_open(path);
	b = penalty_open(path);
	assert_int_equal(penalty_failure(a, 1, 2, 1000), 1);
	assert_int_equal(penalty_failure(b, 1, 3, 1001), 2); /* the network has two, the account one */
	assert_int_equal(penalty_failure(a, 0, 3, 1002), 2);
	assert_int_equal(penalty_failure(a, 0, 2, 1002), 2);
	penalty_success(b, 2);
	assert_int_equal(penalty_failure(a, 0, 2, 1003), 1);
	penalty_success(b, 99);
	assert_int_equal(penalty_failure(a, 1, 0, 1003), 3);
	assert_int_equal(penalty_failure(a, 1, 0, 1003 + PENALTY_FORGET_S + 1), 1);
	assert_int_equal(penalty_failure(a, 0, 0, 1), 0);
	for (uint64_t i = 0; i < 100; i++) /* a crowd in one place: the one that comes again is not forgotten */
		assert_int_equal(penalty_failure(a, 7 + (i + 1) * PENALTY_PLACES, 7, 2000 + (int64_t)i), i + 1);
	penalty_close(a);
	penalty_close(b);
	unlink(path);
	assert_int_equal(penalty_delay_ms(1, 2000), 2000);
	assert_int_equal(penalty_delay_ms(2, 2000), 2000);
	assert_int_equal(penalty_delay_ms(3, 2000), 4000);
	assert_int_equal(penalty_delay_ms(5, 2000), 15000);
	assert_int_equal(penalty_delay_ms(UINT32_MAX, 2000), 15000);
	assert_int_equal(penalty_delay_ms(UINT32_MAX, 0), 0);
	assert_int_equal(penalty_delay_ms(1, 20000), 20000);
}

static void test_accounts(void **state)
{
	struct span two[] = { SPAN("a@x"), SPAN("b@x") }, big[1000];
	static char names[1000][16];
	struct accounts *a, *b;
	struct account_use u;

	(void)state;
	a = accounts_open(path);
	b = accounts_open(path);
	u = accounts_count(a, SPAN("alice"), two, 2, 86400);
	assert_true(u.messages == 1 && u.recipients == 2);
	u = accounts_count(b, SPAN("alice"), two, 2, 2 * 86400 - 1);
	assert_true(u.messages == 2 && u.recipients == 2);
	u = accounts_count(b, SPAN("bob"), two, 1, 86400);
	assert_true(u.messages == 1 && u.recipients == 1);
	for (int i = 0; i < 1000; i++) {
		snprintf(names[i], sizeof names[i], "u%d@x", i);
		big[i] = span_cstr(names[i]);
	}
	u = accounts_count(a, SPAN("alice"), big, 1000, 86400);
	assert_true(u.recipients > 985 && u.recipients <= 1002);
	u = accounts_count(a, SPAN("alice"), two, 2, 2 * 86400); /* the next day */
	assert_true(u.messages == 1 && u.recipients == 2);
	accounts_close(a);
	accounts_close(b);
	unlink(path);
	assert_null(accounts_open("/nonexistent/x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_penalty), cmocka_unit_test(test_accounts) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
