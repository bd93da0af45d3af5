/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as master.cf: what parses is complete, and parses the same after postconf has printed it anew. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/must.h"
#include "lib/conf/edit.h"
#include "lib/conf/lines.h"
#include "lib/conf/mastercf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool print_anew(void *ctx, struct entry *e, struct span lines, struct buf *out)
{
	(void)ctx;
	(void)lines;
	entry_print(e, out);
	return true;
}

static void must_be_same(const struct mastercf *a, const struct mastercf *b)
{
	must(a->count == b->count);
	for (size_t i = 0; i < a->count; i++) {
		const struct mastercf_service *x = &a->services[i], *y = &b->services[i];

		must(strcmp(x->name, y->name) == 0 && x->type == y->type && strcmp(x->program, y->program) == 0);
		must(x->maxproc == y->maxproc && x->wakeup_s == y->wakeup_s && x->is_private == y->is_private);
		must(x->nargs == y->nargs && x->noverrides == y->noverrides);
		for (size_t k = 0; k < x->noverrides; k++)
			must(strcmp(x->overrides[k], y->overrides[k]) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of((const char *)data, size);
	struct arena a = ARENA_INIT;
	struct mastercf m, again;
	struct buf messages, out;

	if (size > 65536)
		return 0;
	buf_init(&messages, LINES_FILE_MAX);
	buf_init(&out, LINES_FILE_MAX);
	if (mastercf_parse("m", text, &a, &m, &messages)) {
		edit_mastercf(text, print_anew, NULL, &out);
		if (mastercf_parse("m", buf_span(&out), &a, &again, &messages))
			must_be_same(&m, &again);
	}
	buf_free(&messages);
	buf_free(&out);
	arena_free(&a);
	return 0;
}
