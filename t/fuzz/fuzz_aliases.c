/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes, read as a list, as a .forward file and as an aliases(5) file: no crash, progress at every step. */
#include <stddef.h>
#include <stdint.h>

#include "lib/base/must.h"
#include "lib/proto/aliases.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk_list(struct arena *a, struct span list)
{
	struct alias_item item;
	size_t before = list.len;

	while (alias_next(a, &list, &item) == ALIAS_OK) {
		must(list.len < before && item.text.len > 0 && item.text.len <= ALIAS_ITEM_MAX);
		before = list.len;
	}
	must(list.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = ARENA_INIT;
	struct span file = span_of((const char *)data, size), line;
	struct alias_entry e;
	int n = 0;

	walk_list(&a, file);
	while (alias_line(&file, &line))
		walk_list(&a, line);
	file = span_of((const char *)data, size);
	while (alias_entry_next(&a, &file, &n, &e))
		must(e.bad || (e.name.len > 0 && e.value.len > 0));
	arena_free(&a);
	return 0;
}
