/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/conf/lines.h"
#include "lib/map/build.h"
#include "lib/map/fresh.h"
#include "lib/map/map.h"
#include "lib/map/match.h"
#include "lib/map/passwdfile.h"
#include "lib/map/table.h"
#include "lib/map/userdb.h"

/* Berkeley DB does not give back the pages of a file that it found damaged, and keeps those of open ones out of sight. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libdb";
}

static char dir[64];
static struct arena arena;

static const char *in_dir(const char *name)
{
	return arena_printf(&arena, "%s/%s", dir, name);
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	fresh_check_now();
}

static int setup(void **state)
{
	struct buf messages;
	struct conf *c;

	(void)state;
	snprintf(dir, sizeof dir, "/tmp/map_test.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	buf_init(&messages, 4096);
	write_file("main.cf", arena_printf(&arena,
					   "myhostname = a.example\nalias_maps = hash:%s/aliases\n"
					   "unprivileged_mode = yes\nuserdb = passwd-file:%s/users\n",
					   dir, dir));
	if (conf_load(dir, NULL, 0, &c, &messages) == CONF_ERROR)
		return -1;
	conf = c;
	buf_free(&messages);
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

/* What a table answers, as text: "!" not found, "?" temporary. */
static const char *get(struct map *m, const char *key)
{
	struct span value = SPAN_NONE;

	switch (map_get(m, &arena, span_cstr(key), &value)) {
	case MAP_OK:
		return arena_cstr(&arena, value);
	case MAP_NOTFOUND:
		return "!";
	default:
		return "?";
	}
}

struct lookup {
	const char *key, *want;
};

static void check_table(struct table *t, const struct lookup *v)
{
	assert_non_null(t);
	for (; v->key; v++) {
		struct span value = SPAN_NONE;
		enum map_status st = t->get(t, &arena, span_cstr(v->key), &value);
		const char *got = st == MAP_OK ? arena_cstr(&arena, value) : st == MAP_NOTFOUND ? "!" : "?";

		if (strcmp(got, v->want) != 0)
			fail_msg("%s: %s, not %s", v->key, got, v->want);
	}
	table_free(t);
}

static void test_texthash(void **state)
{
	struct buf w;

	(void)state;
	buf_init(&w, 4096);
	check_table(table_texthash_parse("f", SPAN("a b\nB  c d \n# x\n\nlong one\n\ttwo\n\"k e\\\"y\" v\nnovalue\na again\n"),
					 MAP_BUILD_POSTMAP, &w),
		    (const struct lookup[]){ { "a", "b" }, { "A", "b" }, { "b", "c d" }, { "long", "one\ttwo" },
					     { "k e\"y", "v" }, { "novalue", "!" }, { "zz", "!" }, { NULL, NULL } });
	assert_string_equal(buf_cstr(&w), "f:8: there is no value after the key\n"
					  "f:9: a is there already: the first one counts\n");
	buf_reset(&w);
	check_table(table_texthash_parse("f", SPAN("root: alice, bob\n\"a b\" : \"|cmd x\"\nlist: :include:/x\nbad line\n x\n"),
					 MAP_BUILD_POSTALIAS, &w),
		    (const struct lookup[]){ { "Root", "alice, bob" }, { "a b", "\"|cmd x\"" }, { "list", ":include:/x" },
					     { "bad", "!" }, { NULL, NULL } });
	assert_string_equal(buf_cstr(&w), "f:4: an alias is `name: value'\n");
	buf_free(&w);
}

static void test_inline_and_static(void **state)
{
	struct buf w;

	(void)state;
	buf_init(&w, 4096);
	check_table(table_inline_parse(SPAN("{a=b, C=d e=f,{ key 2 = value 2 }}"), &w),
		    (const struct lookup[]){ { "A", "b" }, { "c", "d" }, { "e", "f" }, { "key 2", "value 2" }, { "x", "!" },
					     { NULL, NULL } });
	assert_null(table_inline_parse(SPAN("a=b"), &w));
	assert_null(table_inline_parse(SPAN("{a}"), &w));
	check_table(table_static_parse(SPAN("{ some text }"), &w),
		    (const struct lookup[]){ { "A", "some text" }, { NULL, NULL } });
	check_table(table_static_parse(SPAN("OK"), &w), (const struct lookup[]){ { "A", "OK" }, { NULL, NULL } });
	buf_free(&w);
}

