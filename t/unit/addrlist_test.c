/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/proto/addrlist.h"

/* Each address as "name,route,mailbox@host;" with - for what is not there, groups as {name; };. */
static const char *list_of(struct arena *a, struct span body, size_t max, struct rfc5322_list *list)
{
	const char *out = "";

	*list = (struct rfc5322_list){ 0 };
	rfc5322_list_parse(a, body, max, list);
	for (struct rfc5322_addr *at = list->first; at; at = at->next) {
		if (at->kind == RFC5322_GROUP_START)
			out = arena_printf(a, "%s{" SPAN_FMT ";", out, SPAN_ARG(at->name));
		else if (at->kind == RFC5322_GROUP_END)
			out = arena_printf(a, "%s};", out);
		else
			out = arena_printf(a, "%s%s," SPAN_FMT "," SPAN_FMT "@" SPAN_FMT ";", out,
					   at->name.ptr ? arena_cstr(a, at->name) : "-", SPAN_ARG(at->route),
					   SPAN_ARG(at->mailbox), SPAN_ARG(at->host));
	}
	return list->bad ? arena_printf(a, "%s!", out) : out;
}

static void test_lists(void **state)
{
	static const struct {
		const char *in, *out;
	} table[] = {
		{ "", "" },
		{ " , ,", "" },
		{ "a@b", "-,,a@b;" },
		{ "<a@b>", "-,,a@b;" },
		{ "bob", "-,,bob@;" },
		{ "a@b, c@d,e@f", "-,,a@b;-,,c@d;-,,e@f;" },
		{ "Joe Q. Public <john.q.public@example.com>", "Joe Q. Public,,john.q.public@example.com;" },
		{ "\"Joe \\\"Q\\\" P\" <a@b>", "Joe \"Q\" P,,a@b;" },
		{ "a@b (Joe (x) P)", "Joe (x) P,,a@b;" },
		{ "<a@b> (Joe)", "Joe,,a@b;" },
		{ "Joe <a@b> (Moe)", "Joe,,a@b;" },
		{ "\"a b\"@c", "-,,a b@c;" },
		{ "\"x@y\"@c", "-,,x@y@c;" },
		{ "a . b @ c . d", "-,,a.b@c.d;" },
		{ "<@x,@y:a@b>", "-,@x,@y,a@b;" },
		{ "Joe\r\n <a@b>,\r\n\tMoe <c@d>", "Joe,,a@b;Moe,,c@d;" },
		{ "a@[1.2.3.4]", "-,,a@[1.2.3.4];" },
		{ "undisclosed-recipients:;", "{undisclosed-recipients;};" },
		{ "A Group:Ed <e@x>,joe@y, J <j@z>;, after@w", "{A Group;Ed,,e@x;-,,joe@y;J,,j@z;};-,,after@w;" },
		{ "=?utf-8?q?J=C3=B6?= <a@b>", "=?utf-8?q?J=C3=B6?=,,a@b;" },
		{ "J\xc3\xb6 <a@b>", "J\xc3\xb6,,a@b;" },
		{ "(only a comment)", "" },
		{ "a(x)b@c", "x,,b@c;" },
		{ "<>", "-,,@;" },
		/* Wrong, and what is made of it. */
		{ "group: a@b", "{group;-,,a@b;};" },
		{ "g: h: a@b;", "{g;};{h;-,,a@b;};!" },
		{ "a@b; c@d", "-,,a@b;-,,c@d;!" },
		{ "<a@b", "-,,a@b;!" },
		{ "<a@b, c@d", "-,,a@b;-,,c@d;!" },
		{ "a@b c@d, e@f", "-,,a@b;-,,e@f;!" },
		{ "a@b>, c@d", "-,,a@b;-,,c@d;!" },
		{ ")(", "!" },
		{ ")), a@b", "-,,a@b;!" },
		{ "John Smith", "-,,John Smith@;" },
		{ "John smith@x", "-,,smith@x;" },
		{ "\"open", "-,,open@;!" },
		{ "a@b (open", "open,,a@b;!" },
		{ "a@b (x\\", "x\\,,a@b;!" },
		{ "a@[1.2", "-,,a@[1.2;!" },
		{ "\\", "!" },
		{ "@", "-,,@;" },
		{ "<@,", "-,,@;!" },
	};
	struct arena a = ARENA_INIT;
	struct rfc5322_list list;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		assert_string_equal(list_of(&a, span_cstr(table[i].in), 100, &list), table[i].out);
	arena_free(&a);
}

static void test_bounds(void **state)
{
	static const char *const pieces[] = { "(",  "((a)", "<@,", "\"",     "a,",  "a:", ";", "<", "a@b c ",
					      "\\", "[",    "a@[", "\"a\" ", "(\\", "=?", ",", "a<" };
	struct arena a = ARENA_INIT;
	struct rfc5322_list list;
	struct buf b;

	(void)state;
	assert_string_equal(list_of(&a, SPAN("a, b, c"), 2, &list), "-,,a@;-,,b@;");
	assert_true(list.truncated && list.count == 2);
	/* Half a megabyte of each: time out here would mean that something is quadratic. */
	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		buf_reset(&b);
		while (b.len < 500000)
			buf_adds(&b, pieces[i]);
		list = (struct rfc5322_list){ 0 };
		rfc5322_list_parse(&a, buf_span(&b), SIZE_MAX, &list);
		arena_reset(&a);
	}
	buf_free(&b);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests_name("addrlist", tests, NULL, NULL);
}
