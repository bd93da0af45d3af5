/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bounce_template_file: texts of notices in place of ours. A section:
 *
 *	failure_template = <<END
 *	Charset: us-ascii
 *	From: MAILER-DAEMON (Mail Delivery System)
 *	Subject: Undelivered Mail
 *	Postmaster-Subject: Copy of a notice
 *	(empty line)
 *	text with $parameters of main.cf; $name_hours and the like: a time in this unit
 *	END
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounce/bounce.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/conf/expand.h"
#include "lib/proto/header.h"

enum { TEMPLATE_MAX = 256 * 1024, FIELD_MAX = 500 };

static struct arena arena;
static struct dsn_template templates[DSN_VERIFY + 1];

/* "delay_warning_time_hours" */
static bool time_value(struct arena *a, struct span name, struct span *value_r)
{
	static const struct {
		const char *suffix;
		int64_t ms;
	} units[] = {
		{ "_seconds", 1000 },
		{ "_minutes", 60000 },
		{ "_hours", 3600000 },
		{ "_days", 86400000 },
		{ "_weeks", 604800000 },
	};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		const char *text;
		int64_t ms;

		if (!span_ends(name, units[i].suffix))
			continue;
		text = conf_value(conf, a, arena_cstr(a, span_head(name, name.len - strlen(units[i].suffix))));
		if (text == NULL || !conf_parse_time_ms(span_cstr(text), span_istarts(name, "delay_") ? 'h' : 'd', &ms))
			return false;
		*value_r = span_cstr(arena_printf(a, "%lld", (long long)(ms / units[i].ms)));
		return true;
	}
	return false;
}

static bool look_up(struct expand *e, struct arena *a, struct span name, struct span *value_r)
{
	const char *text;

	(void)e;
	if (time_value(a, name, value_r))
		return true;
	text = conf_value(conf, a, arena_cstr(a, name));
	*value_r = span_cstr(text);
	return text != NULL;
}

static void read_section(struct dsn_template *t, struct span text)
{
	struct span head = span_head(text, header_size(text)), body = span_skip(text, head.len);
	struct expand e = { .lookup = look_up, .a = &arena };
	const char *expanded = expand_text(&e, body);

	t->charset = header_get(&arena, head, "Charset", FIELD_MAX);
	t->from = header_get(&arena, head, "From", FIELD_MAX);
	t->subject = header_get(&arena, head, "Subject", FIELD_MAX);
	t->postmaster_subject = header_get(&arena, head, "Postmaster-Subject", FIELD_MAX);
	if (expanded == NULL)
		log_warn("%s: a template is not used: %s", conf->bounce_template_file, e.error);
	t->body = span_cstr(expanded);
}

/* The lines up to one that is only the word behind <<. */
static bool take_section(struct span *rest, struct span word, struct span *text_r)
{
	const char *start = rest->ptr;

	while (rest->len > 0) {
		const char *line = rest->ptr;

		if (!span_eq(span_trim(span_cut(rest, '\n')), word))
			continue;
		*text_r = span_of(start, (size_t)(line - start));
		return true;
	}
	return false;
}

static struct dsn_template *named(struct span name)
{
	static const char *const names[] = { "failure_template", "delay_template", "success_template", "verify_template" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (span_is(name, names[i]))
			return &templates[i];
	return NULL;
}

static void read_all(struct span text)
{
	while (text.len > 0) {
		struct span line = span_trim(span_cut(&text, '\n')), name, section;
		struct dsn_template *t;

		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		name = span_trim(span_cut(&line, '='));
		line = span_trim(line);
		t = named(name);
		if (t == NULL || !span_starts(line, "<<") || !take_section(&text, span_trim(span_skip(line, 2)), &section)) {
			log_warn("%s: not a template: " SPAN_FMT, conf->bounce_template_file, SPAN_ARG(name));
			return;
		}
		read_section(t, section);
	}
}

void template_read(void)
{
	struct buf text;
	char piece[4096];
	size_t n;
	FILE *f;

	if (*conf->bounce_template_file == '\0')
		return;
	f = fopen(conf->bounce_template_file, "re");
	if (f == NULL) {
		log_warn("bounce_template_file: %s: %m; our own texts are used", conf->bounce_template_file);
		return;
	}
	buf_init(&text, TEMPLATE_MAX);
	while ((n = fread(piece, 1, sizeof piece, f)) > 0)
		buf_add(&text, piece, n);
	fclose(f);
	read_all(buf_span(&text));
	buf_free(&text);
}

const struct dsn_template *template_of(enum dsn_kind kind)
{
	return templates[kind].body.len > 0 ? &templates[kind] : NULL;
}
