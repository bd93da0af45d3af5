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
#include "lib/conf/raw.h"

static char dir[64];

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/conf_test.XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof path, "%s/main.cf", dir);
	unlink(path);
	snprintf(path, sizeof path, "%s/master.cf", dir);
	unlink(path);
	return rmdir(dir);
}

static struct buf messages;

static enum conf_status load(const char *text, const char *const *overrides, size_t n, struct conf **c)
{
	*c = NULL;
	buf_free(&messages);
	buf_init(&messages, 65536);
	write_file("main.cf", text);
	return conf_load(dir, overrides, n, c, &messages);
}

/* main.cf text, a text to expand, what it gives; NULL: an error. */
static const struct {
	const char *maincf, *text, *want;
} expansions[] = {
	{ "", "plain", "plain" },
	{ "", "$$x $$$$", "$x $$" },
	{ "myhostname = a.example.com\n", "<$myhostname>", "<a.example.com>" },
	{ "myhostname = a.example.com\n", "${mydomain}x", "example.comx" },
	{ "myhostname = a.example.com\n", "$(mydomain)x", "example.comx" },
	{ "myhostname=a.b\nx = $y\ny = $z-$z\nz = 1\n", "$x", "1-1" },
	{ "a = 1\nb =\n", "${a?yes}${b?no}${a:no}${b:yes}", "yesyes" },
	{ "a = 1\nb =\n", "${a?{x}:{y}} ${b?{x}:{y}}", "x y" },
	{ "a = 1\nb =\n", "${a?{ x }:{ y }} ${b ? {x} : { $a }}", "x 1" },
	{ "a = 1\n", "${nothere?x}${nothere:y}", "y" },
	{ "a = 1\n", "${{$a} == {1} ? {one} : {other}}", "one" },
	{ "a = 2\n", "${{$a} == {1} ? {one} : {other}}", "other" },
	{ "a = 2\n", "${{$a} != {1}?{ne}}", "ne" },
	{ "a = 2\n", "${{$a} < {10}?{numeric}}${{b} > {a}?{string}}", "numericstring" },
	{ "a = 2\n", "${{$a} >= {2}?{ge}}${{$a} <= {2}?{le}}", "gele" },
	{ "a = 1\n", "${a?text:more}", "text:more" },
	{ "a = x{1}y\n", "${a?{{b}}}", "{b}" },
	{ "a = $b\nb = $a\n", "$a", NULL },
	{ "a = $a$a\n", "$a", NULL },
	{ "", "${myhostname", NULL },
	{ "", "$", NULL },
	{ "", "$ x", NULL },
	{ "", "${}", NULL },
	{ "", "${a!b}", NULL },
	{ "a = 1\n", "${a?{b}c}", NULL },
	{ "a = 1\n", "${a?{b}:{c}d}", NULL },
	{ "", "${{a} ~ {b} ? {c}}", NULL },
	{ "", "${{a} == b ? {c}}", NULL },
	{ "", "${{a} == {b}}", NULL },
};

static void test_expand(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof expansions / sizeof expansions[0]; i++) {
		struct arena a = ARENA_INIT;
		struct conf_raw *raw = raw_new("/x");
		struct conf c = { .raw = raw };
		struct buf m;
		const char *got;

		buf_init(&m, 4096);
		assert_true(raw_parse_text(raw, span_cstr(expansions[i].maincf), &m));
		raw_derive(raw, &m);
		got = conf_expand(&c, &a, span_cstr(expansions[i].text));
		if (expansions[i].want && (got == NULL || strcmp(got, expansions[i].want) != 0))
			fail_msg("%s: %s, not %s", expansions[i].text, got ? got : "error", expansions[i].want);
		if (expansions[i].want == NULL && got != NULL)
			fail_msg("%s: %s, not an error", expansions[i].text, got);
		buf_free(&m);
		raw_free(raw);
		arena_free(&a);
	}
}

static void test_doubling_is_bounded(void **state)
{
	struct arena a = ARENA_INIT;
	struct conf_raw *raw = raw_new("/x");
	struct conf c = { .raw = raw };
	struct buf text, m;

	(void)state;
	buf_init(&text, 65536);
	buf_init(&m, 65536);
	buf_adds(&text, "a0 =\nb0 = xxxxxxxx\n");
	for (int i = 1; i < 40; i++)
		buf_addf(&text, "a%d = $a%d$a%d\nb%d = $b%d$b%d\n", i, i - 1, i - 1, i, i - 1, i - 1);
	assert_true(raw_parse_text(raw, buf_span(&text), &m));
	assert_null(conf_expand(&c, &a, SPAN("$a39")));
	assert_null(conf_expand(&c, &a, SPAN("$b39")));
	assert_non_null(conf_expand(&c, &a, SPAN("$b5")));
	buf_free(&text);
	buf_free(&m);
	raw_free(raw);
	arena_free(&a);
}

