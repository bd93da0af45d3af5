/* SPDX-License-Identifier: BSD-2-Clause */
/* The services of master.cf: whole entries (-M), columns (-F), -o settings (-P). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/lines.h"
#include "lib/conf/mastercf.h"
#include "tools/postconf/postconf.h"

static const char *const columns[] = { "service", "type",   "private",       "unprivileged",
				       "chroot",  "wakeup", "process_limit", "command" };
enum { COMMAND = 7 };

/* service/type/name=value; parts that are not given, or `*', fit everything. */
struct target {
	struct span service, type, name, value;
	bool found;
};

static struct target parse_target(const char *text, bool with_value)
{
	struct target t = { 0 };
	struct span rest = span_cstr(text);

	if (with_value) {
		ptrdiff_t eq = span_chr(rest, '=');

		if (eq < 0)
			log_fatal("%s: service/type...=value is expected", text);
		t.value = span_trim(span_skip(rest, (size_t)eq + 1));
		rest = span_trim(span_head(rest, (size_t)eq));
	}
	t.service = span_cut(&rest, '/');
	/* 127.0.0.1:25/inet, but never a slash within a service's name */
	t.type = span_cut(&rest, '/');
	t.name = rest;
	return t;
}

static bool fits(struct span pattern, struct span text)
{
	return pattern.len == 0 || span_is(pattern, "*") || span_eq(pattern, text);
}

static bool fits_entry(const struct target *t, const struct entry *e)
{
	return fits(t->service, e->words[0]) && fits(t->type, e->words[1]);
}

static size_t column_of(struct span name)
{
	for (size_t i = 0; i <= COMMAND; i++)
		if (span_is(name, columns[i]))
			return i;
	return COMMAND + 1;
}

/* Program and arguments in one line. */
static struct span command_of(struct arena *a, const struct entry *e)
{
	struct buf out;
	struct span s;

	buf_init(&out, LINES_LINE_MAX);
	for (size_t i = COMMAND; i < e->n; i++)
		buf_addf(&out, "%s" SPAN_FMT, i > COMMAND ? " " : "", SPAN_ARG(e->words[i]));
	s = arena_span(a, buf_span(&out));
	buf_free(&out);
	return s;
}

/* --- listing ------------------------------------------------------------------------------------------------------ */

struct listing {
	const struct options *o;
	struct target *targets;
	size_t n;
};

static void list_fields(const struct listing *l, const struct target *t, const struct entry *e)
{
	struct arena a = ARENA_INIT;

	for (size_t i = 0; i <= COMMAND; i++) {
		const char *name = arena_printf(&a, SPAN_FMT "/" SPAN_FMT "/%s", SPAN_ARG(e->words[0]),
						SPAN_ARG(e->words[1]), columns[i]);

		if (fits(t->name, span_cstr(columns[i])))
			print_setting(l->o, name, i == COMMAND ? command_of(&a, e) : e->words[i]);
	}
	arena_free(&a);
}

static void list_overrides(const struct listing *l, const struct target *t, const struct entry *e)
{
	struct arena a = ARENA_INIT;

	for (size_t i = COMMAND + 1; i + 1 < e->n; i++) {
		struct span text = e->words[i + 1], name, value;

		if (!span_is(e->words[i], "-o"))
			continue;
		if (span_starts(text, "{") && span_ends(text, "}"))
			text = span_trim(span_of(text.ptr + 1, text.len - 2));
		if (raw_parse_assignment(text, &name, &value) == NULL && fits(t->name, name))
			print_setting(l->o,
				      arena_printf(&a, SPAN_FMT "/" SPAN_FMT "/" SPAN_FMT, SPAN_ARG(e->words[0]),
						   SPAN_ARG(e->words[1]), SPAN_ARG(name)),
				      value);
	}
	arena_free(&a);
}

