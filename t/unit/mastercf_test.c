/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "lib/conf/edit.h"
#include "lib/conf/mastercf.h"

static struct arena arena;

static int cleanup(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static bool parse(const char *text, struct mastercf *m, const char **messages)
{
	struct buf b;
	bool ok;

	buf_init(&b, 65536);
	ok = mastercf_parse("m.cf", span_cstr(text), &arena, m, &b);
	*messages = arena_strdup(&arena, buf_cstr(&b));
	buf_free(&b);
	return ok;
}

static void test_entries(void **state)
{
	static const char text[] = "# comment\n"
				   "smtp inet n - - - - smtpd\n"
				   "127.0.0.1:2525 inet n y y 60 5 smtpd -v\n"
				   "  # in between\n"
				   "  -o syslog_name=postfix/x\n"
				   "\n"
				   "\t-o { smtpd_banner = a  b } -o a=b arg\n"
				   "qmgr unix n - n 300? 1 qmgr\n"
				   "submit unix-stream - n - - 0 smtpd";
	struct mastercf m;
	const char *messages;
	struct mastercf_service *s;

	(void)state;
	if (!parse(text, &m, &messages))
		fail_msg("%s", messages);
	assert_int_equal(m.count, 4);
	s = &m.services[0];
	assert_string_equal(s->name, "smtp");
	assert_int_equal(s->type, MASTERCF_INET);
	assert_false(s->is_private);
	assert_true(s->unpriv);
	assert_false(s->chroot);
	assert_int_equal(s->maxproc, MASTERCF_MAXPROC_DEFAULT);
	assert_string_equal(s->program, "smtpd");
	assert_int_equal(s->line, 2);
	assert_int_equal(s->nargs + s->noverrides, 0);
	s = &m.services[1];
	assert_string_equal(s->name, "127.0.0.1:2525");
	assert_true(s->chroot);
	assert_int_equal(s->wakeup_s, 60);
	assert_false(s->wakeup_if_used);
	assert_int_equal(s->maxproc, 5);
	assert_int_equal(s->nargs, 2);
	assert_string_equal(s->args[0], "-v");
	assert_string_equal(s->args[1], "arg");
	assert_int_equal(s->noverrides, 3);
	assert_string_equal(s->overrides[0], "syslog_name=postfix/x");
	assert_string_equal(s->overrides[1], "smtpd_banner=a  b");
	assert_string_equal(s->overrides[2], "a=b");
	s = &m.services[2];
	assert_true(s->wakeup_if_used);
	assert_int_equal(s->wakeup_s, 300);
	assert_int_equal(m.services[3].type, MASTERCF_UNIX_STREAM);
	assert_true(m.services[3].is_private);
	assert_false(m.services[3].unpriv);
	assert_int_equal(m.services[3].maxproc, 0);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "smtp inet n - - - -\n", "error: m.cf:1: 8 columns are expected" },
		{ "smtp tcp n - - - - smtpd\n", "error: m.cf:1: unknown service type tcp: inet, unix or unix-stream is expected\n" },
		{ "\n\nsmtp inet n - - - many smtpd\n", "error: m.cf:3: the seventh column (maxproc) is many: a number or - is expected" },
		{ "smtp inet n - - soon - smtpd\n", "error: m.cf:1: the sixth column (wakeup) is soon" },
		{ "smtp inet x - - - - smtpd\n", "error: m.cf:1: the third column (private) is x: y, n or - is expected" },
		{ "smtp inet y - - - - smtpd\n", "error: m.cf:1: an inet service cannot be private" },
		{ "smtp inet n - - - - ../smtpd\n", "error: m.cf:1: the program is a name in daemon_directory" },
		{ "a/b unix n - - - - x\n", "error: m.cf:1: the name of a unix service has no /: a/b" },
		{ "x unix n - - - - x -o\n", "error: m.cf:1: -o needs name=value after it" },
		{ "x unix n - - - - x -o name\n", "error: m.cf:1: -o name: name = value is expected" },
		{ "x unix n - - - - x -o { a = b\n", "error: m.cf:1: a { has no matching }" },
		{ "  x unix n - - - - x\n", "error: m.cf:1: a line that begins with white space" },
		{ "x unix n - - - - x\ny unix n - - - - x\nx unix n - - - - y\n",
		  "error: m.cf:3: service x unix is there already, in line 1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct mastercf m;
		const char *messages;

		if (parse(cases[i].text, &m, &messages) || strstr(messages, cases[i].message) == NULL)
			fail_msg("%s: %s", cases[i].text, messages);
	}
}

