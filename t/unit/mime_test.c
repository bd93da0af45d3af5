/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/proto/mime.h"

/* The tree as text: type/subtype, then children in parentheses or [lines,octets]"body". */
static void put_tree(struct buf *b, const struct mime_part *top)
{
	const struct mime_part *part = top;

	for (;;) {
		buf_addf(b, SPAN_FMT "/" SPAN_FMT, SPAN_ARG(part->type), SPAN_ARG(part->subtype));
		if (part->child) {
			buf_adds(b, "(");
			part = part->child;
			continue;
		}
		buf_addf(b, "[%lu,%lu]\"" SPAN_FMT "\"", (unsigned long)part->body_size.lines,
			 (unsigned long)part->body_size.crlf, SPAN_ARG(part->body));
		while (part != top && part->next == NULL) {
			buf_adds(b, ")");
			part = part->parent;
		}
		if (part == top)
			return;
		buf_adds(b, " ");
		part = part->next;
	}
}

/* Every part's own numbers must be those of a separate count over its spans. */
static void check_sizes(const struct mime_part *part)
{
	for (const struct mime_part *child = part->child; child; child = child->next)
		check_sizes(child);
	assert_int_equal(mime_size_of(part->body).crlf, part->body_size.crlf);
	assert_int_equal(mime_size_of(part->body).lines, part->body_size.lines);
	assert_int_equal(mime_size_of(part->header).crlf, part->header_size.crlf);
	assert_int_equal(mime_size_of(part->header).lines, part->header_size.lines);
	assert_true((part->kind == MIME_LEAF) == (part->child == NULL));
}

static const struct {
	const char *msg, *tree;
} trees[] = {
	{ "", "text/plain[0,0]\"\"" },
	{ "A: b\n\nx\n", "text/plain[1,3]\"x\n\"" },
	{ "A: b", "text/plain[0,0]\"\"" },
	{ "Content-Type: text/html; x=y\n\nx", "text/html[0,1]\"x\"" },
	{ "Content-Type: junk\n\nx", "text/plain[0,1]\"x\"" },
	{ "Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n\none\n\n--b\nContent-Type: "
	  "image/png\n\ntwo\n--b--\npost\n",
	  "multipart/mixed(text/plain[1,5]\"one\n\" image/png[0,3]\"two\")" },
	{ "Content-Type: multipart/mixed; boundary=\"b b\"\n\n--b b  \n\none",
	  "multipart/mixed(text/plain[0,3]\"one\")" },
	/* A boundary that is the beginning of another. */
	{ "Content-Type: multipart/mixed; boundary=b\n\n--bb\n--b\n\none\n--bb\n--b--x\n--b--",
	  "multipart/mixed(text/plain[2,17]\"one\n--bb\n--b--x\")" },
	/* Nested, and the inner one never closed. */
	{ "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n"
	  "--b\n\none\n--b\n\ntwo\n--a\n\nthree\n--a--\n",
	  "multipart/mixed(multipart/alternative(text/plain[0,3]\"one\" text/plain[0,3]\"two\") "
	  "text/plain[0,5]\"three\")" },
	/* The inner closed: what follows is its epilogue. */
	{ "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n"
	  "--b\n\none\n--b--\nepi\n--b\nlogue\n--a--\n",
	  "multipart/mixed(multipart/alternative(text/plain[0,3]\"one\"))" },
	/* No blank line before the body, no body, nothing. */
	{ "Content-Type: multipart/mixed; boundary=a\n\n--a\nA: b\n--a\n--a\n\n--a--\n",
	  "multipart/mixed(text/plain[0,0]\"\" text/plain[0,0]\"\" text/plain[0,0]\"\")" },
	/* A multipart without parts, or without a boundary. */
	{ "Content-Type: multipart/mixed; boundary=a\n\nx\n--a--\n", "text/plain[2,10]\"x\n--a--\n\"" },
	{ "Content-Type: multipart/mixed\n\nx\n", "text/plain[1,3]\"x\n\"" },
	{ "Content-Type: multipart/mixed; boundary=a\n\nx\n", "text/plain[1,3]\"x\n\"" },
	/* Messages in messages. */
	{ "Content-Type: message/rfc822\n\nSubject: in\n\nbody\n", "message/rfc822(text/plain[1,6]\"body\n\")" },
	{ "Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nA: b\n\nx",
	  "message/rfc822(message/rfc822(text/plain[0,1]\"x\"))" },
	{ "Content-Type: message/rfc822\n\n", "message/rfc822(text/plain[0,0]\"\")" },
	{ "Content-Type: multipart/digest; boundary=a\n\n--a\n\nSubject: x\n\ny\n--a\nContent-Type: "
	  "text/plain\n\nz\n--a--\n",
	  "multipart/digest(message/rfc822(text/plain[0,1]\"y\") text/plain[0,1]\"z\")" },
	/* The empty line that ends an inner header stands right before a delimiter. */
	{ "Content-Type: multipart/digest; boundary=a\n\n--a\n\nA: b\n\n--a--\n",
	  "multipart/digest(message/rfc822(text/plain[0,0]\"\"))" },
	/* A message whose multipart shares the boundary of the one around it. */
	{ "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; "
	  "boundary=a\n\n--a\n\nx\n--a--\n",
	  "multipart/mixed(multipart/mixed(text/plain[0,1]\"x\"))" },
};

