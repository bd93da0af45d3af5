/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proto/aliases.h"

/* Every item as one letter and its text, joined by "; "; an error as !text. */
static const char *items_of(struct arena *a, struct span list)
{
	static const char letters[] = "AD|FI";
	const char *out = "";
	struct alias_item item;
	enum alias_err err;

	while ((err = alias_next(a, &list, &item)) == ALIAS_OK)
		out = arena_printf(a, "%s%s%c%.*s", out, *out ? "; " : "", letters[item.kind], SPAN_ARG(item.text));
	if (err != ALIAS_END)
		out = arena_printf(a, "%s!%s", out, alias_err_str(err));
	return out;
}

static void test_lists(void **state)
{
	static const struct {
		const char *in, *out;
	} table[] = {
		{ "", "" },
		{ " , ,, ", "" },
		{ "bob", "Abob" },
		{ "bob, carol@example.com", "Abob; Acarol@example.com" },
		{ "bob carol\tdave", "Abob; Acarol; Adave" },
		{ "\\bob, \"|/bin/x\"", "Dbob; |/bin/x" },
		{ "\"\\\\bob\"", "Dbob" },
		{ "|/bin/cat", "|/bin/cat" },
		{ "|/bin/prog -a b, bob", "|/bin/prog -a b; Abob" },
		{ "\"|/bin/prog -a, b\", bob", "|/bin/prog -a, b; Abob" },
		{ "|\"/bin/prog a, b\"", "|/bin/prog a, b" },
		{ "\"|/bin/prog \\\"a b\\\" c\"", "|/bin/prog \"a b\" c" },
		{ "| \"IFS=' ' && exec /bin/x || exit 75 #bob\"", "|IFS=' ' && exec /bin/x || exit 75 #bob" },
		{ "/var/mail/x", "F/var/mail/x" },
		{ "\"/var/my mail/x\" /dev/null", "F/var/my mail/x; F/dev/null" },
		{ ":include:/etc/list", "I/etc/list" },
		{ ":Include: /etc/list", "!empty item" },
		{ "\":include: /etc/a list\"", "I/etc/a list" },
		{ "Bob Builder <bob@example.com>, carol", "Abob@example.com; Acarol" },
		{ "\"Builder, Bob\" <bob@example.com>", "Abob@example.com" },
		{ "<bob@example.com>", "Abob@example.com" },
		{ "\"a b\"@example.com", "Aa b@example.com" },
		{ "bob (his comment, (nested)) carol", "Abob; Acarol" },
		{ "bob+list", "Abob+list" },
		{ "\"bob", "!unclosed quote, comment or <" },
		{ "(bob", "!unclosed quote, comment or <" },
		{ "<bob", "!unclosed quote, comment or <" },
		{ "\"\"", "!empty item" },
		{ "|", "!empty item" },
		{ "\"a\001b\"", "!control character" },
		{ "a\177b", "!control character" },
		{ "bob, \"", "Abob!unclosed quote, comment or <" },
	};
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_string_equal(items_of(&a, span_cstr(table[i].in)), table[i].out);
	arena_free(&a);
}

static void test_nul_and_length(void **state)
{
	struct arena a = ARENA_INIT;
	char *big = arena_alloc(&a, ALIAS_ITEM_MAX + 2);

	(void)state;
	assert_string_equal(items_of(&a, span_of("a\0b", 3)), "!control character");
	memset(big, 'x', ALIAS_ITEM_MAX + 1);
	assert_string_equal(items_of(&a, span_of(big, ALIAS_ITEM_MAX + 1)), "!item too long");
	assert_int_equal(strlen(items_of(&a, span_of(big, ALIAS_ITEM_MAX))), ALIAS_ITEM_MAX + 1);
	arena_free(&a);
}

static void test_lines(void **state)
{
	struct span file = SPAN("# a comment\n\n  bob \r\n#x\n\tcarol\nlast"), line;

	(void)state;
	assert_true(alias_line(&file, &line) && span_is(line, "bob"));
	assert_true(alias_line(&file, &line) && span_is(line, "carol"));
	assert_true(alias_line(&file, &line) && span_is(line, "last"));
	assert_false(alias_line(&file, &line));
}

static void test_entries(void **state)
{
	static const struct {
		const char *name, *value;
		int line;
	} want[] = {
		{ "postmaster", "root", 2 },
		{ "list", "bob, carol, dave", 4 },
		{ "odd name", "\"|/bin/x\"", 8 },
		{ "", "", 9 },
		{ "", "", 10 },
		{ "last", ":include:/x", 11 },
	};
	struct span file =
	    SPAN("# head\nPostmaster: root\n\nlist: bob,\n\tcarol,\n# between\n dave\n\"Odd Name\" : \"|/bin/x\"\n"
		 "nothing:\nno colon\nlast::include:/x");
	struct arena a = ARENA_INIT;
	struct alias_entry e;
	int line = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_true(alias_entry_next(&a, &file, &line, &e));
		assert_true(span_is(e.name, want[i].name));
		assert_true(span_is(e.value, want[i].value));
		assert_int_equal(e.line, want[i].line);
		assert_int_equal(e.bad, want[i].name[0] == '\0');
	}
	assert_false(alias_entry_next(&a, &file, &line, &e));
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_nul_and_length),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
