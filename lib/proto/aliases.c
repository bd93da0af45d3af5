/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/aliases.h"

#include <string.h>

#include "lib/base/buf.h"

const char *alias_err_str(enum alias_err err)
{
	static const char *const text[] = {
		"ok", "end of list", "unclosed quote, comment or <", "control character", "item too long", "empty item"
	};

	return (unsigned)err < sizeof(text) / sizeof(text[0]) ? text[err] : "unknown";
}

static bool is_separator(char c)
{
	return ascii_isspace(c) || c == ',';
}

/* Step over (a comment (nested)); in starts at the parenthesis. False when it does not end. */
static bool skip_comment(struct span *in)
{
	size_t depth = 0;

	for (size_t i = 0; i < in->len; i++) {
		char c = in->ptr[i];

		if (c == '\\')
			i++;
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0) {
			*in = span_skip(*in, i + 1);
			return true;
		}
	}
	return false;
}

/* A control byte has no place in an address, a command line or a file name; a tab may separate words of a command. */
static enum alias_err put(struct buf *word, char c)
{
	if (ascii_iscntrl(c) && c != '\t')
		return ALIAS_CONTROL;
	return buf_addc(word, c) ? ALIAS_OK : ALIAS_TOO_LONG;
}

/* A quoted string, quotes removed, onto word; in starts at the opening quote. */
static enum alias_err read_quoted(struct span *in, struct buf *word)
{
	for (size_t i = 1; i < in->len; i++) {
		char c = in->ptr[i];
		enum alias_err err;

		if (c == '"') {
			*in = span_skip(*in, i + 1);
			return ALIAS_OK;
		}
		if (c == '\\' && ++i < in->len)
			c = in->ptr[i];
		err = put(word, c);
		if (err != ALIAS_OK)
			return err;
	}
	return ALIAS_UNCLOSED;
}

/* <user@domain>: its inside replaces what stood before it (a display name). */
static enum alias_err read_angle(struct span *in, struct buf *word)
{
	buf_reset(word);
	*in = span_skip(*in, 1);
	while (in->len > 0 && in->ptr[0] != '>') {
		enum alias_err err = in->ptr[0] == '"' ? read_quoted(in, word) : put(word, in->ptr[0]);

		if (err != ALIAS_OK)
			return err;
		if (in->len > 0 && in->ptr[0] != '>' && in->ptr[0] != '"')
			*in = span_skip(*in, 1);
	}
	if (in->len == 0)
		return ALIAS_UNCLOSED;
	*in = span_skip(*in, 1);
	return ALIAS_OK;
}

struct word_state {
	bool command; /* begins with an unquoted bar: blanks belong to it */
	bool quoted;  /* some of it was quoted: blanks inside are meant, and no <address> follows */
};

/* One word: adjacent quoted and unquoted runs. Unquoted, only a command goes past a blank. */
static enum alias_err read_word(struct span *in, struct buf *word, struct word_state *state)
{
	while (in->len > 0 && in->ptr[0] != ',' && (state->command || !ascii_isspace(in->ptr[0]))) {
		enum alias_err err;

		if (in->ptr[0] == '"') {
			state->quoted = true;
			err = read_quoted(in, word);
		} else if (in->ptr[0] == '<' && !state->command) {
			return word->len == 0 || state->quoted ? read_angle(in, word) : ALIAS_OK;
		} else {
			state->command |= word->len == 0 && in->ptr[0] == '|';
			err = put(word, in->ptr[0] == '\n' || in->ptr[0] == '\r' ? ' ' : in->ptr[0]);
			*in = span_skip(*in, 1);
		}
		if (err != ALIAS_OK)
			return err;
	}
	return ALIAS_OK;
}

enum { DISPLAY_NAME_MAX = 256 }; /* keeps the look-ahead of each item, and so the whole, linear */

/* Does `Full Name <' follow: words, then an angle, before the next comma? Then the words are a display name. */
static bool angle_follows(struct span in)
{
	bool quoted = false;

	in = span_head(in, DISPLAY_NAME_MAX);
	for (size_t i = 0; i < in.len; i++) {
		char c = in.ptr[i];

		if (c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && c == '<')
			return true;
		else if (!quoted && (c == ',' || c == '|' || c == '/' || c == ':' || c == '@'))
			return false;
	}
	return false;
}

