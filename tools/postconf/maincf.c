/* SPDX-License-Identifier: BSD-2-Clause */
/* The parameters of main.cf. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/lines.h"
#include "tools/postconf/postconf.h"

/* The messages of lib/conf as warnings: who edits a configuration has to be able to look at a wrong one. */
static void print_messages(struct buf *messages)
{
	struct span rest = buf_span(messages), line;

	while (span_word(&rest, "\n", &line)) {
		(void)span_cut(&line, ' ');
		log_warn(SPAN_FMT, SPAN_ARG(line));
	}
	buf_free(messages);
}

static void apply_overrides(struct conf_raw *raw, const struct options *o)
{
	for (size_t i = 0; i < o->noverrides; i++) {
		struct span name, value;
		const char *wrong = raw_parse_assignment(span_cstr(o->overrides[i]), &name, &value);

		if (wrong)
			log_fatal("-o %s: %s", o->overrides[i], wrong);
		raw_set(raw, name, value, "-o");
	}
}

static struct conf_raw *load(const struct options *o, bool complain)
{
	struct conf_raw *raw = raw_new(o->dir);
	struct buf text, messages;

	buf_init(&messages, LINES_FILE_MAX);
	if (!o->defaults) {
		read_or_die(raw->file, &text);
		raw_parse_text(raw, buf_span(&text), &messages);
		buf_free(&text);
	}
	apply_overrides(raw, o);
	raw_derive(raw, &messages);
	if (!o->defaults)
		raw_check_names(raw, &messages);
	if (!complain)
		buf_reset(&messages);
	print_messages(&messages);
	return raw;
}

static bool print_entry(const struct options *o, struct conf_raw *raw, const struct conf_entry *e)
{
	const char *shown = o->set_only ? e->written : e->value, *value = shown, *error;

	if (o->expand) {
		value = raw_value(raw, &raw->arena, span_cstr(e->name), &error, NULL);
		if (value == NULL)
			log_warn("%s: %s", e->name, error);
	}
	print_setting(o, e->name, span_cstr(value ? value : shown));
	return value != NULL;
}

static int by_name(const void *a, const void *b)
{
	const struct conf_entry *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int list_all(const struct options *o, struct conf_raw *raw)
{
	bool ok = true;

	qsort(raw->entries, raw->count, sizeof(*raw->entries), by_name);
	for (size_t i = 0; i < raw->count; i++) {
		const struct conf_entry *e = raw->entries[i];

		if (!o->set_only || e->where)
			ok = print_entry(o, raw, e) && ok;
	}
	return ok ? 0 : 1;
}

int list_parameters(const struct options *o, char **names, size_t n)
{
	struct conf_raw *raw = load(o, n == 0);
	int status = 0;

	if (n == 0)
		status = list_all(o, raw);
	for (size_t i = 0; i < n; i++) {
		const struct conf_entry *e = raw_get(raw, span_cstr(names[i]));
		const char *near = e ? NULL : conf_nearest(names[i]);

		if (e == NULL && conf_is_foreign(span_cstr(names[i])))
			log_warn("%s: known to Postfix but not used by Posthouse yet", names[i]);
		else if (e == NULL)
			log_warn("%s: unknown parameter%s%s%s", names[i], near ? "; did you mean " : "",
				 near ? near : "", near ? "?" : "");
		if (e == NULL || (!(o->set_only && !e->where) && !print_entry(o, raw, e)))
			status = 1;
	}
	raw_free(raw);
	return status;
}

/* --- -e, -X, -# --------------------------------------------------------------------------------------------------- */

static struct edit *parse_edits(const struct options *o, char **args, size_t n)
{
	struct edit *edits = mem_realloc_array(NULL, n, sizeof *edits);

	for (size_t i = 0; i < n; i++) {
		const char *wrong = NULL;

		edits[i] = (struct edit){ span_trim(span_cstr(args[i])), SPAN_NONE };
		if (o->how == EDIT_SET)
			wrong = raw_parse_assignment(span_trim(span_cstr(args[i])), &edits[i].name, &edits[i].value);
		else if (strchr(args[i], '='))
			wrong = "a name without = is expected";
		if (wrong)
			log_fatal("%s: %s", args[i], wrong);
	}
	return edits;
}

/* What lib/conf will say about the new text. */
static void check(const struct options *o, struct span text)
{
	struct conf_raw *raw = raw_new(o->dir);
	struct buf messages;

	buf_init(&messages, LINES_FILE_MAX);
	if (raw_parse_text(raw, text, &messages))
		(void)raw_check_names(raw, &messages);
	print_messages(&messages);
	raw_free(raw);
}

int edit_parameters(const struct options *o, char **args, size_t n)
{
	struct arena a = ARENA_INIT;
	const char *path = arena_printf(&a, "%s/main.cf", o->dir);
	struct edit *edits = parse_edits(o, args, n);
	struct buf text, changed;

	read_or_die(path, &text);
	buf_init(&changed, LINES_FILE_MAX);
	edit_maincf(buf_span(&text), o->how, edits, n, &changed);
	if (changed.overflow)
		log_fatal("%s would be too large", path);
	check(o, buf_span(&changed));
	write_or_die(path, buf_span(&changed));
	buf_free(&text);
	buf_free(&changed);
	free(edits);
	arena_free(&a);
	return 0;
}
