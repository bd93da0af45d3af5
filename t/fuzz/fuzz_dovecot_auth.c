/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of Dovecot's authentication protocol, as either side may get them. */
#include <stddef.h>
#include <stdint.h>

#include "lib/base/must.h"
#include "lib/proto/dovecot_auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(struct span part, struct span whole)
{
	return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void take_line(struct arena *a, struct span text)
{
	struct dovecot_line line;
	struct span name, value;

	if (!dovecot_line_parse(text, &line))
		return;
	must(within(line.text, text) && within(line.fields, text));
	must(line.verb != DOVECOT_AUTH || line.text.len > 0);
	while (dovecot_field(&line.fields, &name, &value)) {
		must(within(name, text) && within(value, text) && span_chr(name, '\t') < 0);
		must(dovecot_unescape(a, value).len <= value.len);
	}
}

/* What is escaped has no byte that a line could not hold, and comes back as it was. */
static void round_trip(struct arena *a, struct span text)
{
	struct buf b;

	buf_init(&b, 2 * text.len + 1);
	must(dovecot_escape(&b, text));
	must(span_chr(buf_span(&b), '\t') < 0 && span_chr(buf_span(&b), '\n') < 0 && span_chr(buf_span(&b), '\0') < 0);
	must(span_eq(dovecot_unescape(a, buf_span(&b)), text));
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of((const char *)data, size), rest = text;
	struct arena a = ARENA_INIT;

	while (rest.len)
		take_line(&a, span_cut(&rest, '\n'));
	round_trip(&a, text);
	arena_free(&a);
	return 0;
}