/* main.cf, the parameter looked at, its value. */
static const struct {
	const char *maincf, *name, *want;
} syntax[] = {
	{ "mail_name = A\n", "mail_name", "A" },
	{ "mail_name=A", "mail_name", "A" },
	{ "mail_name   =   A B  \n", "mail_name", "A B" },
	{ "mail_name =\n", "mail_name", "" },
	{ "mail_name = A\nmail_name = B\n", "mail_name", "B" },
	{ "mail_name = A,\n  B\n", "mail_name", "A,  B" },
	{ "mail_name =\n\tA\n# comment\n\n\tB\n", "mail_name", "A\tB" },
	{ "mail_name = A\n   # indented comment\n B\n", "mail_name", "A B" },
	{ "mail_name = A # no comment\n", "mail_name", "A # no comment" },
	{ "mail_name = a=b\n", "mail_name", "a=b" },
	{ "mail_name = A\r\n", "mail_name", "A" },
	{ "mydomain = d.example\nmyhostname = h.$mydomain\n", "myorigin", "h.d.example" },
	{ "myhostname = h.example\n", "mydestination", "h.example, localhost.example, localhost" },
	{ "myhostname = h.example\nfoo = $bar\nbar = 7\nmail_name = ${foo}\n", "mail_name", "7" },
};

static void test_syntax(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof syntax / sizeof syntax[0]; i++) {
		struct arena a = ARENA_INIT;
		struct conf *c;
		const char *got;

		if (load(syntax[i].maincf, NULL, 0, &c) == CONF_ERROR)
			fail_msg("%s: %s", syntax[i].maincf, buf_cstr(&messages));
		got = conf_value(c, &a, syntax[i].name);
		if (got == NULL || strcmp(got, syntax[i].want) != 0)
			fail_msg("%s: [%s], not [%s]", syntax[i].maincf, got ? got : "NULL", syntax[i].want);
		arena_free(&a);
		conf_free(c);
	}
}

/* What is refused, and a part of the message. */
static const struct {
	const char *maincf, *message;
} refused[] = {
	{ "mail_name = A\nmail_nam = B\n", "main.cf:2: unknown parameter mail_nam; did you mean mail_name?\n" },
	{ "mydestinaton = a\n", "main.cf:1: unknown parameter mydestinaton; did you mean mydestination?" },
	{ "completely_other_thing = a\n", "main.cf:1: unknown parameter completely_other_thing\n" },
	{ "mail_name A\n", "main.cf:1: name = value is expected: there is no =" },
	{ "= A\n", "main.cf:1: name = value is expected: there is no name before the =" },
	{ "a b = A\n", "main.cf:1: name = value is expected: there are several words before the =" },
	{ "# x\n\n  mail_name = A\n", "main.cf:3: a line that begins with white space" },
	{ "max_use = many\n", "main.cf:1: max_use = many: a number is expected" },
	{ "max_use =\n", "main.cf:1: max_use = : a number is expected" },
	{ "max_use = 0\n", "main.cf:1: max_use = 0: must not be less than 1" },
	{ "unknown_local_recipient_reject_code = 250\n", "must not be less than 400" },
	{ "max_idle = 100x\n", "main.cf:1: max_idle = 100x: a time is expected" },
	{ "max_idle = 1ms\n", "main.cf:1: max_idle = 1ms: must not be less than 1000 ms" },
	{ "soft_bounce = maybe\n", "main.cf:1: soft_bounce = maybe: yes or no is expected" },
	{ "mail_name = $mail_version\nmail_version = $mail_name\n", "a name refers to itself" },
	{ "mail_name = ${mydomain\n", "main.cf:1: mail_name = ${mydomain: a { has no matching }" },
	{ "unprivileged_mode = perhaps\n", "main.cf:1: unprivileged_mode = perhaps: yes, no or auto is expected" },
	{ "slow_destination_concurrency_limit = many\n", "main.cf:1: slow_destination_concurrency_limit = many: a number" },
	{ "slow_destination_rate_delay = soon\n", "main.cf:1: slow_destination_rate_delay = soon: a time is expected" },
	{ "myorigin = /nonexistent/mailname\n", "main.cf:1: myorigin = /nonexistent/mailname: No such file" },
	{ "myorigin = /dev/null\n", "main.cf:1: myorigin = /dev/null: there is no name in it" },
	{ "mynetworks_style = all\n", "main.cf:1: mynetworks_style = all: host, subnet or class is expected" },
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		struct conf *c;

		if (load(refused[i].maincf, NULL, 0, &c) != CONF_ERROR)
			fail_msg("%s: loads", refused[i].maincf);
		if (strncmp(buf_cstr(&messages), "error: ", 7) != 0 && strncmp(buf_cstr(&messages), "warning: ", 9) != 0)
			fail_msg("%s: %s", refused[i].maincf, buf_cstr(&messages));
		if (strstr(buf_cstr(&messages), refused[i].message) == NULL)
			fail_msg("%s: %s", refused[i].maincf, buf_cstr(&messages));
	}
}