static enum alias_err classify(struct span text, struct alias_item *item)
{
	item->kind = ALIAS_ADDRESS;
	if (span_starts(text, "|")) {
		item->kind = ALIAS_COMMAND;
		text = span_trim(span_skip(text, 1));
	} else if (span_starts(text, "/")) {
		item->kind = ALIAS_FILE;
	} else if (span_istarts(text, ":include:")) {
		item->kind = ALIAS_INCLUDE;
		text = span_trim(span_skip(text, strlen(":include:")));
	} else if (span_starts(text, "\\")) {
		item->kind = ALIAS_DIRECT;
		text = span_skip(text, 1);
	}
	item->text = text;
	return text.len > 0 ? ALIAS_OK : ALIAS_EMPTY;
}

static enum alias_err read_item(struct span *in, struct buf *word)
{
	struct word_state state = { false, false };
	enum alias_err err;

	if (in->ptr[0] != '|' && angle_follows(*in)) {
		while (in->ptr[0] != '<') {
			if (in->ptr[0] == '"') {
				err = read_quoted(in, word);
				if (err != ALIAS_OK)
					return err;
			} else {
				*in = span_skip(*in, in->ptr[0] == '\\' && in->len > 1 ? 2 : 1);
			}
			if (in->len == 0)
				return ALIAS_UNCLOSED;
		}
		return read_angle(in, word);
	}
	return read_word(in, word, &state);
}

enum alias_err alias_next(struct arena *a, struct span *list, struct alias_item *item_r)
{
	struct span in = *list;
	struct buf word;
	enum alias_err err = ALIAS_OK;

	buf_init(&word, ALIAS_ITEM_MAX);
	while (err == ALIAS_OK && in.len > 0 && (is_separator(in.ptr[0]) || in.ptr[0] == '(')) {
		if (in.ptr[0] == '(')
			err = skip_comment(&in) ? ALIAS_OK : ALIAS_UNCLOSED;
		else
			in = span_skip(in, 1);
	}
	if (err == ALIAS_OK)
		err = in.len == 0 ? ALIAS_END : read_item(&in, &word);
	if (err == ALIAS_OK)
		err = classify(arena_span(a, span_trim(buf_span(&word))), item_r);
	buf_free(&word);
	*list = err == ALIAS_OK ? in : span_skip(*list, list->len);
	return err;
}

bool alias_line(struct span *file, struct span *line_r)
{
	while (file->len > 0) {
		struct span line = span_trim(span_cut(file, '\n'));

		if (line.len > 0 && line.ptr[0] != '#') {
			*line_r = line;
			return true;
		}
	}
	return false;
}

/* --- aliases(5) files --------------------------------------------------------------------------------------------- */

static bool is_blank_or_comment(struct span line)
{
	return span_trim(line).len == 0 || line.ptr[0] == '#';
}

/* A name is all before its colon, quoted when it has a blank, colon or # itself. */
static bool split_entry(struct arena *a, struct span text, struct alias_entry *e)
{
	struct buf name;
	bool ok = false;

	buf_init(&name, ALIAS_ITEM_MAX);
	if (span_starts(text, "\"")) {
		ok = read_quoted(&text, &name) == ALIAS_OK;
		text = span_trim(text);
		ok = ok && span_starts(text, ":");
		text = span_skip(text, 1);
	} else if (span_chr(text, ':') >= 0) {
		struct span raw = span_trim(span_cut(&text, ':'));

		ok = buf_add_span(&name, raw);
		for (size_t i = 0; i < raw.len; i++)
			ok = ok && !is_separator(raw.ptr[i]) && !ascii_iscntrl(raw.ptr[i]);
	}
	e->value = span_trim(text);
	ok = ok && name.len > 0 && e->value.len > 0;
	e->name = ok ? arena_lower(a, buf_span(&name)) : SPAN_NONE;
	e->value = ok ? e->value : SPAN_NONE;
	buf_free(&name);
	return ok;
}

bool alias_entry_next(struct arena *a, struct span *file, int *line, struct alias_entry *e)
{
	struct buf text;
	struct span first = SPAN_NONE;

	do {
		if (file->len == 0)
			return false;
		first = span_cut(file, '\n');
		++*line;
	} while (is_blank_or_comment(first));
	e->line = *line;
	buf_init(&text, first.len + file->len + 1);
	buf_add_span(&text, span_trim(first));
	while (file->len > 0 && (ascii_isspace(file->ptr[0]) || file->ptr[0] == '#')) {
		struct span next = span_cut(file, '\n');

		++*line;
		if (!is_blank_or_comment(next)) {
			buf_addc(&text, ' ');
			buf_add_span(&text, span_trim(next));
		}
	}
	/* An entry that begins with a blank continues nothing: a mistake to report. */
	e->bad = !split_entry(a, arena_span(a, buf_span(&text)), e) || ascii_isspace(first.ptr[0]);
	buf_free(&text);
	return true;
}
