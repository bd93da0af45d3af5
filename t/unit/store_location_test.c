/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/store/store-int.h"

static char home[128];
static struct arena arena;

static const char *at(const char *name)
{
	return arena_printf(&arena, "%s/%s", home, name);
}

static int setup(void **state)
{
	(void)state;
	snprintf(home, sizeof home, "/tmp/store-location-XXXXXX");
	return mkdtemp(home) == NULL;
}

static int teardown(void **state)
{
	char cmd[200];

	(void)state;
	arena_free(&arena);
	snprintf(cmd, sizeof cmd, "rm -rf '%s'", home);
	return system(cmd);
}

static void test_expand(void **state)
{
	static const struct {
		const char *user, *in, *out;
	} cases[] = {
		{ "joe@Example.org", "%u|%n|%d|%h|%%", "joe@Example.org|joe|Example.org|/home/joe|%" },
		{ "joe", "%u|%n|%d|", "joe|joe||" },
		{ "joe@Example.org", "/var/mail/%d/%1n/%n", "/var/mail/Example.org/j/joe" },
		{ "joe@Example.org", "%Ld %Un %LUn %Rn", "example.org JOE joe eoj" },
		{ "joe@Example.org", "%2u %1.2n %-2.1n %9n %5.2n", "jo oe o joe " },
		{ "joe@Example.org", "%{user} %{username} %{domain} %{home} %L{domain}", "joe@Example.org joe Example.org /home/joe example.org" },
		{ "joe", "%x %{nothing} %", "%x %{nothing} %" },
		{ "%u", "%u", "%u" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct user u = { .name = span_cstr(cases[i].user), .home = "/home/joe" };

		assert_string_equal(store_expand(&arena, cases[i].in, &u), cases[i].out);
	}
}

static void test_locations(void **state)
{
	static const struct {
		const char *in;
		enum store_kind kind;
		const char *root, *inbox, *index;
	} cases[] = {
		{ "mbox:~/mail:INBOX=/var/mail/%u", STORE_MBOX, "H/mail", "/var/mail/joe@x.org", "H/mail" },
		{ "mbox:~/mail/", STORE_MBOX, "H/mail", "H/mail/inbox", "H/mail" },
		{ "mbox:/v/%d/%1n/%n:INDEX=/var/indexes/%d/%1n/%n", STORE_MBOX, "/v/x.org/j/joe", "/v/x.org/j/joe/inbox", "/var/indexes/x.org/j/joe" },
		{ "mbox:~/mail:INBOX=~/in:INDEX=MEMORY:CONTROL=/c/%u", STORE_MBOX, "H/mail", "H/in", "/c/joe@x.org" },
		{ "mbox:~/mail:LAYOUT=fs:SUBSCRIPTIONS=subs", STORE_MBOX, "H/mail", "H/mail/inbox", "H/mail" },
		{ "maildir:~/Maildir", STORE_MAILDIR, "H/Maildir", "H/Maildir", "H/Maildir" },
		{ "maildir:%h/M:LAYOUT=maildir++:VOLATILEDIR=/tmp", STORE_MAILDIR, "H/M", "H/M", "H/M" },
		{ "maildir:~", STORE_MAILDIR, "H", "H", "H" },
	};
	static const char *const bad[] = { "/var/mail/%u", "~/inbox", "mbox:~/inbox", "mbox:", "mbox:relative", "maildir:", "sdbox:~/x", "mbox:~/m:WHAT=1",
					   "mbox:~/m:LAYOUT=index", "mbox:~/m:SUBSCRIPTIONS=../x", "mbox:~/m:INBOX=here" };
	struct user u = { .name = SPAN("joe@x.org"), .home = home };
	struct store *s;
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *want[3] = { cases[i].root, cases[i].inbox, cases[i].index };
		const char *got[3];

		assert_int_equal(store_open(&arena, &u, cases[i].in, &s, &why), STORE_OK);
		got[0] = s->root;
		got[1] = s->inbox;
		got[2] = s->index;
		assert_int_equal(s->kind, cases[i].kind);
		for (int k = 0; k < 3; k++)
			assert_string_equal(got[k], *want[k] == 'H' ? arena_printf(&arena, "%s%s", home, want[k] + 1) : want[k]);
		store_close(s);
	}
	assert_int_equal(close(open(at("inbox"), O_CREAT | O_WRONLY, 0600)), 0);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (store_open(&arena, &u, bad[i], &s, &why) == STORE_OK)
			fail_msg("%s", bad[i]);
		assert_non_null(why);
	}
	assert_int_not_equal(store_open(&arena, &u, "/var/mail/%u", &s, &why), STORE_OK);
	assert_non_null(strstr(why, "mbox:~/mail:INBOX=/var/mail/joe@x.org"));
	/* the user database's own location goes before */
	u.mail_location = "maildir:~/own";
	assert_int_equal(store_open(&arena, &u, "mbox:~/mail", &s, &why), STORE_OK);
	assert_int_equal(s->kind, STORE_MAILDIR);
	store_close(s);
	u.name = SPAN("../joe");
	assert_int_not_equal(store_open(&arena, &u, "mbox:~/mail", &s, &why), STORE_OK);
}

