/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "lib/proto/dsn.h"
#include "lib/proto/mime.h"

static void test_exits(void **state)
{
	static const struct {
		int status;
		const char *dsn;
		enum verdict_class class;
	} table[] = {
		{ 0, "2.0.0", VERDICT_OK },    { 64, "5.3.0", VERDICT_PERM }, { 65, "5.6.0", VERDICT_PERM },
		{ 66, "5.3.0", VERDICT_PERM }, { 67, "5.1.1", VERDICT_PERM }, { 68, "5.1.2", VERDICT_PERM },
		{ 69, "5.3.0", VERDICT_PERM }, { 70, "5.3.0", VERDICT_PERM }, { 71, "4.3.0", VERDICT_TEMP },
		{ 72, "5.3.0", VERDICT_PERM }, { 73, "5.2.0", VERDICT_PERM }, { 74, "5.3.0", VERDICT_PERM },
		{ 75, "4.3.0", VERDICT_TEMP }, { 76, "5.5.0", VERDICT_PERM }, { 77, "5.7.0", VERDICT_PERM },
		{ 78, "5.3.5", VERDICT_PERM }, { 1, "5.3.0", VERDICT_PERM },  { 255, "5.3.0", VERDICT_PERM },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const struct dsn_exit *e = dsn_from_exit(table[i].status);

		assert_string_equal(e->dsn, table[i].dsn);
		assert_int_equal(e->class, table[i].class);
	}
}

#define TEXT(lit)                                                                                                      \
	{                                                                                                              \
		(lit), sizeof(lit) - 1                                                                                 \
	}

static const struct dsn_recipient recipients[] = {
	{
	    .final = TEXT("a b@example.org"),
	    .original = TEXT("list@example.com"),
	    .action = DSN_FAILED,
	    .status = TEXT("5.1.1"),
	    .reason = TEXT("host mx[192.0.2.1] said: 550 5.1.1 no\nSubject: x --Q.1/h\r\n--Q.1/h--"),
	    .remote_mta = TEXT("mx.example.org"),
	    .diagnostic_type = TEXT("smtp"),
	    .diagnostic =
		TEXT("550 5.1.1 a text that is so long that it has to be continued on a second line of the field"),
	},
	{
	    .final = TEXT("c@example.org"),
	    .orcpt_type = TEXT("rfc822"),
	    .orcpt_addr = TEXT("C@example.org"),
	    .action = DSN_DELAYED,
	    .status = TEXT("4.4.1"),
	    .reason = TEXT("connection refused"),
	    .will_retry_until = 86400,
	},
};

static struct dsn_report report(void)
{
	return (struct dsn_report){
		.hostname = SPAN("mail.example.com"),
		.origin = SPAN("example.com"),
		.to = SPAN("sender@example.com"),
		.queue_id = SPAN("Q"),
		.envid = SPAN("a+b c"),
		.sender = SPAN("sender@example.com"),
		.boundary = SPAN("Q.1/h"),
		.message_id = SPAN("<m@x>"),
		.recipients = recipients,
		.nrecipients = 2,
	};
}

static const char *compose(struct buf *b, struct dsn_report r, const char *original)
{
	buf_init(b, 100000);
	assert_true(dsn_compose(b, &r));
	buf_adds(b, original);
	assert_true(dsn_compose_end(b, &r, false));
	return buf_cstr(b);
}

static void test_status_part(void **state)
{
	struct arena a = ARENA_INIT;
	struct mime_part *root, *part;
	struct buf b;

	(void)state;
	setenv("TZ", "UTC0", 1);
	tzset();
	compose(&b, report(), "Subject: s\n\nbody\n");
	root = mime_parse(&a, buf_span(&b));
	assert_true(span_is(root->type, "multipart") && span_is(root->subtype, "report"));
	assert_true(span_is(mime_param(&root->params, "report-type"), "delivery-status"));
	part = mime_find(root, (const uint32_t[]){ 2 }, 1);
	assert_true(span_is(part->subtype, "delivery-status") && span_is(part->description, "Delivery report"));
	assert_string_equal(arena_cstr(&a, part->body),
			    "Reporting-MTA: dns; mail.example.com\n"
			    "Original-Envelope-Id: a+2Bb+20c\n"
			    "X-Postfix-Queue-ID: Q\n"
			    "X-Postfix-Sender: rfc822; sender@example.com\n"
			    "Arrival-Date: Thu, 01 Jan 1970 00:00:00 +0000 (UTC)\n"
			    "\n"
			    "Final-Recipient: rfc822; \"a b\"@example.org\n"
			    "Original-Recipient: rfc822;list@example.com\n"
			    "Action: failed\n"
			    "Status: 5.1.1\n"
			    "Remote-MTA: dns; mx.example.org\n"
			    "Diagnostic-Code: smtp; 550 5.1.1 a text that is so long that it has to be\n"
			    "    continued on a second line of the field\n"
			    "\n"
			    "Final-Recipient: rfc822; c@example.org\n"
			    "Original-Recipient: rfc822;C@example.org\n"
			    "Action: delayed\n"
			    "Status: 4.4.1\n"
			    "Diagnostic-Code: X-Postfix; connection refused\n"
			    "Will-Retry-Until: Fri, 02 Jan 1970 00:00:00 +0000 (UTC)\n");
	part = mime_find(root, (const uint32_t[]){ 1 }, 1);
	assert_true(span_find(part->body, SPAN("\n<\"a b\"@example.org> (expanded from <list@example.com>): host ")) >
		    0);
	assert_true(span_find(part->body, SPAN("\nSubject:")) < 0);
	part = mime_find(root, (const uint32_t[]){ 3 }, 1);
	assert_true(part->kind == MIME_MESSAGE && span_is(part->child->body, "body\n"));
	assert_ptr_equal(part->next, NULL);
	buf_free(&b);
	arena_free(&a);
}

static void test_variants(void **state)
{
	struct arena a = ARENA_INIT;
	struct dsn_report r = report();
	struct mime_part *root;
	struct buf b;

	(void)state;
	r.headers_only = true;
	r.kind = DSN_DELAY;
	compose(&b, r, "Subject: s\n");
	root = mime_parse(&a, buf_span(&b));
	assert_true(span_is(mime_find(root, (const uint32_t[]){ 3 }, 1)->subtype, "rfc822-headers"));
	buf_free(&b);

	r.utf8 = true;
	r.headers_only = false;
	r.sender = SPAN("\xc3\xa9@example.com");
	compose(&b, r, "Subject: s\n\n");
	root = mime_parse(&a, buf_span(&b));
	assert_true(span_is(mime_param(&root->params, "report-type"), "global-delivery-status"));
	assert_true(span_find(buf_span(&b), SPAN("X-Postfix-Sender: utf-8; \xc3\xa9@example.com\n")) > 0);
	buf_free(&b);

	/* Without room it says so. */
	buf_init(&b, 500);
	assert_false(dsn_compose(&b, &r));
	buf_free(&b);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exits),
		cmocka_unit_test(test_status_part),
		cmocka_unit_test(test_variants),
	};

	return cmocka_run_group_tests_name("dsn", tests, NULL, NULL);
}