static void test_same_name_other_type(void **state)
{
	struct mastercf m;
	const char *messages;

	(void)state;
	assert_true(parse("smtp inet n - - - - smtpd\nsmtp unix - - - - - smtp\n", &m, &messages));
	assert_true(parse("", &m, &messages));
	assert_int_equal(m.count, 0);
}

static void test_shipped_file(void **state)
{
	struct mastercf m;
	struct buf messages;

	(void)state;
	buf_init(&messages, 4096);
	assert_int_equal(mastercf_load("conf", &arena, &m, &messages), CONF_OK);
	assert_true(m.count >= 13);
	assert_int_equal(m.services[0].maxproc, 100);
	buf_free(&messages);
}

/* --- changing files --------------------------------------------------------------------------------------------------- */

static const struct {
	enum edit_how how;
	const char *before, *name, *value, *after;
} edits[] = {
	{ EDIT_SET, "a = 1\n", "a", "2", "a = 2\n" },
	{ EDIT_SET, "a=1", "b", "2", "a=1\nb = 2\n" },
	{ EDIT_SET, "", "b", "", "b =\n" },
	{ EDIT_SET, "# a = 0\na = 1,\n  # kept\n  2\n\nb = 3\n", "a", "x y", "# a = 0\na = x y\n  # kept\n\nb = 3\n" },
	{ EDIT_SET, "a = 1\nb = 2\na = 3\n", "a", "4", "a = 4\nb = 2\n" },
	{ EDIT_SET, "ab = 1\n", "a", "4", "ab = 1\na = 4\n" },
	{ EDIT_SET, "a = 1\n", "a", "4\nb = 5", "a = 4 b = 5\n" },
	{ EDIT_REMOVE, "a = 1\n 2\nb = 2\na = 3\n", "a", "", "b = 2\n" },
	{ EDIT_REMOVE, "b = 2\n", "a", "", "b = 2\n" },
	{ EDIT_COMMENT, "a = 1\n 2\nb = 2\n", "a", "", "#a = 1\n# 2\nb = 2\n" },
	{ EDIT_SET, "junk\na = 1\n", "a", "2", "junk\na = 2\n" },
};

static void test_edit_maincf(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
		struct edit e = { span_cstr(edits[i].name), span_cstr(edits[i].value) };
		struct buf out;

		buf_init(&out, 4096);
		edit_maincf(span_cstr(edits[i].before), edits[i].how, &e, 1, &out);
		if (strcmp(buf_cstr(&out), edits[i].after) != 0)
			fail_msg("%zu: [%s]", i, buf_cstr(&out));
		buf_free(&out);
	}
}

static bool change_smtp(void *ctx, struct entry *e, struct span lines, struct buf *out)
{
	struct span old;

	(void)ctx;
	(void)lines;
	if (!span_is(e->words[0], "smtp"))
		return false;
	assert_int_equal(entry_override(e, SPAN("b"), &old), 0);
	assert_true(entry_override(e, SPAN("a"), &old) > 0);
	assert_true(span_is(old, "1 2"));
	e->words[4] = SPAN("n");
	entry_print(e, out);
	return true;
}

static void test_edit_mastercf(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	edit_mastercf(SPAN("# one\nsmtp inet n - y - - smtpd x\n  # inside\n  -o { a = 1 2 }\n\n# after\nqmgr unix - - - - 1 qmgr"),
		      change_smtp, NULL, &out);
	assert_string_equal(buf_cstr(&out), "# one\n"
					    "smtp       inet         n       -       n       -       -       smtpd x\n"
					    "    -o { a = 1 2 }\n"
					    "\n# after\nqmgr unix - - - - 1 qmgr\n");
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),       cmocka_unit_test(test_refused),
		cmocka_unit_test(test_same_name_other_type), cmocka_unit_test(test_shipped_file),
		cmocka_unit_test(test_edit_maincf),   cmocka_unit_test(test_edit_mastercf),
	};

	return cmocka_run_group_tests(tests, NULL, cleanup);
}