static struct span with_crlf(struct buf *b, struct span msg)
{
	buf_reset(b);
	for (size_t i = 0; i < msg.len; i++) {
		if (msg.ptr[i] == '\n')
			buf_addc(b, '\r');
		buf_addc(b, msg.ptr[i]);
	}
	return buf_span(b);
}

/* Drop the CRs of a tree's text, so that it compares with the one of the LF form. */
static void drop_cr(struct buf *b)
{
	size_t to = 0;

	for (size_t i = 0; i < b->len; i++)
		if (b->ptr[i] != '\r')
			b->ptr[to++] = b->ptr[i];
	buf_truncate(b, to);
}

static void test_trees(void **state)
{
	struct arena a = ARENA_INIT;
	struct buf tree, wire;

	(void)state;
	buf_init(&tree, 10000);
	buf_init(&wire, 10000);
	for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
		struct mime_part *root = mime_parse(&a, span_cstr(trees[i].msg));

		buf_reset(&tree);
		put_tree(&tree, root);
		assert_string_equal(buf_cstr(&tree), trees[i].tree);
		check_sizes(root);

		root = mime_parse(&a, with_crlf(&wire, span_cstr(trees[i].msg)));
		buf_reset(&tree);
		put_tree(&tree, root);
		drop_cr(&tree);
		assert_string_equal(buf_cstr(&tree), trees[i].tree);
		check_sizes(root);
		assert_int_equal(root->header_size.crlf + root->body_size.crlf, wire.len);
	}
	buf_free(&tree);
	buf_free(&wire);
	arena_free(&a);
}

static void test_find(void **state)
{
	static const char msg[] =
	    "Content-Type: multipart/mixed; boundary=a\n\n--a\n\none\n--a\nContent-Type: message/rfc822\n\n"
	    "Content-Type: multipart/alternative; boundary=b\n\n--b\n\ntwo-one\n--b\n\ntwo-two\n--b--\n"
	    "--a\nContent-Type: message/rfc822\n\nA: b\n\nthree\n--a--\n";
	static const struct {
		uint32_t numbers[4];
		size_t count;
		const char *body;
	} table[] = {
		{ { 1 }, 1, "one" },         { { 2, 1 }, 2, "two-one" }, { { 2, 2 }, 2, "two-two" },
		{ { 3, 1 }, 2, "three" },    { { 1, 1 }, 2, NULL },      { { 2, 3 }, 2, NULL },
		{ { 4 }, 1, NULL },          { { 0 }, 1, NULL },         { { 3, 2 }, 2, NULL },
		{ { 3, 1, 1 }, 3, NULL },    { { 2, 1, 1 }, 3, NULL },   { { 2, 0 }, 2, NULL },
		{ { 4294967295 }, 1, NULL },
	};
	struct arena a = ARENA_INIT;
	struct mime_part *root = mime_parse(&a, span_cstr(msg));

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct mime_part *part = mime_find(root, table[i].numbers, table[i].count);

		assert_true((part != NULL) == (table[i].body != NULL));
		if (part)
			assert_true(span_is(part->body, table[i].body));
	}
	assert_ptr_equal(mime_find(root, NULL, 0), root);
	assert_int_equal(mime_find(root, (const uint32_t[]){ 3 }, 1)->kind, MIME_MESSAGE);
	root = mime_parse(&a, SPAN("A: b\n\nx"));
	assert_ptr_equal(mime_find(root, (const uint32_t[]){ 1 }, 1), root);
	assert_ptr_equal(mime_find(root, (const uint32_t[]){ 2 }, 1), NULL);
	root = mime_parse(&a, SPAN("Content-Type: message/rfc822\n\nA: b\n\nx"));
	assert_ptr_equal(mime_find(root, (const uint32_t[]){ 1, 1 }, 2), root->child);
	arena_free(&a);
}

