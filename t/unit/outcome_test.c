/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "lib/queue/job.h"
#include "lib/queue/outcome.h"

static void delays(void **state)
{
	static const struct {
		int64_t us;
		unsigned decimals;
		const char *want;
	} table[] = {
		{ -5, 2, "0" },        { 0, 2, "0" },          { 4999, 2, "0" },
		{ 5000, 2, "0.01" },   { 50000, 2, "0.05" },   { 123456, 2, "0.12" },
		{ 100000, 2, "0.1" },  { 995000, 2, "1" },     { 1234567, 2, "1.2" },
		{ 1250000, 2, "1.3" }, { 2000000, 2, "2" },    { 9949999, 2, "9.9" },
		{ 12345678, 2, "12" }, { 99500000, 2, "100" }, { 123456789, 2, "123" },
		{ 1234, 4, "0.0012" }, { 1234567, 0, "1" },    { 432000000000, 2, "432000" },
		{ 1234, 6, "0.0012" }, { 12, 6, "0.000012" },
	};
	struct buf b;

	(void)state;
	buf_init(&b, 64);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		buf_reset(&b);
		outcome_put_delay(&b, table[i].us, table[i].decimals);
		assert_string_equal(buf_cstr(&b), table[i].want);
	}
	buf_free(&b);
}

/* Otherwise bounce would find nobody to report on, and the message would go without a word. */
static void a_failure_that_cannot_be_journaled_is_none_yet(void **state)
{
	static struct conf settings;
	struct job_rcpt rcpts[2] = { { .index = 0, .address = SPAN("a@b") }, { .index = 1, .address = SPAN("c@d") } };
	struct job_message m = { .rcpts = rcpts, .nrcpts = 2 };
	struct outcome of[2] = { { .verdict = { .class = VERDICT_PERM, .dsn = "5.1.1" } },
				 { .verdict = { .class = VERDICT_OK, .dsn = "2.0.0" } } };
	struct arena a = ARENA_INIT;
	struct job_result *list;
	struct buf b;
	size_t n;

	(void)state;
	conf = &settings;
	queue_new_id(m.id); /* there is no such message */
	buf_init(&b, FRAME_MAX);
	assert_true(outcome_report(&m, of, false, SPAN_NONE, &b));
	assert_true(job_get_results(buf_span(&b), &a, &list, &n));
	assert_int_equal(n, 1);
	assert_int_equal(list[0].outcomes[0].class, VERDICT_TEMP);
	assert_int_equal(list[0].outcomes[1].class, VERDICT_OK);
	buf_free(&b);
	arena_free(&a);
}

/* One that is repeated travels once; what does not fit is left out, and the outcome itself never is. */
static void reasons_of_failures_travel(void **state)
{
	static char text[QUEUE_REASON_MAX];
	struct job_outcome of[20] = { { 0, VERDICT_TEMP, false, SPAN("busy") }, { 1, VERDICT_OK, true, SPAN_NONE },
				      { 2, VERDICT_PERM, false, SPAN("busy") }, { 3, VERDICT_TEMP, false, SPAN("later") } };
	struct job_result r = { .outcomes = of, .noutcomes = 20 }, *list;
	struct arena a = ARENA_INIT;
	struct buf b;
	size_t n;

	(void)state;
	memset(text, 'x', sizeof text);
	for (uint32_t i = 4; i < 20; i++)
		of[i] = (struct job_outcome){ i, VERDICT_TEMP, false, span_of(text + i, sizeof text - i) };
	buf_init(&b, FRAME_MAX);
	assert_true(job_put_result(&b, &r));
	assert_true(job_add_result(&b, &r));
	assert_true(b.len < 2 * 6000);
	assert_true(job_get_results(buf_span(&b), &a, &list, &n));
	assert_int_equal(n, 2);
	for (size_t i = 0; i < 20; i++) {
		assert_int_equal(list[1].outcomes[i].class, of[i].class);
		assert_int_equal(list[1].outcomes[i].passed_on, i == 1);
		assert_true(i >= 8 ? list[1].outcomes[i].reason.len == 0 : span_eq(list[1].outcomes[i].reason, of[i].reason));
	}
	for (size_t len = 0; len < b.len; len++) {
		(void)job_get_results(span_of(b.ptr, len), &a, &list, &n);
		arena_reset(&a);
	}
	buf_free(&b);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delays),
		cmocka_unit_test(a_failure_that_cannot_be_journaled_is_none_yet),
		cmocka_unit_test(reasons_of_failures_travel),
	};

	return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
