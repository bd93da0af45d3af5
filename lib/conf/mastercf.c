/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/conf/mastercf.h"

#include <errno.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/conf/lines.h"
#include "lib/conf/raw.h"

enum { WORDS_MAX = 200 };

struct reader {
	struct arena *a;
	struct mastercf *out;
	struct buf *messages;
	const char *file;
	int line;
	bool ok;
};

static void complain(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void complain(struct reader *r, const char *fmt, ...)
{
	va_list ap;

	buf_addf(r->messages, "error: %s:%d: ", r->file, r->line);
	va_start(ap, fmt);
	buf_addv(r->messages, fmt, ap);
	va_end(ap);
	buf_addc(r->messages, '\n');
	r->ok = false;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The next word of *rest; { words } is one word, without its braces. */
static bool next_word(struct reader *r, struct span *rest, struct span *word_r)
{
	size_t depth = 0;

	while (rest->len > 0 && is_blank(rest->ptr[0]))
		*rest = span_skip(*rest, 1);
	if (rest->len == 0 || rest->ptr[0] != '{')
		return span_word(rest, " \t\r\n", word_r);
	for (size_t i = 0; i < rest->len; i++) {
		if (rest->ptr[i] == '{')
			depth++;
		if (rest->ptr[i] != '}' || --depth > 0)
			continue;
		*word_r = span_trim(span_of(rest->ptr + 1, i - 1));
		*rest = span_skip(*rest, i + 1);
		if (rest->len > 0 && !is_blank(rest->ptr[0]))
			break;
		return true;
	}
	complain(r, "a { has no matching } with a blank behind it");
	*rest = SPAN_NONE;
	return false;
}

static bool parse_type(struct reader *r, struct span word, enum mastercf_type *type_r)
{
	if (span_is(word, "inet"))
		*type_r = MASTERCF_INET;
	else if (span_is(word, "unix"))
		*type_r = MASTERCF_UNIX;
	else if (span_is(word, "unix-stream"))
		*type_r = MASTERCF_UNIX_STREAM;
	else
		complain(r, "unknown service type " SPAN_FMT ": inet, unix or unix-stream is expected", SPAN_ARG(word));
	return r->ok;
}

static bool parse_flag(struct reader *r, const char *column, struct span word, bool def)
{
	if (span_is(word, "-"))
		return def;
	if (!span_is(word, "y") && !span_is(word, "n"))
		complain(r, "%s is " SPAN_FMT ": y, n or - is expected", column, SPAN_ARG(word));
	return span_is(word, "y");
}

static int parse_count(struct reader *r, const char *column, struct span word, int def)
{
	uint64_t n = 0;

	if (span_is(word, "-"))
		return def;
	if (!span_u64(word, 1000000, &n))
		complain(r, "%s is " SPAN_FMT ": a number or - is expected", column, SPAN_ARG(word));
	return (int)n;
}

static void parse_columns(struct reader *r, struct mastercf_service *s, const struct span w[8])
{
	struct span wakeup = w[5];

	if (!parse_type(r, w[1], &s->type))
		return;
	if (s->type != MASTERCF_INET && span_chr(w[0], '/') >= 0)
		complain(r, "the name of a %s service has no /: " SPAN_FMT, mastercf_type_str(s->type), SPAN_ARG(w[0]));
	s->is_private = parse_flag(r, "the third column (private)", w[2], s->type != MASTERCF_INET);
	if (s->type == MASTERCF_INET && s->is_private)
		complain(r, "an inet service cannot be private: write n in the third column");
	s->unpriv = parse_flag(r, "the fourth column (unpriv)", w[3], true);
	s->chroot = parse_flag(r, "the fifth column (chroot)", w[4], false);
	s->wakeup_if_used = span_ends(wakeup, "?");
	if (s->wakeup_if_used)
		wakeup = span_head(wakeup, wakeup.len - 1);
	s->wakeup_s = parse_count(r, "the sixth column (wakeup)", wakeup, 0);
	s->maxproc = parse_count(r, "the seventh column (maxproc)", w[6], MASTERCF_MAXPROC_DEFAULT);
	s->program = arena_cstr(r->a, w[7]);
	if (span_chr(w[7], '/') >= 0)
		complain(r, "the program is a name in daemon_directory, without a /: " SPAN_FMT, SPAN_ARG(w[7]));
}

static void add_override(struct reader *r, struct mastercf_service *s, struct span text)
{
	struct span name, value;
	const char *wrong = raw_parse_assignment(text, &name, &value);

	if (wrong)
		complain(r, "-o " SPAN_FMT ": %s", SPAN_ARG(text), wrong);
	else
		s->overrides[s->noverrides++] =
		    arena_printf(r->a, SPAN_FMT "=" SPAN_FMT, SPAN_ARG(name), SPAN_ARG(value));
}

static void parse_args(struct reader *r, struct mastercf_service *s, struct span rest)
{
	struct span word;

	s->args = arena_array(r->a, WORDS_MAX, sizeof *s->args);
	s->overrides = arena_array(r->a, WORDS_MAX, sizeof *s->overrides);
	while (next_word(r, &rest, &word)) {
		if (s->nargs + s->noverrides >= WORDS_MAX) {
			complain(r, "more than %d arguments", WORDS_MAX);
			return;
		}
		if (!span_starts(word, "-o")) {
			s->args[s->nargs++] = arena_cstr(r->a, word);
			continue;
		}
		word = span_skip(word, 2);
		if (word.len == 0 && !next_word(r, &rest, &word)) {
			complain(r, "-o needs name=value after it");
			return;
		}
		add_override(r, s, word);
	}
}

static void check_duplicate(struct reader *r, const struct mastercf_service *s)
{
	for (size_t i = 0; i < r->out->count; i++) {
		const struct mastercf_service *other = &r->out->services[i];

		if (other->type == s->type && strcmp(other->name, s->name) == 0)
			complain(r, "service %s %s is there already, in line %d", s->name, mastercf_type_str(s->type),
				 other->line);
	}
}

static void parse_line(struct reader *r, struct span line)
{
	struct mastercf_service s = { .line = r->line }, *all;
	struct span w[8], rest = line;
	bool before = r->ok;

	r->ok = true;
	if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
		complain(r, "a line that begins with white space continues the one before, and there is none");
	else if (span_chr(line, '\0') >= 0)
		complain(r, "a NUL byte");
	for (size_t i = 0; r->ok && i < 8; i++)
		if (!next_word(r, &rest, &w[i]))
			complain(r,
				 "8 columns are expected (service type private unpriv chroot wakeup maxproc command), "
				 "there are %zu",
				 i);
	if (r->ok)
		parse_columns(r, &s, w);
	if (r->ok)
		parse_args(r, &s, rest);
	if (r->ok) {
		s.name = arena_cstr(r->a, w[0]);
		check_duplicate(r, &s);
		all = arena_array(r->a, r->out->count + 1, sizeof *all);
		if (r->out->count)
			memcpy(all, r->out->services, r->out->count * sizeof *all);
		all[r->out->count++] = s;
		r->out->services = all;
	}
	r->ok = r->ok && before;
}

bool mastercf_is_settled(const struct mastercf_service *s)
{
	return strcmp(s->program, "error") == 0 || strcmp(s->program, "discard") == 0;
}

const char *mastercf_type_str(enum mastercf_type type)
{
	return type == MASTERCF_INET ? "inet" : type == MASTERCF_UNIX ? "unix" : "unix-stream";
}

bool mastercf_parse(const char *file, struct span text, struct arena *a, struct mastercf *out, struct buf *messages)
{
	struct reader r = { .a = a, .out = out, .messages = messages, .file = file, .ok = true };
	struct lines l = lines_begin(text);
	struct buf line;

	*out = (struct mastercf){ NULL, 0 };
	buf_init(&line, LINES_LINE_MAX);
	while (lines_next(&l, &line, &r.line)) {
		if (line.overflow)
			complain(&r, "the line is longer than 1 MiB");
		else
			parse_line(&r, buf_span(&line));
	}
	buf_free(&line);
	return r.ok;
}

enum conf_status mastercf_load(const char *dir, struct arena *a, struct mastercf *out, struct buf *messages)
{
	const char *file = arena_printf(a, "%s/master.cf", dir);
	struct buf text;
	bool ok;

	buf_init(&text, LINES_FILE_MAX);
	ok = lines_read_file(file, &text) == 0;
	if (!ok)
		buf_addf(messages, "error: %s: %s\n", file, strerror(errno));
	else
		ok = mastercf_parse(file, buf_span(&text), a, out, messages);
	buf_free(&text);
	for (size_t i = 0; ok && i < out->count; i++)
		if (out->services[i].maxproc == MASTERCF_MAXPROC_DEFAULT)
			out->services[i].maxproc = conf ? (int)conf->default_process_limit : 100;
	return ok ? CONF_OK : CONF_ERROR;
}
