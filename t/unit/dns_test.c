/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/io/dns.h"

/* --- making packets ----------------------------------------------------------------------------------------------- */

static void put16(struct buf *b, unsigned v)
{
	buf_addc(b, (char)(v >> 8));
	buf_addc(b, (char)v);
}

/* "a.b" as labels; "" is the root. */
static void put_name(struct buf *b, const char *text)
{
	struct span rest = span_cstr(text);

	while (rest.len) {
		struct span label = span_cut(&rest, '.');

		buf_addc(b, (char)label.len);
		buf_add_span(b, label);
	}
	buf_addc(b, 0);
}

static void begin(struct buf *b, unsigned flags, unsigned answers, const char *question, unsigned type)
{
	buf_init(b, DNS_ANSWER_MAX);
	put16(b, 1);
	put16(b, flags);
	put16(b, 1);
	put16(b, answers);
	put16(b, 0);
	put16(b, 0);
	put_name(b, question);
	put16(b, type);
	put16(b, 1);
}

static void put_rr(struct buf *b, const char *owner, unsigned type, uint32_t ttl, const void *data, size_t len)
{
	put_name(b, owner);
	put16(b, type);
	put16(b, 1);
	put16(b, ttl >> 16);
	put16(b, ttl & 0xFFFF);
	put16(b, (unsigned)len);
	buf_add(b, data, len);
}

static void put_named(struct buf *b, const char *owner, unsigned type, int preference, const char *target)
{
	struct buf data;

	buf_init(&data, 300);
	if (preference >= 0)
		put16(&data, (unsigned)preference);
	put_name(&data, target);
	put_rr(b, owner, type, 300, data.ptr, data.len);
	buf_free(&data);
}

enum { ANSWER = 0x8180 };

struct fixture {
	struct arena a;
	struct buf packet;
	struct dns_answer answer;
};

static enum dns_status read_it(struct fixture *f, const char *name, enum dns_type type)
{
	enum dns_status s = dns_read(&f->a, buf_span(&f->packet), span_cstr(name), type, &f->answer);

	return s;
}

static void done(struct fixture *f)
{
	buf_free(&f->packet);
	arena_free(&f->a);
	*f = (struct fixture){ .a = ARENA_INIT };
}

/* --- good answers ------------------------------------------------------------------------------------------------- */

static void addresses(void **state)
{
	static const unsigned char v6[16] = { 0x20, 1, 0xd, 0xb8, [15] = 1 };
	struct fixture f = { .a = ARENA_INIT };
	char text[NETADDR_TEXT_MAX];

	(void)state;
	begin(&f.packet, ANSWER, 2, "h.example", DNS_A);
	put_rr(&f.packet, "H.Example", DNS_A, 60, "\300\000\002\001", 4);
	put_rr(&f.packet, "h.example", DNS_A, 0x80000001, "\300\000\002\002", 4);
	assert_int_equal(read_it(&f, "h.example.", DNS_A), DNS_OK);
	assert_int_equal(f.answer.nrecords, 2);
	assert_string_equal(netaddr_text(&f.answer.records[0].addr, text), "192.0.2.1");
	assert_int_equal(f.answer.records[0].ttl, 60);
	assert_int_equal(f.answer.records[1].ttl, 0);
	assert_int_equal(read_it(&f, "h.example", DNS_AAAA), DNS_NODATA);
	done(&f);

	begin(&f.packet, ANSWER | 0x20, 1, "h.example", DNS_AAAA);
	put_rr(&f.packet, "h.example", DNS_AAAA, 5, v6, 16);
	assert_int_equal(read_it(&f, "h.example", DNS_AAAA), DNS_OK);
	assert_true(f.answer.authentic);
	assert_string_equal(netaddr_text(&f.answer.records[0].addr, text), "2001:db8::1");
	done(&f);
}

