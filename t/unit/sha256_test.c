/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/sha256.h"

static void digest(struct span text, size_t times, size_t step, char hex[65])
{
	unsigned char d[SHA256_SIZE];
	struct sha256 s;

	sha256_init(&s);
	for (size_t i = 0; i < times; i++)
		for (size_t at = 0; at < text.len; at += step)
			sha256_add(&s, span_head(span_skip(text, at), step));
	sha256_end(&s, d);
	for (int i = 0; i < SHA256_SIZE; i++)
		snprintf(hex + 2 * i, 3, "%02x", d[i]);
}

/* The examples of FIPS 180-4. */
static void test_examples(void **state)
{
	static const struct {
		const char *text;
		size_t times;
		const char *hex;
	} v[] = {
		{ "", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
		{ "aaaaaaaaaa", 100000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" },
	};
	char hex[65];

	(void)state;
	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		digest(span_cstr(v[i].text), v[i].times, 1000, hex);
		assert_string_equal(hex, v[i].hex);
		digest(span_cstr(v[i].text), v[i].times, 3, hex);
		assert_string_equal(hex, v[i].hex);
	}
}

/* However it is cut, and for each length around a block. */
static void test_cuts(void **state)
{
	char text[200], whole[65], cut[65];

	(void)state;
	memset(text, 'x', sizeof text);
	for (size_t len = 0; len <= sizeof text; len++) {
		digest(span_of(text, len), 1, 1000, whole);
		for (size_t step = 1; step < 130; step += 9) {
			digest(span_of(text, len), 1, step, cut);
			assert_string_equal(whole, cut);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_examples), cmocka_unit_test(test_cuts) };

	return cmocka_run_group_tests_name("sha256", tests, NULL, NULL);
}
