/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proto/pop3_uidl.h"

static void test_formats(void **state)
{
	static const struct {
		const char *format, *id; /* for UIDVALIDITY 0x4f1d8a11, UID 26; NULL: not usable */
	} table[] = {
		{ "%08Xu%08Xv", "0000001a4f1d8a11" },
		{ "%08Xv%08Xu", "4f1d8a110000001a" },
		{ "%v.%u", "1327335953.26" },
		{ "%u", "26" },
		{ "%Xu", "1a" },
		{ "%UXu", "1A" },
		{ "%05u", "00026" },
		{ "UID%u-%v", "UID26-1327335953" },
		{ "%%%u", "%26" },
		{ "", NULL },
		{ "%v", "1327335953" },
		{ "%g", "1767225600.M1P2.host" },
		{ "%f.%u", "1767225600.M1P2.host.26" },
		{ "%u%", NULL },
		{ "a b%u", NULL },
		{ "%0999u", NULL },
		{ "%u\xc3\xa9", NULL },
	};
	static const struct pop3_uidl_values values = { 0x4f1d8a11, 26, { "1767225600.M1P2.host", 20 } };
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		buf_reset(&b);
		assert_int_equal(pop3_uidl_format(&b, table[i].format, &values), table[i].id != NULL);
		if (table[i].id)
			assert_string_equal(buf_cstr(&b), table[i].id);
	}
	buf_free(&b);
}

static void test_valid(void **state)
{
	(void)state;
	assert_true(pop3_uidl_format_valid("%08Xu%08Xv"));
	assert_true(pop3_uidl_format_valid("%v-%u"));
	assert_true(pop3_uidl_format_valid("%f"));
	assert_true(pop3_uidl_format_valid("%g"));
	assert_false(pop3_uidl_format_valid("%v")); /* all messages would have the same */
	assert_false(pop3_uidl_format_valid("%%u"));
	assert_false(pop3_uidl_format_valid("%u%z"));
	assert_false(pop3_uidl_format_valid("%060u%060v"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_formats), cmocka_unit_test(test_valid) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
