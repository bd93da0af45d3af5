/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/dovecot_auth.h"

#include <string.h>

/* What stands behind the verb. */
enum shape { NOTHING, NUMBER, TEXT, NUMBER_TEXT };

static const struct {
	const char *name;
	enum dovecot_verb verb;
	enum shape shape;
} verbs[] = {
	{ "VERSION", DOVECOT_VERSION, NUMBER }, { "CPID", DOVECOT_CPID, NUMBER },     { "MECH", DOVECOT_MECH, TEXT },
	{ "SPID", DOVECOT_SPID, NOTHING },      { "DONE", DOVECOT_DONE, NOTHING },    { "AUTH", DOVECOT_AUTH, NUMBER_TEXT },
	{ "CONT", DOVECOT_CONT, NUMBER },       { "CANCEL", DOVECOT_CANCEL, NUMBER }, { "OK", DOVECOT_OK, NUMBER },
	{ "FAIL", DOVECOT_FAIL, NUMBER },
};

bool dovecot_line_parse(struct span line, struct dovecot_line *out)
{
	struct span name = span_cut(&line, '\t');
	enum shape shape = NOTHING;
	uint64_t number = 0;

	*out = (struct dovecot_line){ .verb = DOVECOT_OTHER };
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (span_is(name, verbs[i].name)) {
			out->verb = verbs[i].verb;
			shape = verbs[i].shape;
		}
	if ((shape == NUMBER || shape == NUMBER_TEXT) && !span_u64(span_cut(&line, '\t'), UINT32_MAX, &number))
		return false;
	out->number = (uint32_t)number;
	if (shape == TEXT || shape == NUMBER_TEXT || out->verb == DOVECOT_CONT)
		out->text = span_cut(&line, '\t');
	out->fields = line;
	return (shape != TEXT && shape != NUMBER_TEXT) || out->text.len > 0;
}

bool dovecot_field(struct span *fields, struct span *name_r, struct span *value_r)
{
	struct span field = SPAN_NONE;
	ptrdiff_t equals;

	while (fields->len > 0 && field.len == 0)
		field = span_cut(fields, '\t');
	if (field.len == 0)
		return false;
	equals = span_chr(field, '=');
	*name_r = span_head(field, equals < 0 ? field.len : (size_t)equals);
	*value_r = equals < 0 ? SPAN_NONE : span_skip(field, (size_t)equals + 1);
	return true;
}

static const char plain_bytes[] = { '\0', '\1', '\t', '\r', '\n' }, letters[] = { '0', '1', 't', 'r', 'n' };

struct span dovecot_unescape(struct arena *a, struct span value)
{
	char *to = arena_alloc(a, value.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < value.len; i++) {
		const char *letter;

		if (value.ptr[i] != '\1' || i + 1 == value.len) {
			to[n++] = value.ptr[i];
			continue;
		}
		letter = memchr(letters, value.ptr[++i], sizeof letters);
		to[n++] = letter ? plain_bytes[letter - letters] : value.ptr[i];
	}
	return span_of(to, n);
}

bool dovecot_escape(struct buf *b, struct span value)
{
	bool ok = true;

	for (size_t i = 0; i < value.len && ok; i++) {
		const char *plain = memchr(plain_bytes, value.ptr[i], sizeof plain_bytes);

		ok = plain ? buf_addc(b, '\1') && buf_addc(b, letters[plain - plain_bytes]) : buf_addc(b, value.ptr[i]);
	}
	return ok;
}
