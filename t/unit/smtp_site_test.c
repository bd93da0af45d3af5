/* SPDX-License-Identifier: BSD-2-Clause */
/* The order of hosts, and the next hops that need no name service. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtp/site.c"

static bool all_are_us;

bool self_is_us(const struct netaddr *addr)
{
	(void)addr;
	return all_are_us;
}

/* "4:10:7 6:10:3": family, preference, lot; the host's name is its place in the list. */
static size_t make_hosts(const char *text, struct site_host *hosts)
{
	static const char names[] = "abcdefghijklmnopqrstuvwxyz";
	struct span rest = span_cstr(text), word;
	size_t n = 0;

	while (span_word(&rest, " ", &word)) {
		uint64_t family, preference, lot;

		assert_true(span_u64(span_cut(&word, ':'), 6, &family) &&
			    span_u64(span_cut(&word, ':'), 99, &preference) && span_u64(word, 99, &lot));
		hosts[n] = (struct site_host){ .name = span_of(names + n, 1), .preference = (uint32_t)preference };
		hosts[n].addr.family = family == 4 ? AF_INET : AF_INET6;
		hosts[n++].lot = (uint32_t)lot;
	}
	return n;
}

static void order(void **state)
{
	static const struct {
		const char *in;
		enum site_prefer prefer;
		size_t limit;
		const char *out;
	} table[] = {
		{ "", SITE_PREFER_ANY, 5, "" },
		{ "4:10:1", SITE_PREFER_ANY, 5, "a" },
		{ "4:20:1 4:10:2 4:30:0", SITE_PREFER_ANY, 0, "bac" },
		{ "4:10:3 4:10:1 4:10:2", SITE_PREFER_ANY, 0, "bca" },
		{ "4:10:3 6:10:1 4:10:2", SITE_PREFER_ANY, 0, "bca" },
		{ "4:10:3 6:10:1 4:10:2", SITE_PREFER_IPV4, 0, "cab" },
		{ "4:10:1 6:10:3 4:10:2", SITE_PREFER_IPV6, 0, "bac" },
		{ "6:20:1 4:10:9", SITE_PREFER_IPV6, 0, "ba" }, /* preference goes before family */
		{ "4:1:1 4:1:2 4:1:3", SITE_PREFER_ANY, 2, "ab" },
		{ "6:1:1 6:1:2 6:1:3 6:1:4 4:1:9", SITE_PREFER_ANY, 3, "abe" }, /* one family must not fill the limit */
		{ "6:1:1 6:1:2 6:1:3 6:1:4 4:9:9 4:9:8", SITE_PREFER_ANY, 4, "abfe" },
		{ "4:1:1 4:1:2 4:1:3 6:1:9", SITE_PREFER_IPV4, 2, "ad" },
		{ "4:1:1 4:1:2 6:1:3 6:1:9", SITE_PREFER_ANY, 1, "a" },
	};
	struct site_host hosts[32];

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		size_t n = site_order(hosts, make_hosts(table[i].in, hosts), table[i].prefer, table[i].limit);
		char got[33] = "";

		for (size_t k = 0; k < n; k++)
			got[k] = hosts[k].name.ptr[0];
		assert_string_equal(got, table[i].out);
	}
}

static struct conf *settings(void)
{
	static struct conf c = {
		.inet_protocols = "all",
		.smtp_address_preference = "any",
		.smtp_host_lookup = "dns",
		.smtp_mx_address_limit = 5,
		.disable_dns_lookups = true,
	};

	return &c;
}

static void next_hops(void **state)
{
	static const struct {
		const char *hop;
		const char *where; /* "address port", or the enhanced status code of the trouble */
	} table[] = {
		{ "[192.0.2.1]", "192.0.2.1 25" },
		{ "[192.0.2.1]:2525", "192.0.2.1 2525" },
		{ "192.0.2.1", "192.0.2.1 25" },
		{ "192.0.2.1:587", "192.0.2.1 587" },
		{ "[::1]:25", "::1 25" },
		{ "[2001:db8::1]", "2001:db8::1 25" },
		{ "[IPv6:2001:db8::1]:26", "2001:db8::1 26" },
		{ "[ipv6:::1]", "::1 25" },
		{ "[192.0.2.1]:smtp", "192.0.2.1 25" },
		{ "[192.0.2.1]:0", "4.3.5" },
		{ "[192.0.2.1]:70000", "4.3.5" },
		{ "[192.0.2.1]:no-such", "4.3.5" },
		{ "[192.0.2.1", "5.4.4" },
		{ "", "5.4.4" },
		{ "[]", "5.4.4" },
		{ "a..b", "5.4.4" },
		{ "[192.0.2.1]25", "5.4.4" },
		{ "a b", "5.4.4" },
	};
	struct arena a = ARENA_INIT;
	struct site site;

	(void)state;
	conf = settings();
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char text[NETADDR_TEXT_MAX];
		const char *got;

		site_resolve(&a, span_cstr(table[i].hop), &site);
		got = site.nhosts == 0 ? site.trouble.dsn
				       : arena_printf(&a, "%s %u", netaddr_text(&site.hosts[0].addr, text),
						      (unsigned)site.hosts[0].addr.port);
		assert_string_equal(got, table[i].where);
		assert_false(site.unreachable);
	}
	arena_free(&a);
}

static void never_to_ourselves(void **state)
{
	struct arena a = ARENA_INIT;
	struct site site;

	(void)state;
	conf = settings();
	all_are_us = true;
	site_resolve(&a, SPAN("[192.0.2.1]"), &site);
	assert_int_equal(site.nhosts, 0);
	assert_int_equal(site.trouble.class, VERDICT_TEMP);
	assert_true(span_find(site.trouble.text, SPAN("loops back to myself")) >= 0);
	all_are_us = false;
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order),
		cmocka_unit_test(next_hops),
		cmocka_unit_test(never_to_ourselves),
	};

	return cmocka_run_group_tests_name("smtp_site", tests, NULL, NULL);
}