static bool list_entry(void *ctx, struct entry *e, struct span lines, struct buf *out)
{
	struct listing *l = ctx;
	struct buf text;

	(void)lines;
	(void)out;
	buf_init(&text, LINES_LINE_MAX);
	for (size_t i = 0; i < l->n; i++) {
		if (!fits_entry(&l->targets[i], e))
			continue;
		l->targets[i].found = true;
		if (l->o->mode == MODE_FIELDS)
			list_fields(l, &l->targets[i], e);
		else if (l->o->mode == MODE_OVERRIDES)
			list_overrides(l, &l->targets[i], e);
		else
			entry_print(e, &text);
	}
	fwrite(text.ptr ? text.ptr : "", 1, text.len, stdout);
	buf_free(&text);
	return false;
}

static int missing(const struct target *targets, size_t n, char **texts)
{
	int status = 0;

	for (size_t i = 0; i < n; i++) {
		if (targets[i].found)
			continue;
		log_warn("unmatched request: \"%s\"", texts[i]);
		status = 1;
	}
	return status;
}

int list_services(const struct options *o, char **patterns, size_t n)
{
	struct arena a = ARENA_INIT;
	struct target everything = { .found = true }, *targets = mem_zalloc((n + 1) * sizeof *targets);
	struct listing l = { .o = o, .targets = n ? targets : &everything, .n = n ? n : 1 };
	struct buf text, ignored;
	int status;

	for (size_t i = 0; i < n; i++)
		targets[i] = parse_target(patterns[i], false);
	read_or_die(arena_printf(&a, "%s/master.cf", o->dir), &text);
	buf_init(&ignored, LINES_FILE_MAX);
	edit_mastercf(buf_span(&text), list_entry, &l, &ignored);
	status = missing(targets, n, patterns);
	buf_free(&text);
	buf_free(&ignored);
	free(targets);
	arena_free(&a);
	return status;
}

/* --- changing ----------------------------------------------------------------------------------------------------- */

struct change {
	const struct options *o;
	struct target *t;
	struct arena a;
};

static void comment_lines(struct span lines, struct buf *out)
{
	while (lines.len > 0) {
		struct span line = span_cut(&lines, '\n');

		if (!span_starts(line, "#"))
			buf_addc(out, '#');
		buf_add_span(out, line);
		buf_addc(out, '\n');
	}
}

/* Words of text in place of those from `from' on. */
static void replace_words(struct change *c, struct entry *e, size_t from, struct span text)
{
	struct entry *whole = arena_alloc(&c->a, sizeof *whole);
	const char *padded = arena_printf(&c->a, "x x x x x x x " SPAN_FMT, SPAN_ARG(text));

	if (!entry_parse(span_cstr(padded), whole))
		log_fatal("no words, or too many: " SPAN_FMT, SPAN_ARG(text));
	e->n = from;
	for (size_t i = COMMAND; i < whole->n && e->n < ENTRY_WORDS_MAX; i++)
		e->words[e->n++] = whole->words[i];
}

static void set_field(struct change *c, struct entry *e)
{
	size_t at = column_of(c->t->name);

	if (at > COMMAND || c->t->value.len == 0)
		log_fatal("service/type/column=value is expected: there is no column " SPAN_FMT, SPAN_ARG(c->t->name));
	if (at == COMMAND)
		replace_words(c, e, COMMAND, c->t->value);
	else
		e->words[at] = c->t->value;
}

static void remove_words(struct entry *e, size_t from, size_t n)
{
	memmove(&e->words[from], &e->words[from + n], (e->n - from - n) * sizeof e->words[0]);
	e->n -= n;
}

static void set_override(struct change *c, struct entry *e)
{
	struct span old;
	size_t at;
	const char *text = arena_printf(&c->a, SPAN_FMT "=" SPAN_FMT, SPAN_ARG(c->t->name), SPAN_ARG(c->t->value));

	if (c->t->name.len == 0 || e->n + 2 > ENTRY_WORDS_MAX)
		log_fatal("service/type/parameter=value is expected");
	if (strpbrk(text, " \t{}"))
		text =
		    arena_printf(&c->a, "{ " SPAN_FMT " = " SPAN_FMT " }", SPAN_ARG(c->t->name), SPAN_ARG(c->t->value));
	at = entry_override(e, c->t->name, &old);
	if (at == 0) {
		e->words[e->n++] = SPAN("-o");
		at = e->n++;
	}
	e->words[at] = span_cstr(text);
}