static const char patterns[] = "/^(.*)@Example\\.com$/ to $1, ${1}x $$ $(1)\n"
			       "!/@/ no at sign\n"
			       "if /^list-/\n"
			       "/-request@/ request\n"
			       "if !/owner/\n"
			       "/./ list\n"
			       "endif\n"
			       "endif\n"
			       "#/x/ y\n"
			       "|^CASE|i sensitive\n"
			       "/bad(/ x\n"
			       "/x/ $1\n"
			       "!/x/ $1\n"
			       "/x/q y\n"
			       "/x y\n"
			       "/x/\n"
			       "if /^zz(/\n"
			       "/./ must not match\n"
			       "endif\n"
			       "endif\n"
			       "if /open/\n"
			       "/open/ opened\n";
static const struct lookup pattern_lookups[] = {
	{ "bob@example.COM", "to bob, bobx $ bob" },
	{ "plain", "no at sign" },
	{ "list-request@x", "request" },
	{ "list-a@x", "list" },
	{ "list-owner@x", "!" },
	{ "CASE@x", "sensitive" },
	{ "case@x", "!" },
	{ "zz(@x", "!" },
	{ "open@", "opened" },
	{ NULL, NULL },
};

static const char *long_key(void)
{
	char *key = arena_alloc(&arena, 6001);

	for (int i = 0; i < 5999; i++)
		key[i] = "acbd"[i % 4];
	key[5999] = 'x';
	return key;
}

static void test_regexp(void **state)
{
	struct buf w;
	const char *text;

	(void)state;
	buf_init(&w, 4096);
	check_table(table_regexp_parse("f", SPAN(patterns), &w), pattern_lookups);
	text = buf_cstr(&w);
	for (int line = 11; line <= 17; line++)
		if (strstr(text, arena_printf(&arena, "f:%d: ", line)) == NULL)
			fail_msg("no warning for line %d in %s", line, text);
	assert_non_null(strstr(text, "f:20: endif without if\n"));
	assert_non_null(strstr(text, "f:21: if without endif\n"));
	buf_reset(&w);
	check_table(table_pcre_parse("f", SPAN(patterns), &w), pattern_lookups);
	assert_non_null(strstr(buf_cstr(&w), "f:11: the pattern is not a regular expression, from its byte 4 on"));
	buf_reset(&w);
	check_table(table_pcre_parse("f", SPAN("/^\\d+(?=@)/ digits\n/(a)|(b)/ <$1$2>\n/^e xt $/x ext\n"), &w),
		    (const struct lookup[]){ { "12@", "digits" }, { "b", "<b>" }, { "ext", "ext" }, { NULL, NULL } });
	/* a pattern that would run for years is cut off, and that is not "not found" */
	check_table(table_pcre_parse("f", SPAN("/^(a+)+$/ x\n/(a+)+b(?=c)\\1/ y\n"), &w),
		    (const struct lookup[]){ { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "?" },
					     { NULL, NULL } });
	assert_string_equal(buf_cstr(&w), "");
	/* what needs more stack than compiled patterns have */
	check_table(table_pcre_parse("f", SPAN("/^(?:(a|b)(?:c|d)?)*x$/ long\n"), &w),
		    (const struct lookup[]){ { long_key(), "long" }, { NULL, NULL } });
	buf_free(&w);
}

static void test_cidr(void **state)
{
	struct buf w;

	(void)state;
	buf_init(&w, 4096);
	check_table(table_cidr_parse("f",
				     SPAN("192.168.1.1 one\n192.168.0.0/16 net\n2001:db8::/32 six\n[::1] loop\n"
					  "if 10.0.0.0/8\n10.1.0.0/16 ten-one\n!10.2.0.0/16 not-ten-two\nendif\n"
					  "10.0.0.1/8 x\nname x\n!0.0.0.0/0 v6\n"),
				     &w),
		    (const struct lookup[]){ { "192.168.1.1", "one" },
					     { "192.168.9.9", "net" },
					     { "2001:db8:1::2", "six" },
					     { "::1", "loop" },
					     { "10.1.2.3", "ten-one" },
					     { "10.3.2.3", "not-ten-two" },
					     { "10.2.2.3", "!" },
					     { "11.2.2.3", "!" },
					     { "::2", "v6" },
					     { "example.com", "!" },
					     { NULL, NULL } });
	assert_non_null(strstr(buf_cstr(&w), "f:9: an address or a block"));
	assert_non_null(strstr(buf_cstr(&w), "f:10: an address or a block"));
	buf_free(&w);
}