static void found(const char *inbox, const char *root, enum store_kind kind)
{
	struct user u = { .name = SPAN("joe"), .home = home };
	struct store *s;
	const char *why;

	assert_int_equal(store_open(&arena, &u, "", &s, &why), STORE_OK);
	assert_string_equal(s->root, root);
	assert_string_equal(s->inbox, inbox);
	assert_int_equal(s->kind, kind);
	store_close(s);
}

static void test_autodetect(void **state)
{
	struct user u = { .name = SPAN("joe"), .home = "/no/such/home" };
	struct store *s;
	const char *why;

	(void)state;
	found("/var/mail/joe", at("mail"), STORE_MBOX);
	assert_int_equal(mkdir(at("Mail"), 0700), 0);
	found("/var/mail/joe", at("Mail"), STORE_MBOX);
	assert_int_equal(mkdir(at("Maildir"), 0700), 0);
	assert_int_equal(mkdir(at("Maildir/cur"), 0700), 0);
	found(at("Maildir"), at("Maildir"), STORE_MAILDIR);
	assert_int_not_equal(store_open(&arena, &u, NULL, &s, &why), STORE_OK);
}

static void test_names(void **state)
{
	static const struct {
		const char *name, *mbox, *maildir;
	} cases[] = {
		{ "Sent", "Sent", ".Sent" },
		{ "a/b c", "a/b c", ".a.b c" },
		{ "Entw\xc3\xbcrfe", "Entw&APw-rfe", ".Entw&APw-rfe" },
		{ "a&b", "a&-b", ".a&-b" },
		{ "v1.0", "v1.0", ".v1&AC4-0" },
		{ ".hidden", "&AC4-hidden", ".&AC4-hidden" },
		{ "\xf0\x9f\x90\x8e", "&2D3cDg-", ".&2D3cDg-" },
		{ "\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5", "&U,BTFw-/&ZeU-", ".&U,BTFw-.&ZeU-" },
		{ "inbox/x", "INBOX/x", ".INBOX.x" },
		{ "x.lock", NULL, ".x&AC4-lock" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct span name = span_cstr(cases[i].name);
		char *mbox = names_to_path(&arena, STORE_MBOX, name), *maildir = names_to_path(&arena, STORE_MAILDIR, name);

		if (cases[i].mbox == NULL) {
			assert_null(mbox);
		} else {
			assert_string_equal(mbox, cases[i].mbox);
			assert_true(span_ieq(names_from_disk(&arena, STORE_MBOX, span_cstr(mbox)), name));
		}
		assert_string_equal(maildir, cases[i].maildir);
		assert_true(span_ieq(names_from_disk(&arena, STORE_MAILDIR, span_cstr(maildir + 1)), name));
	}
	/* files that are no folders */
	assert_int_equal(names_from_disk(&arena, STORE_MBOX, SPAN("a&b")).len, 0);
	assert_int_equal(names_from_disk(&arena, STORE_MBOX, SPAN("&AGE-")).len, 0); /* a, written the long way */
	assert_int_equal(names_from_disk(&arena, STORE_MBOX, SPAN("\xc3\xbc")).len, 0);
	assert_int_equal(names_from_disk(&arena, STORE_MBOX, SPAN("&2D0-")).len, 0);
	assert_int_equal(names_from_disk(&arena, STORE_MBOX, SPAN("x.lock")).len, 0);
}

/* Files that Dovecot wrote. */
static void test_subscription_files(void **state)
{
	struct user u = { .name = SPAN("joe"), .home = home };
	struct span *v;
	size_t n;
	struct store *s;
	const char *why;
	FILE *f;

	(void)state;
	assert_int_equal(mkdir(at("M"), 0700), 0);
	assert_int_equal(store_open(&arena, &u, "maildir:~/M", &s, &why), STORE_OK);
	f = fopen(at("M/subscriptions"), "w");
	fputs("V\t2\n\nINBOX\nSent\nlists\tdev&APw-\n", f);
	fclose(f);
	assert_int_equal(subscriptions_read(s, &arena, &v, &n), STORE_OK);
	assert_int_equal(n, 3);
	assert_true(span_is(v[2], "lists/dev\xc3\xbc"));
	assert_int_equal(store_subscribe(s, SPAN("Sent"), false), STORE_OK);
	assert_int_equal(store_subscribe(s, SPAN("a/b"), true), STORE_OK);
	assert_int_equal(subscriptions_read(s, &arena, &v, &n), STORE_OK);
	assert_true(n == 3 && span_is(v[1], "lists/dev\xc3\xbc") && span_is(v[2], "a/b"));
	f = fopen(at("M/subscriptions"), "w");
	fputs("INBOX\nold.name\n../../etc\n", f);
	fclose(f);
	assert_int_equal(subscriptions_read(s, &arena, &v, &n), STORE_OK);
	assert_true(n == 2 && span_is(v[1], "old/name"));
	assert_int_equal(store_subscribe(s, SPAN("new/one"), true), STORE_OK);
	assert_int_equal(subscriptions_read(s, &arena, &v, &n), STORE_OK);
	assert_true(n == 3 && span_is(v[2], "new/one"));
	store_close(s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expand),
		cmocka_unit_test_setup_teardown(test_locations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_autodetect, setup, teardown),
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_subscription_files, setup, teardown),
	};

	log_open("store_location_test", LOG_TO_FD, open("/dev/null", O_WRONLY), 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
