/* SPDX-License-Identifier: BSD-2-Clause */
/* A message a line, "id<ids of references>date:subject": every one comes out once, in balanced parentheses. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "lib/base/must.h"
#include "lib/proto/imap_subject.h"
#include "lib/proto/imap_thread.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MSGS_MAX = 200 };

static void check(struct span out, size_t n)
{
	bool seen[MSGS_MAX + 1] = { false };
	size_t depth = 0, count = 0;

	for (size_t i = 0; i < out.len; i++) {
		size_t number = 0;

		depth += out.ptr[i] == '(';
		must(out.ptr[i] != ')' || depth > 0);
		depth -= out.ptr[i] == ')';
		while (i < out.len && ascii_isdigit(out.ptr[i]))
			number = number * 10 + (size_t)(out.ptr[i++] - '0');
		if (number == 0)
			continue;
		must(depth > 0 && number <= n && !seen[number]);
		seen[number] = true;
		count++;
		i--;
	}
	must(depth == 0 && count == n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_of((const char *)data, size);
	struct thread_msg m[MSGS_MAX] = { 0 };
	struct arena a = ARENA_INIT;
	size_t n = 0;

	while (rest.len > 0 && n < MSGS_MAX) {
		struct span line = span_cut(&rest, '\n'), head = span_cut(&line, ':'), *refs, id = head;
		ptrdiff_t lt = span_chr(head, '<');

		m[n].number = (uint32_t)n + 1;
		m[n].id = lt < 0 ? id : span_head(id, (size_t)lt);
		m[n].date = m[n].arrival = head.len > 0 ? head.ptr[head.len - 1] : 0;
		m[n].nrefs = imap_thread_ids(&a, head, 20, &refs);
		m[n].refs = refs;
		m[n].subject = imap_base_subject(&a, line, &m[n].reply);
		n++;
	}
	for (int how = THREAD_ORDEREDSUBJECT; how <= THREAD_REFS; how++) {
		struct buf out;

		buf_init(&out, 1 << 20);
		imap_thread(&a, (enum thread_algorithm)how, m, n, &out);
		check(buf_span(&out), n);
		buf_free(&out);
	}
	arena_free(&a);
	return 0;
}
