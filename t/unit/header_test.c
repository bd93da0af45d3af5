/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proto/header.h"

static void test_fields(void **state)
{
	static const struct {
		const char *msg;
		const char *fields; /* name=body; for each, a bad line as !raw */
		size_t size;
	} table[] = {
		{ "A: b\n\nbody", "A= b;", 6 },
		{ "A: b\r\n\r\nbody", "A= b;", 8 },
		{ "A: b\nC:d\n", "A= b;C=d;", 9 },
		{ "A: b\n c\n\td\nE: f", "A= b\n c\n\td;E= f;", 15 },
		{ "A : b\nbad line\nC:\n\n", "A= b;!bad line\n;C=;", 19 },
		{ " x\nA: b\n\n", "! x\n;A= b;", 9 },
		{ "From x@y Mon\nA: b\n\n", "!From x@y Mon\n;A= b;", 19 },
		{ "\nbody", "", 1 },
		{ "\r\nbody", "", 2 },
		{ "", "", 0 },
		{ ":x\n\n", "!:x\n;", 4 },
		{ "A:b", "A=b;", 3 },
		{ "A:b\r", "A=b;", 4 },
		{ "A:b\n \nC:d\n\n", "A=b\n ;C=d;", 11 },
	};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct span msg = span_cstr(table[i].msg), rest = msg;
		struct header_field f;

		buf_reset(&b);
		while (header_next(&rest, &f)) {
			if (f.name.len)
				buf_addf(&b, SPAN_FMT "=" SPAN_FMT ";", SPAN_ARG(f.name), SPAN_ARG(f.body));
			else
				buf_addf(&b, "!" SPAN_FMT ";", SPAN_ARG(f.raw));
		}
		assert_string_equal(buf_cstr(&b), table[i].fields);
		assert_int_equal(header_size(msg), table[i].size);
	}
	buf_free(&b);
}

static void test_find(void **state)
{
	struct span msg = SPAN("Received: a\nReceived: b\nSubject: one\n two\r\n\tthree \nsubject: x\n\nSubject: no\n");
	struct arena a = ARENA_INIT;

	(void)state;
	assert_int_equal(header_count(msg, "received"), 2);
	assert_true(span_is(header_get(&a, msg, "SUBJECT", 1000), "one two\tthree"));
	assert_true(span_is(header_get(&a, msg, "SUBJECT", 3), "one"));
	assert_ptr_equal(header_get(&a, msg, "Nothing", 1000).ptr, NULL);
	arena_free(&a);
}

static void test_names(void **state)
{
	(void)state;
	assert_true(header_name_valid(SPAN("X-Foo_bar")));
	assert_false(header_name_valid(SPAN("")));
	assert_false(header_name_valid(SPAN("X Foo")));
	assert_false(header_name_valid(SPAN("X:Foo")));
	assert_false(header_name_valid(SPAN("X\xc3\xa9")));
	assert_false(header_name_valid(SPAN("X\0")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
