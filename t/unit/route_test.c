/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/netaddr.h"
#include "lib/map/fresh.h"
#include "lib/route/route.h"

static char dir[64];
static struct arena arena;

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(arena_printf(&arena, "%s/%s", dir, name), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	fresh_check_now();
}

/* Lines added to this make the configuration of a test. */
static void use(const char *more)
{
	struct buf messages;
	struct conf *c;

	buf_init(&messages, 8192);
	write_file("main.cf", arena_printf(&arena,
					   "myhostname = mail.example.com\nmydestination = $myhostname, localhost, $mydomain\n"
					   "unprivileged_mode = yes\nalias_maps = hash:%s/aliases\n"
					   "inet_interfaces = loopback-only\nproxy_interfaces = 192.0.2.9\n"
					   "recipient_delimiter = +\nvirtual_alias_domains = alias.example\n"
					   "virtual_mailbox_domains = box.example\nrelay_domains = relay.example\n%s",
					   dir, more));
	if (conf_load(dir, NULL, 0, &c, &messages) == CONF_ERROR)
		fail_msg("%s", buf_cstr(&messages));
	buf_free(&messages);
	conf_free((struct conf *)(uintptr_t)conf);
	conf = c;
	route_init();
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/route_test.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	write_file("aliases", "root: alice\nteam: alice, bob\n");
	write_file("users", "alice:{PLAIN}x:::: \nbob:{PLAIN}x:::: \n");
	return 0;
}

static int cleanup(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", dir);
	conf_free((struct conf *)(uintptr_t)conf);
	arena_free(&arena);
	return system(command);
}

static void test_rewrite(void **state)
{
	static const struct {
		const char *more, *address, *want;
	} cases[] = {
		{ "", "alice", "alice@mail.example.com" },
		{ "myorigin = $mydomain\n", "alice", "alice@example.com" },
		{ "", "alice@", "alice@mail.example.com" },
		{ "", "alice@b.example.", "alice@b.example" },
		{ "", "alice@host", "alice@host" },
		{ "append_dot_mydomain = yes\n", "alice@host", "alice@host.example.com" },
		{ "append_dot_mydomain = yes\n", "alice@[127.0.0.1]", "alice@[127.0.0.1]" },
		{ "append_at_myorigin = no\n", "alice", "alice" },
		{ "", "site!alice", "alice@site" },
		{ "", "a!b!alice", "b!alice@a" },
		{ "swap_bangpath = no\n", "site!alice", "site!alice@mail.example.com" },
		{ "", "alice%b.example", "alice@b.example" },
		{ "", "a%b%c.example", "a%b@c.example" },
		{ "allow_percent_hack = no\n", "alice%b.example", "alice%b.example@mail.example.com" },
		{ "", "alice%b.example@c.example", "alice%b.example@c.example" },
		{ "", "a b@c.example", "a b@c.example" },
		{ "", "", "" },
		{ "", "@b.example", "@b.example" },
		{ "", "x%", "x%@mail.example.com" },
		{ "", "!x", "!x@mail.example.com" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct span got;

		use(cases[i].more);
		got = route_rewrite(&arena, span_cstr(cases[i].address));
		if (!span_is(got, cases[i].want))
			fail_msg("%s: " SPAN_FMT ", not %s", cases[i].address, SPAN_ARG(got), cases[i].want);
	}
}

static void test_classes(void **state)
{
	static const struct {
		const char *domain;
		enum route_class want;
	} cases[] = {
		{ "mail.example.com", ROUTE_LOCAL },     { "EXAMPLE.com", ROUTE_LOCAL },
		{ "localhost", ROUTE_LOCAL },            { "localhost.", ROUTE_LOCAL },
		{ "", ROUTE_LOCAL },                     { "sub.example.com", ROUTE_DEFAULT },
		{ "[127.0.0.1]", ROUTE_LOCAL },          { "[IPv6:::1]", ROUTE_LOCAL },
		{ "[192.0.2.9]", ROUTE_LOCAL },          { "[192.0.2.8]", ROUTE_DEFAULT },
		{ "127.0.0.1", ROUTE_DEFAULT },          { "[junk", ROUTE_DEFAULT },
		{ "alias.example", ROUTE_VIRTUAL_ALIAS }, { "box.example", ROUTE_VIRTUAL_MAILBOX },
		{ "x.box.example", ROUTE_DEFAULT },      { "relay.example", ROUTE_RELAY },
		{ "x.relay.example", ROUTE_RELAY },      { "xrelay.example", ROUTE_DEFAULT },
		{ "other.example", ROUTE_DEFAULT },
	};
	bool temp;

	(void)state;
	use("");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		enum route_class got = route_class_of(span_cstr(cases[i].domain), &temp);

		if (got != cases[i].want || temp)
			fail_msg("%s: %d, not %d", cases[i].domain, got, cases[i].want);
		assert_int_equal(route_is_ours(span_cstr(cases[i].domain)),
				 cases[i].want == ROUTE_DEFAULT ? MAP_NOTFOUND : MAP_OK);
	}
	use("mydestination = hash:/nonexistent/domains\n");
	(void)route_class_of(SPAN("other.example"), &temp);
	assert_true(temp);
	assert_int_equal(route_is_ours(SPAN("other.example")), MAP_TEMP);
	use("parent_domain_matches_subdomains =\n");
	assert_int_equal(route_is_ours(SPAN("x.relay.example")), MAP_NOTFOUND);
}

