/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtpd/footer.h"

#include <string.h>

#include "lib/base/log.h"
#include "lib/base/verdict.h"
#include "lib/conf/conf.h"
#include "lib/conf/expand.h"
#include "lib/map/map.h"
#include "smtpd/attribute.h"

enum { REPLY_LINES_MAX = 4096 };

const char *footer_for(struct smtpd_session *s, const char *reply)
{
	struct span value;

	if (reply[0] != '4' && reply[0] != '5')
		return NULL;
	if (*conf->smtpd_reject_footer_maps &&
	    map_list_get(map_list_open(conf->smtpd_reject_footer_maps), &s->cmd, span_cstr(reply), &value) == MAP_OK)
		return arena_cstr(&s->cmd, value);
	return *conf->smtpd_reject_footer ? conf->smtpd_reject_footer : NULL;
}

/* A name that nobody knows is nothing, as in Postfix; main.cf's parameters are not for strangers. */
static bool session_name(struct expand *e, struct arena *a, struct span name, struct span *value_r)
{
	if (attribute_find(e->ctx, a, name, value_r))
		return true;
	log_warn("unknown macro name \"" SPAN_FMT "\" in expansion request", SPAN_ARG(name));
	return false;
}

/* False: it was the last one. */
static bool cut_line(struct span *rest, struct span *line_r)
{
	struct span line = *rest;

	*line_r = line;

	for (size_t i = 0; i + 1 < line.len; i++) {
		if (line.ptr[i] != '\\' || line.ptr[i + 1] != 'n')
			continue;
		*rest = span_skip(line, i + 2);
		*line_r = span_head(line, i);
		return true;
	}
	return false;
}

/* The code again, and the enhanced code where the reply has one: "550 5.1.1 ". */
static void put_codes(struct buf *b, struct span reply, bool last)
{
	struct span rest = span_skip(reply, 4), dsn;

	buf_addf(b, "\r\n" SPAN_FMT "%c", SPAN_ARG(span_head(reply, 3)), last ? ' ' : '-');
	if (span_word(&rest, " ", &dsn) && verdict_dsn_valid(dsn))
		buf_addf(b, SPAN_FMT " ", SPAN_ARG(dsn));
}

static bool put_lines(struct smtpd_session *s, struct buf *b, struct span template, struct span reply)
{
	struct expand e = { .lookup = session_name, .ctx = s, .a = &s->cmd };
	bool joined = span_starts(template, "\\c"), more = true;
	struct span line;

	if (joined)
		template = span_skip(template, 2);
	while (more) {
		const char *text;

		more = cut_line(&template, &line);
		text = expand_text(&e, line);
		if (text == NULL) {
			log_warn("smtpd_reject_footer: %s", e.error);
			return false;
		}
		if (!joined) {
			put_codes(b, reply, !more);
			b->ptr[3] = '-';
		}
		buf_adds(b, text);
		joined = false;
	}
	return !b->overflow;
}

const char *footer_add(struct smtpd_session *s, const char *template, const char *reply)
{
	const char *text = reply;
	struct buf b;

	buf_init(&b, REPLY_LINES_MAX);
	buf_adds(&b, reply);
	if (put_lines(s, &b, span_cstr(template), span_cstr(reply)))
		text = arena_strdup(&s->cmd, buf_cstr(&b));
	buf_free(&b);
	return text;
}