static void test_names_that_are_fine(void **state)
{
	static const char *const texts[] = {
		"myhostname = a.b\nsmtp_destination_concurrency_limit = 3\nslow_destination_rate_delay = 1s\n",
		"myhostname = a.b\nmine = 1\nmail_name = $mine\n",
		"myhostname = a.b\nmine = 1\nmail_name = ${mine?x}\n",
		"myhostname = a.b\nmail_name = ${nothere?x}\n",
		"myhostname = a.b\nforward_path = $home/.f${recipient_delimiter}${extension}\n",
	};
	struct conf *c;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		if (load(texts[i], NULL, 0, &c) != CONF_OK)
			fail_msg("%s: %s", texts[i], buf_cstr(&messages));
		conf_free(c);
	}
	/* a parameter that only master.cf uses */
	write_file("master.cf", "smtp inet n - - - - smtpd -o smtpd_banner=$mua_banner\n");
	assert_int_equal(load("myhostname = a.b\nmua_banner = hello\n", NULL, 0, &c), CONF_OK);
	conf_free(c);
	write_file("master.cf", "");
	/* Postfix's names warn */
	assert_int_equal(load("myhostname = a.b\nhtml_directory = no\n", NULL, 0, &c), CONF_WARN);
	assert_non_null(strstr(buf_cstr(&messages), "main.cf:2: parameter html_directory is known to Postfix but not"));
	conf_free(c);
	assert_int_equal(load("myhostname = a.b\nmail_name = $nothere\n", NULL, 0, &c), CONF_WARN);
	assert_non_null(strstr(buf_cstr(&messages), "main.cf:2: $nothere is not set anywhere"));
	conf_free(c);
}

static void test_fields(void **state)
{
	static const char *const overrides[] = { "mail_name=B", "max_use = 7", "service_name=x" };
	struct arena a = ARENA_INIT;
	struct conf *c;

	(void)state;
	assert_int_equal(load("myhostname = a.b\nmail_name = A\nmax_idle = 5m\nsoft_bounce = YES\n"
			      "slow_destination_rate_delay = 2s\nslow_destination_concurrency_limit = 9\n"
			      "smtp_destination_recipient_limit = $max_use\nforward_path = $home/x\n",
			      overrides, 3, &c),
			 CONF_OK);
	assert_string_equal(c->mail_name, "B");
	assert_string_equal(c->service_name, "x");
	assert_int_equal(c->max_use, 7);
	assert_int_equal(c->max_idle_ms, 300000);
	assert_true(c->soft_bounce);
	assert_string_equal(c->forward_path, "$home/x");
	assert_string_equal(c->config_directory, dir);
	assert_int_equal(conf_transport_int(c, "slow", "_destination_concurrency_limit", 20), 9);
	assert_int_equal(conf_transport_int(c, "other", "_destination_concurrency_limit", 20), 20);
	assert_int_equal(conf_transport_int(c, "smtp", "_destination_recipient_limit", 50), 7);
	assert_int_equal(conf_transport_time_ms(c, "slow", "_destination_rate_delay", 0), 2000);
	assert_int_equal(conf_transport_time_ms(c, "smtp", "_destination_rate_delay", 5), 5);
	assert_null(conf_value(c, &a, "no_such_name"));
	assert_string_equal(conf_value(c, &a, "mynetworks_style"), "host");
	assert_true(strncmp(c->mynetworks, "127.0.0.0/8 [::1]/128", 21) == 0);
	assert_string_equal(c->unprivileged_mode, geteuid() ? "yes" : "no");
	conf_free(c);
	assert_int_equal(load("myhostname = a.b\nunprivileged_mode = yes\n", overrides, 1, &c), CONF_OK);
	assert_true(strstr(c->userdb, "passwd-file:/tmp/") == c->userdb && strstr(c->userdb, "/users"));
	assert_true(conf_unprivileged(c));
	conf_free(c);
	assert_int_equal(load("myhostname = a.b\nunprivileged_mode = no\n", overrides, 1, &c), CONF_OK);
	assert_string_equal(c->userdb, "passwd");
	conf_free(c);
	arena_free(&a);
}