static void mx_and_null_mx(void **state)
{
	struct fixture f = { .a = ARENA_INIT };

	(void)state;
	begin(&f.packet, ANSWER, 2, "example.com", DNS_MX);
	put_named(&f.packet, "example.com", DNS_MX, 20, "b.example.com");
	put_named(&f.packet, "example.com", DNS_MX, 10, "a.example.com");
	assert_int_equal(read_it(&f, "example.com", DNS_MX), DNS_OK);
	assert_int_equal(f.answer.nrecords, 2);
	assert_int_equal(f.answer.records[0].preference, 20);
	assert_true(span_is(f.answer.records[1].name, "a.example.com"));
	assert_false(dns_is_null_mx(&f.answer));
	done(&f);

	begin(&f.packet, ANSWER, 1, "example.com", DNS_MX);
	put_named(&f.packet, "example.com", DNS_MX, 0, "");
	assert_int_equal(read_it(&f, "example.com", DNS_MX), DNS_OK);
	assert_true(dns_is_null_mx(&f.answer));
	done(&f);
}

static void aliases(void **state)
{
	struct fixture f = { .a = ARENA_INIT };

	(void)state;
	/* In the wrong order on purpose. */
	begin(&f.packet, ANSWER, 3, "www.example", DNS_A);
	put_rr(&f.packet, "c.example", DNS_A, 900, "\177\000\000\001", 4);
	put_named(&f.packet, "b.example", DNS_CNAME, -1, "c.example");
	put_named(&f.packet, "www.example", DNS_CNAME, -1, "b.example");
	assert_int_equal(read_it(&f, "www.example", DNS_A), DNS_OK);
	assert_true(span_is(f.answer.canonical, "c.example"));
	assert_int_equal(f.answer.records[0].ttl, 300);
	assert_int_equal(read_it(&f, "www.example", DNS_MX), DNS_NODATA);
	assert_true(span_is(f.answer.canonical, "c.example"));
	done(&f);

	/* RFC 2317 names on the way are all right, as a goal they are not. */
	begin(&f.packet, ANSWER, 2, "1.2.0.192.in-addr.arpa", DNS_PTR);
	put_named(&f.packet, "1.2.0.192.in-addr.arpa", DNS_CNAME, -1, "1.0/25.2.0.192.in-addr.arpa");
	put_named(&f.packet, "1.0/25.2.0.192.in-addr.arpa", DNS_PTR, -1, "host.example");
	assert_int_equal(read_it(&f, "1.2.0.192.in-addr.arpa", DNS_PTR), DNS_OK);
	assert_true(span_is(f.answer.records[0].name, "host.example"));
	done(&f);
}

static void result_codes(void **state)
{
	static const struct {
		unsigned rcode;
		enum dns_status want;
	} table[] = {
		{ 0, DNS_NODATA }, { 1, DNS_TEMP }, { 2, DNS_TEMP },  { 3, DNS_NXDOMAIN },
		{ 4, DNS_TEMP },   { 5, DNS_TEMP }, { 15, DNS_TEMP },
	};
	struct fixture f = { .a = ARENA_INIT };

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		begin(&f.packet, ANSWER | table[i].rcode, 0, "example.com", DNS_MX);
		assert_int_equal(read_it(&f, "example.com", DNS_MX), table[i].want);
		done(&f);
	}
}

/* --- hostile answers ---------------------------------------------------------------------------------------------- */

/* One record with these octets as its data, counted or not. */
static void short_and_long_data(void **state)
{
	static const struct {
		enum dns_type type;
		const char *data;
		size_t len;
	} table[] = {
		{ DNS_A, "", 0 },
		{ DNS_A, "\1\2\3", 3 },
		{ DNS_A, "\1\2\3\4\5", 5 },
		{ DNS_AAAA, "\1\2\3\4", 4 },
		{ DNS_MX, "", 0 },
		{ DNS_MX, "\0", 1 },
		{ DNS_MX, "\0\1", 2 },
		{ DNS_MX, "\0\1\1", 3 },
		{ DNS_MX, "\0\1\1a", 4 },
		{ DNS_MX, "\0\1\1a\0x", 6 },
		{ DNS_MX, "\0\1\1a\0\0", 6 },
		{ DNS_MX, "\0\1\100a\0", 5 },
		{ DNS_PTR, "\3a.b\0", 5 },
		{ DNS_PTR, "\3a\0b\0", 5 },
		{ DNS_PTR, "\3a b\0", 5 },
		{ DNS_PTR, "\3a\nb\0", 5 },
		{ DNS_PTR, "\3a\377b\0", 5 },
		{ DNS_PTR, "\300", 1 },
		{ DNS_PTR, "\277\1a\0", 4 },
	};
	struct fixture f = { .a = ARENA_INIT };

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		begin(&f.packet, ANSWER, 1, "x.example", table[i].type);
		put_rr(&f.packet, "x.example", table[i].type, 1, table[i].data, table[i].len);
		assert_int_equal(read_it(&f, "x.example", table[i].type), DNS_BAD);
		assert_int_equal(f.answer.nrecords, 0);
		done(&f);
	}
}

