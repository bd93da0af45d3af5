/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(delays) };

	return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
