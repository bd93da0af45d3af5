/* SPDX-License-Identifier: BSD-2-Clause */
/* Which names main.cf may set: known ones, and what the administrator uses as $name or as a restriction class. */
#include <string.h>

#include "lib/base/htab.h"
#include "lib/conf/lines.h"
#include "lib/conf/raw.h"

static void add_used(struct htab *used, struct span name)
{
	static char yes;

	if (name.len > 0)
		htab_put(used, name, &yes);
}

/* Every $name, ${name and $(name in text. */
static void collect_used(struct htab *used, struct span text)
{
	struct span s = text;

	for (;;) {
		ptrdiff_t at = span_chr(s, '$');
		size_t n = 0;

		if (at < 0)
			return;
		s = span_skip(s, (size_t)at + 1);
		while (s.len > 0 && strchr("{( ", s.ptr[0]) != NULL)
			s = span_skip(s, 1);
		while (n < s.len && (ascii_isalnum(s.ptr[n]) || s.ptr[n] == '_'))
			n++;
		add_used(used, span_head(s, n));
	}
}

static void collect_words(struct htab *used, const struct conf_raw *raw, const char *list_name)
{
	const struct conf_entry *e = raw_get(raw, span_cstr(list_name));
	struct span rest = span_cstr(e ? e->value : ""), word;

	while (span_word(&rest, ", \t\r\n", &word))
		add_used(used, word);
}

/* $name in the -o options of master.cf counts as well: there is nothing else to find in it with a dollar. */
static void collect_mastercf(struct htab *used, const struct conf_raw *raw)
{
	struct arena tmp = ARENA_INIT;
	struct buf text;

	buf_init(&text, LINES_FILE_MAX);
	if (lines_read_file(arena_printf(&tmp, "%s/master.cf", raw->dir), &text) == 0)
		collect_used(used, buf_span(&text));
	buf_free(&text);
	arena_free(&tmp);
}

static bool is_known(const struct htab *used, const struct conf_entry *e)
{
	struct span name = span_cstr(e->name);

	return e->param || conf_transport_suffix(name) || htab_get(used, name);
}

static bool check_entry(const struct htab *used, const struct conf_entry *e, struct buf *messages)
{
	const char *near;

	if (e->where == NULL || is_known(used, e))
		return true;
	if (conf_is_foreign(span_cstr(e->name))) {
		buf_addf(messages, "warning: %s: parameter %s is known to Postfix but not used by Posthouse yet\n",
			 e->where, e->name);
		return true;
	}
	near = conf_nearest(e->name);
	buf_addf(messages, "error: %s: unknown parameter %s%s%s%s\n", e->where, e->name, near ? "; did you mean " : "",
		 near ? near : "", near ? "?" : "");
	return false;
}

bool raw_check_names(struct conf_raw *raw, struct buf *messages)
{
	struct htab used = HTAB_INIT;
	bool ok = true;

	for (size_t i = 0; i < raw->count; i++)
		collect_used(&used, span_cstr(raw->entries[i]->value));
	collect_words(&used, raw, "smtpd_restriction_classes");
	collect_mastercf(&used, raw);
	for (size_t i = 0; i < raw->count; i++)
		ok = check_entry(&used, raw->entries[i], messages) && ok;
	htab_free(&used);
	return ok;
}