static void test_origin_file(void **state)
{
	char path[128], text[256];
	struct conf *c;

	(void)state;
	write_file("master.cf", "example.org\n");
	snprintf(path, sizeof path, "%s/master.cf", dir);
	snprintf(text, sizeof text, "myhostname = a.b\nmyorigin = %s\n", path);
	assert_int_equal(load(text, NULL, 0, &c), CONF_OK);
	assert_string_equal(c->myorigin, "example.org");
	conf_free(c);
	write_file("master.cf", "");
}

static void test_bad_override(void **state)
{
	static const char *const bad[] = { "mail_nam=B" };
	struct conf *c;

	(void)state;
	assert_int_equal(load("myhostname = a.b\n", bad, 1, &c), CONF_ERROR);
	assert_string_equal(buf_cstr(&messages),
			    "error: -o mail_nam=B: unknown parameter mail_nam; did you mean mail_name?\n");
}

static void test_no_file(void **state)
{
	struct conf *c;
	struct buf m;

	(void)state;
	buf_init(&m, 4096);
	assert_int_equal(conf_load("/nonexistent", NULL, 0, &c, &m), CONF_ERROR);
	assert_non_null(strstr(buf_cstr(&m), "error: /nonexistent/main.cf: No such file or directory\n"));
	buf_free(&m);
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {
		{ "30", 30000 },   { "30s", 30000 },    { "5m", 300000 },   { "2h", 7200000 },  { "1d", 86400000 },
		{ "1w", 604800000 }, { "500ms", 500 },  { "5 mins", 300000 }, { "0", 0 },       { " 7s ", 7000 },
		{ "", -1 },        { "s", -1 },         { "1x", -1 },       { "-1s", -1 },      { "1s2", -1 },
		{ "99999999999999999999s", -1 }, { "9999999999999999w", -1 }, { "1.5s", 1500 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t ms = -1;
		bool ok = conf_parse_time_ms(span_cstr(cases[i].text), 's', &ms);

		if (ok != (cases[i].ms >= 0) || (ok && ms != cases[i].ms))
			fail_msg("%s: %d %lld", cases[i].text, ok, (long long)ms);
	}
}

static void test_nearest(void **state)
{
	(void)state;
	assert_string_equal(conf_nearest("mydestinatoin"), "mydestination");
	assert_string_equal(conf_nearest("relay_host"), "relayhost");
	assert_string_equal(conf_nearest("smtpd_tls_cert_fil"), "smtpd_tls_cert_file");
	assert_null(conf_nearest("xyzzy"));
	assert_null(conf_nearest(""));
}

/* Every default has the type and the range of its declaration; every name is there once. */
static void test_table(void **state)
{
	struct conf *c;

	(void)state;
	assert_int_equal(load("myhostname = a.b\n", NULL, 0, &c), CONF_OK);
	assert_int_equal(c->raw->count, conf_nparams);
	assert_int_equal(c->max_use, 1000);
	assert_int_equal(c->maximal_queue_lifetime_ms, 5LL * 86400000);
	for (size_t i = 0; i < conf_nparams; i++)
		if (conf_is_foreign(span_cstr(conf_params[i].name)))
			fail_msg("%s is in params.def and in foreign.def", conf_params[i].name);
	conf_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expand),  cmocka_unit_test(test_doubling_is_bounded),
		cmocka_unit_test(test_syntax),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_names_that_are_fine), cmocka_unit_test(test_fields),
		cmocka_unit_test(test_bad_override), cmocka_unit_test(test_origin_file), cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_times),   cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_table),
	};

	int failed = cmocka_run_group_tests(tests, make_dir, remove_dir);

	buf_free(&messages);
	return failed;
}