static bool change_entry(void *ctx, struct entry *e, struct span lines, struct buf *out)
{
	struct change *c = ctx;
	bool whole = c->o->mode == MODE_ENTRIES;
	struct span old;
	size_t at;

	if (!fits_entry(c->t, e))
		return false;
	if (whole && c->o->how == EDIT_COMMENT)
		comment_lines(lines, out);
	else if (whole && c->o->how == EDIT_SET && !c->t->found)
		replace_words(c, e, 0, c->t->value);
	else if (c->o->mode == MODE_FIELDS)
		set_field(c, e);
	else if (c->o->mode == MODE_OVERRIDES && c->o->how == EDIT_SET)
		set_override(c, e);
	else if (c->o->mode == MODE_OVERRIDES)
		while ((at = entry_override(e, c->t->name, &old)) > 0)
			remove_words(e, at - 1, 2);
	if (!whole || (c->o->how == EDIT_SET && !c->t->found)) {
		if (e->n <= COMMAND)
			log_fatal("an entry of master.cf has 8 columns: " SPAN_FMT, SPAN_ARG(c->t->value));
		entry_print(e, out);
	}
	c->t->found = true;
	return true;
}

/* -M -e service/type=entry for a service that is not there. */
static void add_service(struct change *c, struct buf *out)
{
	struct entry *e = arena_alloc(&c->a, sizeof *e);

	if (!entry_parse(c->t->value, e))
		log_fatal("an entry of master.cf has 8 columns: " SPAN_FMT, SPAN_ARG(c->t->value));
	entry_print(e, out);
	c->t->found = true;
}

static void edit_once(struct change *c, struct buf *text)
{
	struct buf out;

	buf_init(&out, LINES_FILE_MAX);
	edit_mastercf(buf_span(text), change_entry, c, &out);
	if (!c->t->found && c->o->mode == MODE_ENTRIES && c->o->how == EDIT_SET)
		add_service(c, &out);
	if (out.overflow)
		log_fatal("master.cf would be too large");
	buf_free(text);
	*text = out;
}

static void check(const char *path, struct span text)
{
	struct arena a = ARENA_INIT;
	struct mastercf m;
	struct buf messages;
	struct span rest, line;

	buf_init(&messages, LINES_FILE_MAX);
	(void)!mastercf_parse(path, text, &a, &m, &messages);
	rest = buf_span(&messages);
	while (span_word(&rest, "\n", &line)) {
		(void)span_cut(&line, ' ');
		log_warn(SPAN_FMT, SPAN_ARG(line));
	}
	buf_free(&messages);
	arena_free(&a);
}

int edit_services(const struct options *o, char **args, size_t n)
{
	struct change c = { .o = o };
	const char *path = arena_printf(&c.a, "%s/master.cf", o->dir);
	struct target *targets = mem_zalloc(n * sizeof *targets);
	struct buf text;
	int status;

	if ((o->mode == MODE_FIELDS && o->how != EDIT_SET) || (o->mode == MODE_OVERRIDES && o->how == EDIT_COMMENT))
		log_fatal("columns can only be set, -o settings set or removed");
	read_or_die(path, &text);
	for (size_t i = 0; i < n; i++) {
		targets[i] = parse_target(args[i], o->how == EDIT_SET);
		c.t = &targets[i];
		edit_once(&c, &text);
	}
	status = missing(targets, n, args);
	if (status == 0) {
		check(path, buf_span(&text));
		write_or_die(path, buf_span(&text));
	}
	buf_free(&text);
	free(targets);
	arena_free(&c.a);
	return status;
}