static void test_fields(void **state)
{
	struct arena a = ARENA_INIT;
	struct mime_part *part = mime_parse(
	    &a, SPAN("Content-Type: Text/Plain (c;omment);\n charset=\"utf\\-8\" ; name*0*=us-ascii''a%20; junk;\n"
		     " name*1=\"b;\n c\"; ; x = y (z)\n"
		     "Content-Transfer-Encoding: BASE64 (x)\nContent-ID: <a@b>\nContent-Description: some\n  thing\n"
		     "content-md5: Q2hlY2s=\nContent-Language: de, en (x)\nContent-Location: http://x/\n"
		     "Content-Disposition: attachment; filename=\"a b\"\nContent-ID: <second>\n\nx\n"));

	(void)state;
	assert_true(span_is(part->type, "Text") && span_is(part->subtype, "Plain"));
	assert_int_equal(part->params.count, 4);
	assert_true(span_is(mime_param(&part->params, "CHARSET"), "utf-8"));
	assert_true(span_is(mime_param(&part->params, "name*0*"), "us-ascii''a%20"));
	assert_true(span_is(mime_param(&part->params, "name*1"), "b; c"));
	assert_true(span_is(mime_param(&part->params, "x"), "y"));
	assert_ptr_equal(mime_param(&part->params, "name").ptr, NULL);
	assert_true(span_is(part->encoding, "BASE64") && span_is(part->id, "<a@b>"));
	assert_true(span_is(part->description, "some  thing") && span_is(part->md5, "Q2hlY2s="));
	assert_true(part->nlanguages >= 2 && span_is(part->languages[0], "de") && span_is(part->languages[1], "en"));
	assert_true(span_is(part->location, "http://x/") && span_is(part->disposition, "attachment"));
	assert_true(span_is(mime_param(&part->disposition_params, "filename"), "a b"));
	part = mime_parse(&a, SPAN("Content-Transfer-Encoding:\nContent-Disposition: ;\n\n"));
	assert_ptr_equal(part->encoding.ptr, NULL);
	assert_ptr_equal(part->disposition.ptr, NULL);
	assert_true(span_is(mime_param(&part->params, "charset"), "us-ascii"));
	arena_free(&a);
}

static void test_envelope(void **state)
{
	struct arena a = ARENA_INIT;
	struct mime_envelope e;

	(void)state;
	mime_envelope_parse(
	    &a,
	    SPAN("Date: Mon,\n 2 Jan\nSubject: one\nSubject: two\nFrom: A <a@b>\nTo: c@d\nTO: e@f, g@h\n"
		 "Message-Id: <x@y>\nIn-Reply-To:\n\nBcc: no@body\n"),
	    &e);
	assert_true(span_is(e.date, "Mon, 2 Jan") && span_is(e.subject, "one") && span_is(e.message_id, "<x@y>"));
	assert_true(e.in_reply_to.ptr != NULL && e.in_reply_to.len == 0);
	assert_int_equal(e.from.count, 1);
	assert_int_equal(e.to.count, 3);
	assert_true(span_is(e.to.first->next->next->mailbox, "g"));
	assert_int_equal(e.cc.count + e.bcc.count + e.sender.count, 0);
	arena_free(&a);
}

static size_t depth_of(const struct mime_part *part)
{
	size_t n = 1;

	while (part->child) {
		part = part->child;
		n++;
	}
	return n;
}

/* Ten thousand deep, a hundred thousand wide, half a million fields: bounded, and quick. */
static void test_hostile(void **state)
{
	struct arena a = ARENA_INIT;
	struct mime_part *root, *part;
	struct mime_envelope e;
	struct buf b;
	size_t n = 0;

	(void)state;
	buf_init(&b, 64 << 20);
	for (int i = 0; i < 10000; i++)
		buf_addf(&b, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i);
	root = mime_parse(&a, buf_span(&b));
	assert_int_equal(depth_of(root), MIME_DEPTH_MAX + 1);
	arena_reset(&a);

	buf_reset(&b);
	for (int i = 0; i < 10000; i++)
		buf_adds(&b, "Content-Type: message/rfc822\n\n");
	root = mime_parse(&a, buf_span(&b));
	assert_int_equal(depth_of(root), MIME_DEPTH_MAX + 1);
	for (part = root; part->child; part = part->child)
		continue;
	assert_true(span_is(part->type, "application"));
	arena_reset(&a);

	buf_reset(&b);
	buf_adds(&b, "Content-Type: multipart/mixed; boundary=b\n\n");
	for (int i = 0; i < 100000; i++)
		buf_adds(&b, "--b\n\n");
	root = mime_parse(&a, buf_span(&b));
	for (part = root->child; part; part = part->next)
		n++;
	assert_int_equal(n, MIME_PARTS_MAX - 1);
	assert_int_equal(root->body_size.lines, 200000);
	arena_reset(&a);

	buf_reset(&b);
	buf_adds(&b, "Content-Type: text/plain");
	for (int i = 0; i < 100000; i++)
		buf_adds(&b, "; name*0*=x");
	buf_adds(&b, "\n");
	for (int i = 0; i < 500000; i++)
		buf_adds(&b, "To: <a@b>\n");
	buf_adds(&b, "\n");
	root = mime_parse(&a, buf_span(&b));
	assert_int_equal(root->params.count, MIME_PARAMS_MAX);
	mime_envelope_parse(&a, root->header, &e);
	assert_true(e.to.truncated && e.to.count == MIME_ENVELOPE_ADDRS_MAX);
	buf_free(&b);
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trees),    cmocka_unit_test(test_find),    cmocka_unit_test(test_fields),
		cmocka_unit_test(test_envelope), cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests_name("mime", tests, NULL, NULL);
}