static void test_compiled(void **state)
{
	static const char *const names[] = { "hash", "btree", "lmdb" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const char *name = arena_printf(&arena, "%s:%s/t%zu", names[i], dir, i);
		const char *file = arena_printf(&arena, "t%zu", i), *compiled = map_compiled_path(&arena, name);
		struct map *m = map_open(arena_printf(&arena, "proxy:%s", name));
		struct stat st;

		assert_string_equal(get(m, "a"), "?");
		write_file(file, "a b\nCase x y\n");
		assert_string_equal(get(m, "A"), "b");
		assert_string_equal(get(m, "case"), "x y");
		assert_string_equal(get(m, "zz"), "!");
		assert_int_equal(stat(compiled, &st), 0);
		write_file(file, "a c\n");
		assert_string_equal(get(m, "a"), "c");
		assert_string_equal(get(m, "case"), "!");
		assert_ptr_equal(m, map_open(name));
		/* without its text the compiled table goes on */
		assert_int_equal(unlink(in_dir(file)), 0);
		fresh_check_now();
		assert_string_equal(get(m, "a"), "c");
		assert_int_equal(unlink(compiled), 0);
		fresh_check_now();
		assert_string_equal(get(m, "a"), "?");
		/* garbage in the compiled file is a temporary error, and the text repairs it */
		write_file(compiled + strlen(dir) + 1, "garbage");
		assert_string_equal(get(m, "a"), "?");
		write_file(file, "a d\n");
		assert_string_equal(get(m, "a"), "d");
		write_file(compiled + strlen(dir) + 1, "newer garbage");
		assert_string_equal(get(m, "a"), "d");
		assert_int_equal(stat(compiled, &st), 0);
		assert_true(st.st_size > 1000);
	}
}

/* A compiled table that lost its end, or has a wrong byte anywhere: an answer or a temporary error, no crash. */
static void test_damaged(void **state)
{
	static const char *const names[] = { "hash", "btree", "lmdb" };
	struct buf text, good, messages;

	(void)state;
	buf_init(&text, 1 << 20);
	buf_init(&good, 1 << 20);
	buf_init(&messages, 4096);
	for (int i = 0; i < 300; i++)
		buf_addf(&text, "key%d value %d\n", i, i);
	for (size_t i = 0; i < 3; i++) {
		const char *name = arena_printf(&arena, "%s:%s/damaged", names[i], dir);
		const char *compiled = map_compiled_path(&arena, name);

		write_file("damaged", buf_cstr(&text));
		assert_int_equal(map_build(name, MAP_BUILD_POSTMAP, &messages), 0);
		assert_int_equal(unlink(in_dir("damaged")), 0);
		buf_reset(&good);
		assert_int_equal(lines_read_file(compiled, &good), 0);
		for (size_t at = 0; at < good.len; at += i < 2 ? 61 : good.len / 20) {
			FILE *f = fopen(compiled, "w");
			bool cut = i == 2 || at % 2 == 0; /* LMDB has no checksums: only its length is checked */

			good.ptr[at] ^= 0x55;
			fwrite(good.ptr, 1, cut ? at : good.len, f);
			good.ptr[at] ^= 0x55;
			fclose(f);
			fresh_check_now();
			(void)get(map_open(name), "key7");
		}
		assert_int_equal(unlink(compiled), 0);
	}
	buf_free(&text);
	buf_free(&good);
	buf_free(&messages);
}

static void test_aliases_are_known(void **state)
{
	struct map *m = map_open(arena_printf(&arena, "hash:%s/aliases", dir));

	(void)state;
	write_file("aliases", "root: alice\nlist: a,\n b\n");
	assert_string_equal(get(m, "ROOT"), "alice");
	assert_string_equal(get(m, "list"), "a, b");
	assert_string_equal(get(m, "root:"), "!");
}

