/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as main.cf: every value expands or is refused, and editing never loses what it did not change. */
#include <stddef.h>
#include <stdint.h>

#include "lib/base/must.h"
#include "lib/conf/edit.h"
#include "lib/conf/lines.h"
#include "lib/conf/raw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expand_all(const struct conf_raw *raw)
{
	for (size_t i = 0; i < raw->count; i++) {
		struct arena a = ARENA_INIT;
		struct span undefined;
		const char *error, *value;

		value = raw_value(raw, &a, span_cstr(raw->entries[i]->name), &error, &undefined);
		must((value == NULL) == (error != NULL));
		arena_free(&a);
	}
}

static void edit(struct span text)
{
	struct edit e = { SPAN("mydomain"), SPAN("a.b") };
	struct conf_raw *raw = raw_new("/x");
	struct buf out, messages;

	buf_init(&out, LINES_FILE_MAX);
	buf_init(&messages, LINES_FILE_MAX);
	edit_maincf(text, EDIT_SET, &e, 1, &out);
	raw_parse_text(raw, buf_span(&out), &messages);
	must(span_is(span_cstr(raw_get(raw, e.name)->value), "a.b"));
	raw_free(raw);
	buf_free(&out);
	buf_free(&messages);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of((const char *)data, size);
	struct conf_raw *raw = raw_new("/x");
	struct buf messages;
	int64_t n;

	if (size > 4096) {
		raw_free(raw);
		return 0;
	}
	buf_init(&messages, LINES_FILE_MAX);
	raw_parse_text(raw, text, &messages);
	raw_check_names(raw, &messages);
	expand_all(raw);
	edit(text);
	(void)!conf_parse_time_ms(text, 's', &n);
	raw_free(raw);
	buf_free(&messages);
	return 0;
}
