/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "lib/proto/idna.h"
#include "lib/proto/proxy_header.h"

#define V2 "\r\n\r\n\0\r\nQUIT\n"

/* As a server reads it: what is asked for, and no byte of what follows. */
static enum proxy_status feed(struct span all, struct proxy_header *h, size_t *used)
{
	enum proxy_status status;
	size_t want;

	*used = 0;
	while ((status = proxy_header_read(span_head(all, *used), h, &want)) == PROXY_MORE) {
		if (want > all.len - *used)
			return PROXY_MORE;
		*used += want;
	}
	return status;
}

static void test_good(void **state)
{
	static const struct {
		struct span text;
		bool local;
		int family;
	} good[] = {
		{ SPAN("PROXY TCP4 192.0.2.5 192.0.2.6 1234 25\r\n"), false, AF_INET },
		{ SPAN("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"), false, AF_INET },
		{ SPAN("PROXY TCP6 2001:db8::5 ::1 65535 0\r\n"), false, AF_INET6 },
		{ SPAN("PROXY UNKNOWN\r\n"), true, 0 },
		{ SPAN("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), true, 0 },
		{ SPAN(V2 "\x21\x11\0\x0c\xc0\0\2\5\xc0\0\2\6\4\xd2\0\x19"), false, AF_INET },
		{ SPAN(V2 "\x21\x11\0\x0f\xc0\0\2\5\xc0\0\2\6\4\xd2\0\x19" "tlv"), false, AF_INET },
		{ SPAN(V2 "\x20\0\0\0"), true, 0 },
		{ SPAN(V2 "\x21\x31\0\0"), true, 0 },
	};
	struct proxy_header h;
	char text[200];
	size_t used;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		memcpy(text, good[i].text.ptr, good[i].text.len);
		memcpy(text + good[i].text.len, "EHLO x\r\n", 8);
		assert_int_equal(feed(span_of(text, good[i].text.len + 8), &h, &used), PROXY_OK);
		assert_int_equal(used, good[i].text.len);
		assert_int_equal(h.local, good[i].local);
		assert_int_equal(h.client.family, good[i].family);
		for (size_t cut = 0; cut < good[i].text.len; cut++)
			assert_int_equal(feed(span_head(good[i].text, cut), &h, &used), PROXY_MORE);
	}
	assert_int_equal(feed(good[5].text, &h, &used), PROXY_OK);
	assert_memory_equal(h.client.bytes, "\xc0\0\2\5", 4);
	assert_int_equal(h.client_port, 1234);
	assert_int_equal(h.server_port, 25);
}

static void test_bad(void **state)
{
	static const struct span bad[] = {
		SPAN("EHLO x\r\nMAIL FROM:<x>\r\n"), SPAN("PROXY\r\n          "), SPAN("PROXY TCP4 1.2.3.4\r\n"),
		SPAN("PROXY TCP4 1.2.3.4 ::1 1 2\r\n"), SPAN("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"),
		SPAN("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"), SPAN("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"),
		SPAN("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"), SPAN("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"),
		SPAN("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"), SPAN("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n"),
		SPAN(V2 "\x11\x11\0\x0c            "), SPAN(V2 "\x22\x11\0\x0c            "), SPAN(V2 "\x21\x11\0\x04    "),
		SPAN(V2 "\x21\x11\xff\xff    "), SPAN("\r\nQUIT\r\n                 "),
	};
	struct proxy_header h;
	char line[120];
	size_t used;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(feed(bad[i], &h, &used), PROXY_BAD);
	memset(line, 'x', sizeof line);
	memcpy(line, "PROXY ", 6);
	assert_int_equal(feed(span_of(line, sizeof line), &h, &used), PROXY_BAD);
}

static void test_idna(void **state)
{
	struct arena a = ARENA_INIT;
	struct span out;

	(void)state;
	assert_true(span_is(idna_address(&a, SPAN("a@b\xc3\xbc" "cher.test")), "a@xn--bcher-kva.test"));
	assert_true(span_is(idna_address(&a, SPAN("\xc3\xbc@b\xc3\x9c" "CHER.test")), "\xc3\xbc@xn--bcher-kva.test"));
	assert_true(span_is(idna_address(&a, SPAN("a@EXAMPLE.test")), "a@EXAMPLE.test"));
	assert_true(span_is(idna_address(&a, SPAN("a@[1.2.3.4]")), "a@[1.2.3.4]"));
	assert_true(span_is(idna_address(&a, SPAN("a")), "a"));
	assert_false(idna_to_ascii(&a, SPAN("\xc3\xbc..test"), &out));
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_idna),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