/* A directory that others may write to gets no compiled file from us. */
static void test_no_build_in_open_directory(void **state)
{
	struct map *m;
	struct stat st;

	(void)state;
	assert_int_equal(mkdir(in_dir("open"), 0777), 0);
	assert_int_equal(chmod(in_dir("open"), 0777), 0);
	write_file("open/t", "a b\n");
	m = map_open(arena_printf(&arena, "hash:%s/open/t", dir));
	assert_string_equal(get(m, "a"), "b");
	assert_int_equal(stat(in_dir("open/t.db"), &st), -1);
	write_file("open/t", "a c\n");
	assert_string_equal(get(m, "a"), "c");
}

static void test_mode_is_kept(void **state)
{
	struct stat st;
	struct buf messages;

	(void)state;
	buf_init(&messages, 4096);
	write_file("secret", "a b\nA c\n");
	assert_int_equal(chmod(in_dir("secret"), 0600), 0);
	assert_int_equal(map_build(arena_printf(&arena, "hash:%s/secret", dir), MAP_BUILD_POSTMAP, &messages), 0);
	assert_non_null(strstr(buf_cstr(&messages), "secret:2: duplicate entry: \"A\""));
	assert_int_equal(stat(in_dir("secret.db"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	buf_reset(&messages);
	assert_int_equal(map_build(arena_printf(&arena, "hash:%s/missing", dir), MAP_BUILD_POSTMAP, &messages), -1);
	assert_non_null(strstr(buf_cstr(&messages), "No such file"));
	assert_int_equal(map_build("regexp:/x", MAP_BUILD_POSTMAP, &messages), -1);
	assert_int_equal(map_build("x", MAP_BUILD_POSTMAP, &messages), -1);
	buf_free(&messages);
}

/* 20,000 keys survive the way to disk and back, in each format. */
static void test_large(void **state)
{
	struct buf text, messages;

	(void)state;
	buf_init(&text, 4 << 20);
	buf_init(&messages, 4096);
	for (int i = 0; i < 20000; i++)
		buf_addf(&text, "user%d@example.com\tuser%d@other.example, second%d@other.example\n", i, i, i);
	write_file("large", buf_cstr(&text));
	for (size_t i = 0; i < 3; i++) {
		const char *name = arena_printf(&arena, "%s:%s/large", (const char *[]){ "hash", "btree", "lmdb" }[i], dir);
		struct map_pairs p = { 0 };
		struct map *m = map_open(name);

		assert_int_equal(map_build(name, MAP_BUILD_POSTMAP, &messages), 0);
		assert_int_equal(map_read_compiled(&p, name, &messages), 0);
		assert_int_equal(p.n, 20000);
		map_pairs_free(&p);
		assert_string_equal(get(m, "user0@example.com"), "user0@other.example, second0@other.example");
		assert_string_equal(get(m, "user19999@example.com"), "user19999@other.example, second19999@other.example");
		assert_string_equal(get(m, "user20000@example.com"), "!");
	}
	/* without its files a table is closed: what Berkeley DB keeps is not a leak */
	assert_int_equal(unlink(in_dir("large")) | unlink(in_dir("large.db")) | unlink(in_dir("large.lmdb")), 0);
	fresh_check_now();
	assert_string_equal(get(map_open(arena_printf(&arena, "hash:%s/large", dir)), "x"), "?");
	assert_string_equal(get(map_open(arena_printf(&arena, "btree:%s/large", dir)), "x"), "?");
	assert_string_equal(buf_cstr(&messages), "");
	buf_free(&text);
	buf_free(&messages);
}

static void test_unknown(void **state)
{
	(void)state;
	assert_string_equal(get(map_open("nosuchtype:x"), "a"), "?");
	assert_string_equal(get(map_open("notype"), "a"), "?");
	assert_string_equal(get(map_open("texthash:/nonexistent/x"), "a"), "?");
	assert_string_equal(get(map_open("inline:{a=b}"), ""), "!");
}

static void test_rules_in_the_name(void **state)
{
	(void)state;
	assert_string_equal(get(map_open("regexp:{{/^[^A-Z]/ Bogus}}"), "22"), "Bogus");
	assert_string_equal(get(map_open("regexp:{{/^[^A-Z]/ Bogus}}"), "ab"), "!");
	assert_string_equal(get(map_open("pcre:{ { /^a{2}$/ x } { !/b/ $$y } }"), "aa"), "x");
	assert_string_equal(get(map_open("pcre:{ { /^a{2}$/ x } { !/b/ $$y } }"), "c"), "$y");
	assert_string_equal(get(map_open("cidr:{ { 127.0.0.0/8 a b }, { 0.0.0.0/0 c } }"), "127.1.1.1"), "a b");
	assert_string_equal(get(map_open("cidr:{}"), "127.1.1.1"), "!");
	assert_string_equal(get(map_open("cidr:{ 127.0.0.0/8 a }"), "127.1.1.1"), "?");
	assert_string_equal(get(map_open("cidr:{"), "127.1.1.1"), "?");
	assert_string_equal(get(map_open("texthash:{ { a b } }"), "a"), "?");
}

static void test_lists(void **state)
{
	struct map_list *l = map_list_open("inline:{a=1, b=2}, inline:{ {b = 3} {c = 4 5} }\n\tstatic:z");
	struct map_list *broken = map_list_open("inline:{a=1} hash:/nonexistent/x");
	struct span v;

	(void)state;
	assert_true(map_list_empty(map_list_open("")));
	assert_false(map_list_empty(l));
	assert_int_equal(map_list_get(l, &arena, SPAN("b"), &v), MAP_OK);
	assert_true(span_is(v, "2"));
	assert_int_equal(map_list_get(l, &arena, SPAN("c"), &v), MAP_OK);
	assert_true(span_is(v, "4 5"));
	assert_int_equal(map_list_get(l, &arena, SPAN("d"), &v), MAP_OK);
	assert_true(span_is(v, "z"));
	assert_int_equal(map_list_get(map_list_open(""), &arena, SPAN("d"), &v), MAP_NOTFOUND);
	assert_int_equal(map_list_get(broken, &arena, SPAN("a"), &v), MAP_OK);
	assert_int_equal(map_list_get(broken, &arena, SPAN("b"), &v), MAP_TEMP);
}

static void test_address(void **state)
{
	static const struct {
		const char *table, *address;
		bool is_local;
		const char *want, *ext;
	} cases[] = {
		{ "u+e@d.com=1,u@d.com=2,u+e=3,u=4,@d.com=5", "u+e@d.com", true, "1", "" },
		{ "u@d.com=2,u+e=3,u=4,@d.com=5", "u+e@d.com", true, "2", "+e" },
		{ "u+e=3,u=4,@d.com=5", "u+e@d.com", true, "3", "" },
		{ "u=4,@d.com=5", "u+e@d.com", true, "4", "+e" },
		{ "u+e=3,u=4,@d.com=5", "u+e@d.com", false, "5", "" },
		{ "u=4", "u+e@d.com", false, "!", "" },
		{ "u=4", "u", false, "4", "" },
		{ "u=4", "u+e", false, "4", "+e" },
		{ "u@d.com=2", "u@D.COM", false, "2", "" },
		{ "postmaster=1", "postmaster@d.com", true, "1", "" },
		{ "@d.com=1", "@d.com", false, "1", "" },
		{ "u=4", "x@d.com", true, "!", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct map_list *l = map_list_open(arena_printf(&arena, "inline:{%s}", cases[i].table));
		struct span v = SPAN_NONE, ext;
		enum map_status st = map_list_get_address(l, &arena, span_cstr(cases[i].address), "+", cases[i].is_local, &v,
							  &ext);

		if (!span_is(st == MAP_OK ? v : SPAN("!"), cases[i].want) || !span_is(ext, cases[i].ext))
			fail_msg("%zu: " SPAN_FMT " ext " SPAN_FMT, i, SPAN_ARG(v), SPAN_ARG(ext));
	}
}

static void test_match_names(void **state)
{
	static const struct {
		const char *list;
		enum match_kind kind;
		const char *name;
		enum map_status want;
	} cases[] = {
		{ "a.com, b.com", MATCH_STRING, "B.com", MAP_OK },
		{ "a.com, b.com", MATCH_STRING, "x.b.com", MAP_NOTFOUND },
		{ ".b.com", MATCH_STRING, "x.b.com", MAP_NOTFOUND },
		{ ".b.com", MATCH_DOMAIN, "x.b.com", MAP_OK },
		{ ".b.com", MATCH_DOMAIN, "b.com", MAP_NOTFOUND },
		{ "b.com", MATCH_DOMAIN, "x.b.com", MAP_NOTFOUND },
		{ "b.com", MATCH_PARENT, "x.y.b.com", MAP_OK },
		{ "b.com", MATCH_PARENT, "xb.com", MAP_NOTFOUND },
		{ "!x.b.com b.com", MATCH_PARENT, "x.b.com", MAP_NOTFOUND },
		{ "!x.b.com b.com", MATCH_PARENT, "y.b.com", MAP_OK },
		{ "inline:{b.com=1}", MATCH_PARENT, "x.b.com", MAP_OK },
		{ "inline:{b.com=1}", MATCH_DOMAIN, "x.b.com", MAP_NOTFOUND },
		{ "inline:{.b.com=1}", MATCH_DOMAIN, "x.b.com", MAP_OK },
		{ "inline:{b.com=1}", MATCH_STRING, "b.com", MAP_OK },
		{ "hash:/nonexistent/x b.com", MATCH_STRING, "b.com", MAP_TEMP },
		{ "b.com hash:/nonexistent/x", MATCH_STRING, "b.com", MAP_OK },
		{ "/nonexistent/list", MATCH_STRING, "b.com", MAP_TEMP },
		{ "", MATCH_STRING, "b.com", MAP_NOTFOUND },
		{ "b.com", MATCH_STRING, "", MAP_NOTFOUND },
	};
	struct match *m;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (match_name(match_open(cases[i].list, cases[i].kind), span_cstr(cases[i].name)) != cases[i].want)
			fail_msg("%s: %s", cases[i].list, cases[i].name);
	write_file("domains", "# ours\na.com\n  b.com !c.com\ninline:{d.com=x}\n");
	m = match_open(arena_printf(&arena, "x.com, %s/domains", dir), MATCH_PARENT);
	assert_int_equal(match_name(m, SPAN("b.com")), MAP_OK);
	assert_int_equal(match_name(m, SPAN("d.com")), MAP_OK);
	assert_int_equal(match_name(m, SPAN("c.com")), MAP_NOTFOUND);
	assert_int_equal(match_name(m, SPAN("ours")), MAP_NOTFOUND);
	write_file("domains", "e.com\n");
	assert_int_equal(match_name(m, SPAN("b.com")), MAP_NOTFOUND);
	assert_int_equal(match_name(m, SPAN("e.com")), MAP_OK);
	assert_int_equal(match_name(match_open(arena_printf(&arena, "!%s/domains e.com x.com", dir), MATCH_STRING),
				    SPAN("e.com")),
			 MAP_NOTFOUND);
}

static void test_match_addresses(void **state)
{
	static const struct {
		const char *list, *addr, *host;
		enum map_status want;
	} cases[] = {
		{ "127.0.0.0/8 [::1]/128", "127.1.2.3", "", MAP_OK },
		{ "127.0.0.0/8 [::1]/128", "::1", "", MAP_OK },
		{ "127.0.0.0/8 [::1]/128", "10.0.0.1", "", MAP_NOTFOUND },
		{ "!10.0.0.1 10.0.0.0/8", "10.0.0.1", "", MAP_NOTFOUND },
		{ "!10.0.0.1 10.0.0.0/8", "10.0.0.2", "", MAP_OK },
		{ "10.0.0.1/8", "10.0.0.1", "", MAP_TEMP },
		{ "cidr:/nonexistent", "10.0.0.1", "", MAP_TEMP },
		{ "inline:{10.0.0.1=x}", "10.0.0.1", "", MAP_OK },
		{ "host.example.com", "10.0.0.1", "host.example.com", MAP_OK },
		{ ".example.com", "10.0.0.1", "host.example.com", MAP_OK },
		{ "host.example.com", "10.0.0.1", "", MAP_NOTFOUND },
		{ "[2001:db8::]/32", "2001:db8::7", "", MAP_OK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct netaddr a;

		assert_true(netaddr_parse(span_cstr(cases[i].addr), &a));
		if (match_netaddr(match_open(cases[i].list, MATCH_NETWORK), &a, span_cstr(cases[i].host)) != cases[i].want)
			fail_msg("%s: %s", cases[i].list, cases[i].addr);
	}
}

static void test_passwd_file(void **state)
{
	struct user u;
	struct span hash;
	bool no_login = true;
	const char *path = in_dir("users");

	(void)state;
	assert_int_equal(userdb_get(&arena, SPAN("alice"), &u), MAP_TEMP);
	write_file("users", "# users\nalice:{SHA512-CRYPT}$6$x:1000:1000::/home/alice:/bin/sh:userdb_mail=maildir:~/M x=y\n"
			    "bob:{PLAIN}b\nbad name:x\nalice:dup\n\ncarol@example.com:{PLAIN}c:::: \r\n"
			    "dave:{PLAIN}d::::::x nologin\nerin:{PLAIN}e::::::disabled=y nologins\n");
	assert_int_equal(userdb_get(&arena, SPAN("alice"), &u), MAP_OK);
	assert_string_equal(u.home, "/home/alice");
	assert_string_equal(u.shell, "/bin/sh");
	assert_string_equal(u.mail_location, "maildir:~/M");
	assert_int_equal(u.uid, geteuid());
	assert_int_equal(userdb_get(&arena, SPAN("bob"), &u), MAP_OK);
	assert_null(u.mail_location);
	assert_int_equal(userdb_get(&arena, SPAN("carol@example.com"), &u), MAP_OK);
	assert_int_equal(userdb_get(&arena, SPAN("bad name"), &u), MAP_NOTFOUND);
	assert_int_equal(userdb_get(&arena, SPAN("../x"), &u), MAP_NOTFOUND);
	assert_int_equal(userdb_get(&arena, SPAN(""), &u), MAP_NOTFOUND);
	assert_int_equal(userdb_get(&arena, span_of("alice\0x", 7), &u), MAP_NOTFOUND);
	assert_int_equal(userdb_password(path, &arena, SPAN("alice"), &hash, &no_login), MAP_OK);
	assert_true(span_is(hash, "{SHA512-CRYPT}$6$x"));
	assert_false(no_login);
	assert_int_equal(userdb_get(&arena, SPAN("dave"), &u), MAP_OK);
	assert_true(u.no_login && !u.disabled);
	assert_int_equal(userdb_get(&arena, SPAN("erin"), &u), MAP_OK);
	assert_true(!u.no_login && u.disabled);
	assert_int_equal(userdb_password(path, &arena, SPAN("dave"), &hash, &no_login), MAP_OK);
	assert_true(no_login);
	assert_int_equal(userdb_password(path, &arena, SPAN("nobody"), &hash, &no_login), MAP_NOTFOUND);
	assert_int_equal(userdb_password("/nonexistent/x", &arena, SPAN("alice"), &hash, &no_login), MAP_TEMP);
	write_file("users", "bob:{PLAIN}b\n");
	assert_int_equal(userdb_get(&arena, SPAN("alice"), &u), MAP_NOTFOUND);
	assert_int_equal(userdb_password(path, &arena, SPAN("alice"), &hash, &no_login), MAP_NOTFOUND);
	assert_string_equal(get(map_open("unix:passwd.byname"), "bob"),
			    arena_printf(&arena, "bob:*:%u:%u::/nonexistent:", geteuid(), getegid()));
	assert_string_equal(get(map_open("unix:group.byname"), "root"), "root:*:0:");
	assert_string_equal(get(map_open("unix:hosts"), "root"), "?");
}

static void test_no_hashes_kept(void **state)
{
	struct buf w;
	struct passwd_file *f;

	(void)state;
	buf_init(&w, 1024);
	f = passwd_file_parse("f", SPAN("a:secret:1:2::/h\nb:secret\n"), false, &w);
	assert_int_equal(span_find(span_of(f->text, f->len), SPAN("secret")), -1);
	assert_true(span_is(passwd_file_find(f, SPAN("a"))->home, "/h"));
	passwd_file_free(f);
	buf_free(&w);
}

static void test_system_users(void **state)
{
	struct conf with_passwd = *conf;
	const struct conf *before = conf;
	struct user u;

	(void)state;
	with_passwd.userdb = "passwd";
	with_passwd.unprivileged_mode = "no";
	conf = &with_passwd;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(userdb_get(&arena, SPAN("root"), &u), MAP_OK);
		assert_int_equal(u.uid, 0);
		assert_string_equal(u.home, "/root");
		assert_int_equal(userdb_get(&arena, SPAN("nosuchuser"), &u), MAP_NOTFOUND);
	}
	conf = before;
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

static void *look_up_often(void *arg)
{
	struct map *m = arg;

	for (int i = 0; i < 2000; i++) {
		struct arena a = ARENA_INIT;
		struct span v;
		enum map_status st = map_get(m, &a, SPAN("a"), &v);

		if (st != MAP_OK || !span_starts(v, "b"))
			return (void *)"wrong";
		if (i % 50 == 0)
			fresh_check_now();
		arena_free(&a);
	}
	return NULL;
}

static void *look_up_many(void *arg)
{
	struct map *m = arg;

	for (int i = 0; i < 20000; i += 7) {
		struct arena a = ARENA_INIT;
		struct span v;
		enum map_status st = map_get(m, &a, span_cstr(arena_printf(&a, "filler%d", i)), &v);

		if (st != MAP_OK || !span_ends(v, arena_printf(&a, " %d", i)))
			return (void *)"wrong";
		arena_free(&a);
	}
	return NULL;
}

static void look_up_large(const char *type)
{
	struct map *m = map_open(arena_printf(&arena, "%s:%s/large", type, dir));
	pthread_t threads[4];
	struct buf text;

	/* more than is held in memory, so that Berkeley DB and LMDB themselves are asked */
	buf_init(&text, 4 << 20);
	for (int i = 0; i < 20000; i++)
		buf_addf(&text, "filler%d\tvalue of some length, so that it takes room %d\n", i, i);
	write_file("large", buf_cstr(&text));
	buf_free(&text);
	for (size_t k = 0; k < 4; k++)
		assert_int_equal(pthread_create(&threads[k], NULL, look_up_many, m), 0);
	for (size_t k = 0; k < 4; k++) {
		void *wrong;

		pthread_join(threads[k], &wrong);
		assert_null(wrong);
	}
	assert_int_equal(unlink(in_dir("large")) | unlink(in_dir(strcmp(type, "lmdb") == 0 ? "large.lmdb" : "large.db")), 0);
	fresh_check_now();
	assert_string_equal(get(m, "x"), "?");
}

static void test_threads(void **state)
{
	static const char *const names[] = { "hash", "btree", "lmdb", "texthash", "regexp" };

	(void)state;
	look_up_large("hash");
	look_up_large("lmdb");
	for (size_t i = 0; i < 5; i++) {
		pthread_t threads[4];
		struct map *m;

		write_file("shared", i == 4 ? "/a/ b\n" : "a b\n");
		m = map_open(arena_printf(&arena, "%s:%s/shared", names[i], dir));
		for (size_t k = 0; k < 4; k++)
			assert_int_equal(pthread_create(&threads[k], NULL, look_up_often, m), 0);
		for (int k = 0; k < 50 && i < 4; k++) {
			/* as an editor does: a new file in place of the old one */
			write_file("shared.new", arena_printf(&arena, "a b%d\n", k));
			assert_int_equal(rename(in_dir("shared.new"), in_dir("shared")), 0);
		}
		for (size_t k = 0; k < 4; k++) {
			void *wrong;

			pthread_join(threads[k], &wrong);
			assert_null(wrong);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texthash),   cmocka_unit_test(test_inline_and_static),
		cmocka_unit_test(test_regexp),     cmocka_unit_test(test_cidr),
		cmocka_unit_test(test_compiled),   cmocka_unit_test(test_damaged),
		   cmocka_unit_test(test_aliases_are_known),
		cmocka_unit_test(test_no_build_in_open_directory), cmocka_unit_test(test_mode_is_kept),
		cmocka_unit_test(test_large),      cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_rules_in_the_name),
		cmocka_unit_test(test_lists),      cmocka_unit_test(test_address),
		cmocka_unit_test(test_match_names), cmocka_unit_test(test_match_addresses),
		cmocka_unit_test(test_passwd_file), cmocka_unit_test(test_no_hashes_kept),
		cmocka_unit_test(test_system_users), cmocka_unit_test(test_threads),
	};

	log_open("map_test", LOG_TO_STDERR, -1, 0);
	return cmocka_run_group_tests(tests, setup, cleanup);
}
