/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proto/imap_subject.h"
#include "lib/proto/imap_thread.h"

static struct arena a;

static void subjects(void **state)
{
	static const struct {
		const char *in, *out;
		bool reply;
	} t[] = {
		{ "", "", false },
		{ "plain", "plain", false },
		{ "  two\t words  ", "two words", false },
		{ "Re: x", "x", true },
		{ "RE : x", "x", true },
		{ "Re:Re: re:x", "x", true },
		{ "fw: x", "x", true },
		{ "Fwd: x", "x", true },
		{ "fwdx: x", "fwdx: x", false },
		{ "Re[2]: x", "x", true },
		{ "Re [a b] : x", "x", true },
		{ "x (fwd)", "x", true },
		{ "x (fwd) (FWD) ", "x", true },
		{ "[list] x", "x", false },
		{ "[list] Re: [list] x", "x", true },
		{ "[a] [b] re: x", "x", true },
		{ "[list]", "[list]", false },
		{ "[a][b]", "[b]", false },
		{ "[open x", "[open x", false },
		{ "[Fwd: Re: x]", "x", true },
		{ "[fwd: x", "[fwd: x", false },
		{ "[Fwd: [list] x (fwd)] (fwd)", "x", true },
		{ "Re:", "", true },
		{ "(fwd)", "", true },
		{ "report", "report", false },
		{ "re", "re", false },
		{ "\xc3\x84rger", "\xc3\x84rger", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		bool reply;
		struct span base = imap_base_subject(&a, span_cstr(t[i].in), &reply);

		if (!span_is(base, t[i].out) || reply != t[i].reply)
			fail_msg("<%s>: <" SPAN_FMT "> %d", t[i].in, SPAN_ARG(base), reply);
	}
}

/* "id<ref,ref subject" for each message; number and date are its place, arrival too; "Re-" makes a reply; '!' first: old. */
static const char *thread(enum thread_algorithm how, const char *spec)
{
	struct thread_msg m[64] = { 0 };
	struct span rest = span_cstr(spec), word, ref;
	struct buf out;
	char *text;
	size_t n = 0;

	while (span_word(&rest, "|", &word)) {
		struct span head = span_cut(&word, ' '), id = span_cut(&head, '<'), *refs = arena_array(&a, 8, sizeof(*refs));

		m[n].number = (uint32_t)n + 1;
		m[n].date = m[n].arrival = (int64_t)n + 100;
		if (id.len > 0 && id.ptr[0] == '!') {
			id = span_skip(id, 1);
			m[n].date = 1;
		}
		m[n].id = span_is(id, "-") ? SPAN_NONE : id;
		m[n].refs = refs;
		while (head.len > 0 && (ref = span_cut(&head, ',')).len > 0)
			refs[m[n].nrefs++] = ref;
		m[n].reply = span_starts(word, "Re-");
		m[n].subject = m[n].reply ? span_skip(word, 3) : word;
		n++;
	}
	buf_init(&out, 10000);
	imap_thread(&a, how, m, n, &out);
	text = arena_cstr(&a, buf_span(&out));
	buf_free(&out);
	return text;
}

static void by_reference(void **state)
{
	static const struct {
		const char *in, *references, *refs;
	} t[] = {
		{ "", "", "" },
		{ "a", "(1)", "(1)" },
		{ "a|b|c", "(1)(2)(3)", "(1)(2)(3)" },
		{ "a|b<a|c<a,b", "(1 2 3)", "(1 2 3)" },
		{ "a|b<a|c<a", "(1 (2)(3))", "(1 (2)(3))" },
		{ "a|b<a|c<b|d<a", "(1 (2 3)(4))", "(1 (2 3)(4))" },
		/* answers before what they answer */
		{ "c<a,b|b<a|a", "(3 2 1)", "(3 2 1)" },
		/* something is missing: in the middle, at the top, at the top of several */
		{ "a|c<a,b", "(1 2)", "(1 2)" },
		{ "b<a|c<b", "(1 2)", "(1 2)" },
		{ "b<a|c<a", "((1)(2))", "((1)(2))" },
		{ "b<a,x|c<a,x|d<a", "((1)(2)(3))", "((1)(2)(3))" },
		{ "x<g|y<g,z|a", "((1)(2))(3)", "((1)(2))(3)" },
		/* loops, oneself, ids used twice, none at all */
		{ "a<b|b<a", "(2 1)", "(2 1)" },
		{ "a<a", "(1)", "(1)" },
		{ "a|a<a", "(1 2)", "(1 2)" },
		{ "-|-|-<x|-<x", "(1)(2)((3)(4))", "(1)(2)((3)(4))" },
		{ "a<b,c|b<c,a|c<a,b", "(2 3 1)", "(2 3 1)" },
		/* a shorter list of references does not move what is in place */
		{ "a|b<a|c<b|d<c", "(1 2 3 4)", "(1 2 3 4)" },
		/* dates: siblings by their own, threads by their first */
		{ "a|b<a|!c<a", "(1 (3)(2))", "(1 (3)(2))" },
		{ "a|!b", "(2)(1)", "(1)(2)" },
		{ "a|b|c<a", "(1 3)(2)", "(2)(1 3)" },
		/* subjects */
		{ "a s|b s", "((1)(2))", "(1)(2)" },
		{ "a s|b Re-s", "(1 2)", "(1)(2)" },
		{ "a Re-s|b s", "(2 1)", "(1)(2)" },
		{ "a Re-s|b Re-s", "((1)(2))", "(1)(2)" },
		{ "a s|b s|c s|d Re-s", "((1)(2)(3)(4))", "(1)(2)(3)(4)" },
		{ "a<x s|b<x s|c<y s|d<y s", "((1)(2)(3)(4))", "((1)(2))((3)(4))" },
		{ "c s|a<x s|b<x t", "((1)(2)(3))", "(1)((2)(3))" },
		{ "a |b ", "(1)(2)", "(1)(2)" },
		{ "a s|b<a t|c t", "(1 2)(3)", "(1 2)(3)" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const char *x = thread(THREAD_REFERENCES, t[i].in), *y = thread(THREAD_REFS, t[i].in);

		if (strcmp(x, t[i].references) != 0)
			fail_msg("REFERENCES <%s>: %s, not %s", t[i].in, x, t[i].references);
		if (strcmp(y, t[i].refs) != 0)
			fail_msg("REFS <%s>: %s, not %s", t[i].in, y, t[i].refs);
	}
}

static void by_subject(void **state)
{
	(void)state;
	assert_string_equal(thread(THREAD_ORDEREDSUBJECT, ""), "");
	assert_string_equal(thread(THREAD_ORDEREDSUBJECT, "a s|b t|c s|d s|e t"), "(1 (3)(4))(2 5)");
	assert_string_equal(thread(THREAD_ORDEREDSUBJECT, "a s|!b t|!c s"), "(2)(3 1)");
}

/* Every message comes out once, in balanced parentheses, whatever refers to whatever. */
static void whatever_refers(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct thread_msg m[12] = { 0 };
		struct span refs[12][3];
		static const char names[] = "abcdefgh";
		unsigned seen = 0, depth = 0;
		struct buf out;

		for (unsigned i = 0; i < 12; i++) {
			m[i] = (struct thread_msg){ .number = i + 1, .date = rand_r(&seed) % 5, .refs = refs[i], .reply = rand_r(&seed) % 2 };
			m[i].id = span_of(&names[rand_r(&seed) % 8], rand_r(&seed) % 5 > 0);
			m[i].subject = span_of(&names[rand_r(&seed) % 3], rand_r(&seed) % 3 > 0);
			m[i].nrefs = (size_t)rand_r(&seed) % 4;
			for (size_t k = 0; k < m[i].nrefs; k++)
				refs[i][k] = span_of(&names[rand_r(&seed) % 8], 1);
		}
		buf_init(&out, 10000);
		imap_thread(&a, (enum thread_algorithm)(round % 3), m, 12, &out);
		for (const char *p = buf_cstr(&out); *p; p++) {
			depth += *p == '(';
			depth -= *p == ')';
			if (*p >= '0' && *p <= '9') {
				unsigned n = (unsigned)strtoul(p, (char **)&p, 10);

				assert_true(depth > 0 && (seen & 1U << n) == 0);
				seen |= 1U << n;
				p--;
			}
		}
		assert_int_equal(depth, 0);
		assert_int_equal(seen, 0x1ffe);
		buf_free(&out);
	}
}

/* A chain of answers, each to the one before, in any order, costs n log n. */
static void long_chain(void **state)
{
	enum { N = 100000 };
	struct thread_msg *m = arena_array(&a, N, sizeof(*m));
	struct span *id = arena_array(&a, N, sizeof(*id));
	struct buf out;

	(void)state;
	for (uint32_t i = 0; i < N; i++)
		id[i] = span_cstr(arena_printf(&a, "%u", i));
	buf_init(&out, 1 << 24);
	for (int order = 0; order < 3; order++) {
		for (uint32_t i = 0; i < N; i++) {
			uint32_t k = order == 0 ? i : order == 1 ? N - 1 - i : (uint32_t)((uint64_t)i * 7919 % N);

			m[i] = (struct thread_msg){ .number = k + 1, .date = k, .id = id[k], .refs = &id[k - 1], .nrefs = k > 0 };
		}
		buf_reset(&out);
		imap_thread(&a, THREAD_REFERENCES, m, N, &out);
		assert_true(out.len > N);
	}
	buf_free(&out);
}

static void ids(void **state)
{
	struct span *v;

	(void)state;
	assert_int_equal(imap_thread_ids(&a, SPAN("<a@b> junk < c@d >\t<no> <> <e@f"), 9, &v), 2);
	assert_true(span_is(v[0], "a@b") && span_is(v[1], "c@d"));
	assert_int_equal(imap_thread_ids(&a, SPAN("<a@1><a@2><a@3>"), 2, &v), 2);
	assert_true(span_is(v[0], "a@2") && span_is(v[1], "a@3"));
	assert_int_equal(imap_thread_ids(&a, SPAN_NONE, 2, &v), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(subjects),        cmocka_unit_test(by_reference), cmocka_unit_test(by_subject),
		cmocka_unit_test(whatever_refers), cmocka_unit_test(long_chain),   cmocka_unit_test(ids),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	arena_free(&a);
	return failed;
}
