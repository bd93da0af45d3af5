/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as the text of a table: the first byte says of which type, the second how long the key is that stands in
 * front of the text. POSIX patterns are left out: regcomp(3) of the C library takes any amount of memory for some.
 */
#include <stddef.h>
#include <stdint.h>

#include "lib/base/must.h"
#include "lib/map/passwdfile.h"
#include "lib/map/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct table *parse(uint8_t type, struct span text, struct buf *w)
{
	switch (type % 7) {
	case 0:
		return table_texthash_parse("f", text, MAP_BUILD_POSTMAP, w);
	case 1:
		return table_texthash_parse("f", text, MAP_BUILD_POSTALIAS, w);
	case 2:
		return table_cidr_parse("f", text, w);
	case 3:
		return table_pcre_parse("f", text, w);
	case 4:
		return table_inline_parse(text, w);
	case 5:
		return table_static_parse(text, w);
	default:
		passwd_file_free(passwd_file_parse("f", text, text.len % 2, w));
		return NULL;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_of((const char *)data, size), key, value;
	struct arena a = ARENA_INIT;
	struct table *t;
	struct buf warnings;

	if (size < 2 || size > 4096)
		return 0;
	key = span_head(span_skip(rest, 2), data[1] % 32);
	buf_init(&warnings, TABLE_WARNINGS_MAX);
	t = parse(data[0], span_skip(rest, 2 + key.len), &warnings);
	if (t && t->get(t, &a, key, &value) == MAP_OK)
		must(value.len == 0 || value.ptr != NULL);
	table_free(t);
	buf_free(&warnings);
	arena_free(&a);
	return 0;
}