static const char table[] = "transport_maps = inline:{bob@far.example=smtp:[one.example], far.example=smtp:[two.example]:2525,"
			    " .sub.example=relay:, null.example=:, hop.example=:[hop.example], {gone.example=error:5.1.2 no more},"
			    " mail.example.com=:}\n";

static void test_resolve(void **state)
{
	static const struct {
		const char *more, *address, *transport, *nexthop, *destination;
	} cases[] = {
		{ "", "alice@example.com", "local", "example.com", "alice@example.com" },
		{ "", "Alice+x@Example.com", "local", "Example.com", "alice@example.com" },
		{ "", "a@[127.0.0.1]", "local", "[127.0.0.1]", "a@[127.0.0.1]" },
		{ "", "a@box.example", "virtual", "box.example", "a@box.example" },
		{ "", "a@alias.example", "error", "5.1.1 User unknown in virtual alias table",
		  "5.1.1 user unknown in virtual alias table" },
		{ "", "a@relay.example", "relay", "relay.example", "relay.example" },
		{ "", "a@Other.example", "smtp", "Other.example", "other.example" },
		{ "relayhost = [smart.example]:587\n", "a@other.example", "smtp", "[smart.example]:587", "[smart.example]:587" },
		{ "relayhost = [smart.example]\n", "a@relay.example", "relay", "[smart.example]", "[smart.example]" },
		{ "relayhost = [smart.example]\n", "a@example.com", "local", "example.com", "a@example.com" },
		{ "default_transport = smtp:[d.example]\nrelayhost = [smart.example]\n", "a@other.example", "smtp", "[d.example]",
		  "[d.example]" },
		{ "virtual_transport = lmtp:unix:private/lmtp\n", "a@box.example", "lmtp", "unix:private/lmtp",
		  "unix:private/lmtp" },
		{ table, "bob@far.example", "smtp", "[one.example]", "[one.example]" },
		{ table, "bob+x@far.example", "smtp", "[one.example]", "[one.example]" },
		{ table, "al@far.example", "smtp", "[two.example]:2525", "[two.example]:2525" },
		{ table, "al@x.y.sub.example", "relay", "x.y.sub.example", "x.y.sub.example" },
		{ table, "al@sub.example", "smtp", "sub.example", "sub.example" },
		{ table, "al@null.example", "smtp", "null.example", "null.example" },
		{ table, "al@hop.example", "smtp", "[hop.example]", "[hop.example]" },
		{ table, "al@gone.example", "error", "5.1.2 no more", "5.1.2 no more" },
		{ table, "al@mail.example.com", "local", "mail.example.com", "al@mail.example.com" },
		{ "transport_maps = inline:{*=smtp:[all.example]}\n", "al@x.example", "smtp", "[all.example]", "[all.example]" },
		{ "transport_maps = inline:{*=smtp:[all.example]}\n", "al@example.com", "smtp", "[all.example]",
		  "[all.example]" },
	};
	struct route r;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		use(cases[i].more);
		assert_int_equal(route_resolve(&arena, span_cstr(cases[i].address), &r), MAP_OK);
		if (!span_is(r.transport, cases[i].transport) || !span_is(r.nexthop, cases[i].nexthop) ||
		    !span_is(r.destination, cases[i].destination))
			fail_msg("%s: " SPAN_FMT " " SPAN_FMT " " SPAN_FMT, cases[i].address, SPAN_ARG(r.transport),
				 SPAN_ARG(r.nexthop), SPAN_ARG(r.destination));
	}
	use("transport_maps = hash:/nonexistent/transport\n");
	assert_int_equal(route_resolve(&arena, SPAN("a@b.example"), &r), MAP_TEMP);
	assert_int_equal(route_resolve(&arena, SPAN("a@alias.example"), &r), MAP_OK);
}