/* A good record beside a broken one counts. */
static void broken_beside_good(void **state)
{
	struct fixture f = { .a = ARENA_INIT };

	(void)state;
	begin(&f.packet, ANSWER, 2, "x.example", DNS_MX);
	put_rr(&f.packet, "x.example", DNS_MX, 1, "\0", 1);
	put_named(&f.packet, "x.example", DNS_MX, 7, "mx.example");
	assert_int_equal(read_it(&f, "x.example", DNS_MX), DNS_OK);
	assert_int_equal(f.answer.nrecords, 1);
	done(&f);
}

static void pointer_loops(void **state)
{
	static const struct {
		const char *name;
		size_t len;
	} owners[] = {
		{ "\300\033", 2 },    /* to itself: the record starts at 27 */
		{ "\300\035", 2 },    /* forward */
		{ "\1a\300\033", 4 }, /* to its own start */
		{ "\377\377", 2 },    /* past the end */
		{ "\1a", 2 },         /* no end */
	};
	struct fixture f = { .a = ARENA_INIT };

	(void)state;
	for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
		begin(&f.packet, ANSWER, 1, "x.example", DNS_A);
		assert_int_equal(f.packet.len, 27);
		buf_add(&f.packet, owners[i].name, owners[i].len);
		buf_add(&f.packet, "\0\1\0\1\0\0\0\1\0\4\1\2\3\4", 14);
		assert_int_equal(read_it(&f, "x.example", DNS_A), DNS_BAD);
		done(&f);
	}
	/* A pointer to the question is what everybody sends. */
	begin(&f.packet, ANSWER, 1, "x.example", DNS_A);
	buf_add(&f.packet, "\300\014\0\1\0\1\0\0\0\1\0\4\1\2\3\4", 16);
	assert_int_equal(read_it(&f, "x.example", DNS_A), DNS_OK);
	done(&f);
}

static void alias_loops(void **state)
{
	struct fixture f = { .a = ARENA_INIT };
	char from[32], to[32];

	(void)state;
	begin(&f.packet, ANSWER, 2, "a.example", DNS_A);
	put_named(&f.packet, "a.example", DNS_CNAME, -1, "b.example");
	put_named(&f.packet, "b.example", DNS_CNAME, -1, "a.example");
	assert_int_equal(read_it(&f, "a.example", DNS_A), DNS_BAD);
	done(&f);

	begin(&f.packet, ANSWER, 20, "n0.example", DNS_A);
	for (int i = 0; i < 20; i++) {
		snprintf(from, sizeof from, "n%d.example", i);
		snprintf(to, sizeof to, "n%d.example", i + 1);
		put_named(&f.packet, from, DNS_CNAME, -1, to);
	}
	assert_int_equal(read_it(&f, "n0.example", DNS_A), DNS_BAD);
	done(&f);
}

static void many_records(void **state)
{
	struct fixture f = { .a = ARENA_INIT };

	(void)state;
	begin(&f.packet, ANSWER, 2000, "x.example", DNS_A);
	for (int i = 0; i < 2000; i++)
		put_rr(&f.packet, "x.example", DNS_A, 1, "\1\2\3\4", 4);
	assert_int_equal(read_it(&f, "x.example", DNS_A), DNS_OK);
	assert_int_equal(f.answer.nrecords, DNS_RECORDS_MAX);
	done(&f);
}

/* Cut at each length, then with each octet turned over: an error or an answer, never a read past the end. */
static void cut_and_flipped(void **state)
{
	struct fixture f = { .a = ARENA_INIT };

	(void)state;
	begin(&f.packet, ANSWER, 2, "example.com", DNS_MX);
	put_named(&f.packet, "example.com", DNS_MX, 20, "b.example.com");
	buf_add(&f.packet, "\300\014\0\17\0\1\0\0\0\1\0\6\0\5\1a\300\014", 18);
	assert_int_equal(read_it(&f, "example.com", DNS_MX), DNS_OK);
	for (size_t len = 0; len < f.packet.len; len++) {
		char *copy = memcpy(test_malloc(len + 1), f.packet.ptr, len);

		assert_int_equal(dns_read(&f.a, span_of(copy, len), SPAN("example.com"), DNS_MX, &f.answer), DNS_BAD);
		test_free(copy);
	}
	for (size_t i = 0; i < f.packet.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			f.packet.ptr[i] ^= (char)(1 << bit);
			assert_in_range(read_it(&f, "example.com", DNS_MX), DNS_OK, DNS_BAD);
			assert_in_range(f.answer.nrecords, 0, 2);
			f.packet.ptr[i] ^= (char)(1 << bit);
		}
	}
	done(&f);
}

static void not_an_answer(void **state)
{
	struct fixture f = { .a = ARENA_INIT };

	(void)state;
	begin(&f.packet, 0x0100, 0, "example.com", DNS_MX); /* a question */
	assert_int_equal(read_it(&f, "example.com", DNS_MX), DNS_BAD);
	done(&f);
}

/* --- questions that are never asked ------------------------------------------------------------------------------- */

static void names_that_cannot_be(void **state)
{
	static const char *const names[] = {
		"",
		".",
		"a..b",
		".a",
		"a b",
		"a\\b",
		"a\tb",
		"\303\251.example",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example",
	};
	struct dns_answer answer;
	struct arena a = ARENA_INIT;
	char longest[300];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_int_equal(dns_lookup(&a, span_cstr(names[i]), DNS_MX, &answer), DNS_NXDOMAIN);
	memset(longest, 'a', sizeof longest);
	for (size_t i = 10; i < sizeof longest; i += 10)
		longest[i] = '.';
	assert_int_equal(dns_lookup(&a, span_of(longest, sizeof longest), DNS_MX, &answer), DNS_NXDOMAIN);
	arena_free(&a);
}

static void server_addresses(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} table[] = {
		{ "127.0.0.1", true },  { "127.0.0.1:5353", true }, { "[::1]:5353", true },
		{ "::1", true },        { "[::1]", true },          { "", true },
		{ "localhost", false }, { "127.0.0.1:", true },     { "127.0.0.1:x", false },
		{ "[::1", false },      { "[::1]5", false },        { "1.2.3.4:70000", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		assert_int_equal(dns_set_server(span_cstr(table[i].text)), table[i].ok);
	assert_true(dns_set_server(SPAN("")));
}

static void client_of_no_network(void **state)
{
	struct netaddr local = { .family = AF_UNIX };
	struct arena a = ARENA_INIT;
	struct span name;

	(void)state;
	assert_int_equal(dns_client_name(&a, &local, &name), DNS_NXDOMAIN);
	assert_true(span_is(name, "unknown"));
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(mx_and_null_mx),
		cmocka_unit_test(aliases),
		cmocka_unit_test(result_codes),
		cmocka_unit_test(short_and_long_data),
		cmocka_unit_test(broken_beside_good),
		cmocka_unit_test(pointer_loops),
		cmocka_unit_test(alias_loops),
		cmocka_unit_test(many_records),
		cmocka_unit_test(cut_and_flipped),
		cmocka_unit_test(not_an_answer),
		cmocka_unit_test(names_that_cannot_be),
		cmocka_unit_test(server_addresses),
		cmocka_unit_test(client_of_no_network),
	};

	return cmocka_run_group_tests_name("dns", tests, NULL, NULL);
}