static const char boxes[] = "virtual_mailbox_maps = inline:{a@box.example=a/}\n"
			    "relay_recipient_maps = inline:{r@relay.example=x}\n"
			    "virtual_alias_maps = inline:{v@alias.example=alice,@all.alias.example=alice,nick=alice}\n"
			    "virtual_alias_domains = alias.example all.alias.example\n";

static void test_recipient(void **state)
{
	static const struct {
		const char *more, *address;
		int code;
		const char *dsn, *text;
	} cases[] = {
		{ "", "alice@example.com", 250, "2.1.5", "Ok" },
		{ "", "ALICE@example.com", 250, "2.1.5", "Ok" },
		{ "", "alice+x@example.com", 250, "2.1.5", "Ok" },
		{ "", "root@localhost", 250, "2.1.5", "Ok" },
		{ "", "team+x@localhost", 250, "2.1.5", "Ok" },
		{ "", "nobody-here@example.com", 550, "5.1.1", "User unknown in local recipient table" },
		{ "", "../x@example.com", 550, "5.1.1", "User unknown in local recipient table" },
		{ "", "@example.com", 550, "5.1.1", "User unknown in local recipient table" },
		{ "", "postmaster@example.com", 250, "2.1.5", "Ok" },
		{ "", "Postmaster@[127.0.0.1]", 250, "2.1.5", "Ok" },
		{ "", "double-bounce@example.com", 250, "2.1.5", "Ok" },
		{ "unknown_local_recipient_reject_code = 450\n", "x@example.com", 450, "4.1.1",
		  "User unknown in local recipient table" },
		{ "local_recipient_maps =\n", "x@example.com", 250, "2.1.5", "Ok" },
		{ "local_recipient_maps = hash:/nonexistent/x\n", "x@example.com", 0, "4.3.0", "Temporary lookup failure" },
		{ "", "any@other.example", 250, "2.1.5", "Ok" },
		{ "", "any@relay.example", 250, "2.1.5", "Ok" },
		{ "", "any@box.example", 250, "2.1.5", "Ok" },
		{ "", "any@alias.example", 550, "5.1.1", "User unknown in virtual alias table" },
		{ boxes, "a@box.example", 250, "2.1.5", "Ok" },
		{ boxes, "b@box.example", 550, "5.1.1", "User unknown in virtual mailbox table" },
		{ boxes, "postmaster@box.example", 550, "5.1.1", "User unknown in virtual mailbox table" },
		{ boxes, "r@relay.example", 250, "2.1.5", "Ok" },
		{ boxes, "s@relay.example", 550, "5.1.1", "User unknown in relay recipient table" },
		{ boxes, "v@alias.example", 250, "2.1.5", "Ok" },
		{ boxes, "w@alias.example", 550, "5.1.1", "User unknown in virtual alias table" },
		{ boxes, "w@all.alias.example", 250, "2.1.5", "Ok" },
		{ boxes, "nick@example.com", 250, "2.1.5", "Ok" },
		{ "", "Mailer-Daemon@example.com", 250, "2.1.5", "Ok" },
		{ "show_user_unknown_table_name = no\n", "x@example.com", 550, "5.1.1", "User unknown" },
		{ "transport_maps = inline:{ { example.com = error:4.2.1 moved } }\n", "alice@example.com", 550, "5.2.1", "moved" },
		{ "transport_maps = inline:{ other.example=retry:closed }\n", "any@other.example", 450, "4.1.1", "closed" },
		{ "transport_maps = hash:/nonexistent/x\n", "any@other.example", 0, "4.3.0", "Temporary lookup failure" },
		{ "virtual_alias_maps = hash:/nonexistent/x\n", "alice@example.com", 0, "4.3.0", "Temporary lookup failure" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct verdict v;
		int code = 0;

		use(cases[i].more);
		v = route_recipient(&arena, span_cstr(cases[i].address), &code);
		if (code != cases[i].code || strcmp(v.dsn, cases[i].dsn) != 0 || !span_is(v.text, cases[i].text))
			fail_msg("%s: %d %s " SPAN_FMT, cases[i].address, code, v.dsn, SPAN_ARG(v.text));
	}
}

static const char *expand(const char *address, size_t max)
{
	struct span *list;
	size_t n;
	struct buf out;
	const char *text;

	switch (route_virtual_alias(&arena, span_cstr(address), max, &list, &n)) {
	case MAP_TEMP:
		return "?";
	case MAP_NOTFOUND:
		return "!";
	default:
		break;
	}
	buf_init(&out, 65536);
	for (size_t i = 0; i < n; i++)
		buf_addf(&out, "%s" SPAN_FMT, i ? " " : "", SPAN_ARG(list[i]));
	text = arena_strdup(&arena, buf_cstr(&out));
	buf_free(&out);
	return text;
}

static void test_virtual_alias(void **state)
{
	static const struct {
		const char *map, *address, *want;
	} cases[] = {
		{ "x=y", "a@b.example", "a@b.example" },
		{ "a@b.example=c@d.example", "a@b.example", "c@d.example" },
		{ "a@b.example=c@d.example", "A@B.example", "c@d.example" },
		{ "{a@b.example=c@d.example, e@f.example}", "a@b.example", "c@d.example e@f.example" },
		{ "{a@b.example=c@d.example c@d.example, C@D.example}", "a@b.example", "c@d.example" },
		{ "a@b.example=alice", "a@b.example", "alice@mail.example.com" },
		{ "a@b.example=c@b.example c@b.example=d@b.example", "a@b.example", "d@b.example" },
		{ "a@b.example=a@b.example", "a@b.example", "a@b.example" },
		{ "{a@b.example=a@b.example, c@d.example}", "a@b.example", "a@b.example c@d.example" },
		{ "a@b.example=c@b.example c@b.example=a@b.example", "a@b.example", "a@b.example" },
		{ "{l@b.example=m@b.example, n@b.example} m@b.example=z@x.example n@b.example=z@x.example", "l@b.example",
		  "z@x.example" },
		{ "@b.example=@c.example", "u@b.example", "u@c.example" },
		{ "@b.example=@c.example", "u+e@b.example", "u+e@c.example" },
		{ "@b.example=all@c.example", "u+e@b.example", "all@c.example" },
		{ "u@b.example=v@c.example", "u+e@b.example", "v+e@c.example" },
		{ "alice=bob@x.example", "alice@example.com", "bob@x.example" },
		{ "alice=bob@x.example", "alice@other.example", "alice@other.example" },
		{ "alice=bob", "alice@example.com", "bob@mail.example.com" },
		{ "{a@b.example=\"x y\"@c.example, z@c.example}", "a@b.example", "x y@c.example z@c.example" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const char *got;

		use(arena_printf(&arena, "virtual_alias_maps = inline:{%s}\n", cases[i].map));
		got = expand(cases[i].address, 100);
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("%s: %s, not %s", cases[i].map, got, cases[i].want);
	}
}

static void test_virtual_alias_limits(void **state)
{
	struct buf map;

	(void)state;
	use("virtual_alias_maps = hash:/nonexistent/virtual\n");
	assert_string_equal(expand("a@b.example", 10), "?");
	use("virtual_alias_maps = inline:{ {a@b.example=1@x,2@x,3@x} }\n");
	assert_string_equal(expand("a@b.example", 3), "1@x 2@x 3@x");
	assert_string_equal(expand("a@b.example", 2), "!");
	buf_init(&map, 65536);
	buf_adds(&map, "virtual_alias_maps = pcre:");
	buf_addf(&map, "%s/grow\n", dir);
	write_file("grow", "/^(.*)@grow\\.example$/ $1x@grow.example\n");
	use(buf_cstr(&map));
	assert_string_equal(expand("a@grow.example", 10), "!");
	buf_free(&map);
}

static void test_mynetworks(void **state)
{
	struct netaddr a;

	(void)state;
	use("mynetworks = 127.0.0.0/8 192.168.10.0/24 [::1]/128\n");
	assert_true(netaddr_parse(SPAN("192.168.10.7"), &a));
	assert_int_equal(route_in_mynetworks(&a), MAP_OK);
	assert_true(netaddr_parse(SPAN("192.168.11.7"), &a));
	assert_int_equal(route_in_mynetworks(&a), MAP_NOTFOUND);
	use("");
	assert_true(netaddr_parse(SPAN("127.0.0.1"), &a));
	assert_int_equal(route_in_mynetworks(&a), MAP_OK);
	assert_true(netaddr_parse(SPAN("203.0.113.7"), &a));
	assert_int_equal(route_in_mynetworks(&a), MAP_NOTFOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rewrite),       cmocka_unit_test(test_classes),
		cmocka_unit_test(test_resolve),       cmocka_unit_test(test_recipient),
		cmocka_unit_test(test_virtual_alias), cmocka_unit_test(test_virtual_alias_limits),
		cmocka_unit_test(test_mynetworks),
	};

	log_open("route_test", LOG_TO_STDERR, -1, 0);
	return cmocka_run_group_tests(tests, setup, cleanup);
}
