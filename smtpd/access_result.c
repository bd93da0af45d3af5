/* SPDX-License-Identifier: BSD-2-Clause */
/* What the right side of an access(5) table means, and the answer of a policy service, which has the same language. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "smtpd/restrict.h"

struct result {
	const char *origin; /* the table, for log lines */
	struct span key, name;
	const char *what;
	struct span text;   /* what follows the word */
};

/* x.1.y speaks of an address: of the sender's or of a recipient's, and the same list may look at either. */
static const char *fit_dsn(struct check *c, const char *dsn, const char *what)
{
	static const struct {
		const char *detail, *sender, *recipient;
	} table[] = {
		{ "1.0", "1.0", "1.0" }, { "1.1", "1.7", "1.1" }, { "1.2", "1.8", "1.2" }, { "1.3", "1.7", "1.3" },
		{ "1.4", "1.7", "1.4" }, { "1.5", "1.0", "1.5" }, { "1.6", "1.7", "1.6" }, { "1.7", "1.7", "1.3" },
		{ "1.8", "1.8", "1.2" },
	};
	bool sender = strcmp(what, "Sender address") == 0, recipient = strcmp(what, "Recipient address") == 0;

	if (strncmp(dsn + 2, "1.", 2) != 0)
		return dsn;
	for (size_t i = 0; i < sizeof table / sizeof *table && (sender || recipient); i++)
		if (strcmp(dsn + 2, table[i].detail) == 0)
			return arena_printf(&c->s->cmd, "%c.%s", dsn[0], sender ? table[i].sender : table[i].recipient);
	return arena_printf(&c->s->cmd, "%c.%s", dsn[0], sender || recipient ? "1.0" : "0.0");
}

/* "5.7.1 go away" or "go away": the enhanced code is the one given, or else the usual one. Its class follows the reply code. */
static const char *take_dsn(struct check *c, struct result *r, const char *usual)
{
	struct span rest = r->text, word;

	if (!span_word(&rest, " \t", &word) || !verdict_dsn_valid(word))
		return usual;
	r->text = span_trim(rest);
	return fit_dsn(c, arena_cstr(&c->s->cmd, word), r->what);
}

static enum decision say_no(struct check *c, struct result r, int code, const char *dsn, const char *usual_text)
{
	dsn = take_dsn(c, &r, dsn);
	if (r.text.len == 0)
		r.text = span_cstr(usual_text);
	return refuse(c, code, dsn, "<" SPAN_FMT ">: %s rejected: " SPAN_FMT, SPAN_ARG(r.name), r.what, SPAN_ARG(r.text));
}

static enum decision result_reject(struct check *c, struct result r)
{
	return say_no(c, r, (int)conf->access_map_reject_code, "5.7.1", "Access denied");
}

static enum decision result_defer(struct check *c, struct result r)
{
	return say_no(c, r, (int)conf->access_map_defer_code, "4.7.1", "Access denied");
}

static enum decision result_defer_if_permit(struct check *c, struct result r)
{
	const char *dsn = take_dsn(c, &r, "4.7.1");

	if (r.text.len == 0)
		r.text = SPAN("Service unavailable");
	return put_off(c, "defer_if_permit", (int)conf->access_map_defer_code, dsn, "<" SPAN_FMT ">: %s rejected: " SPAN_FMT,
		       SPAN_ARG(r.name), r.what, SPAN_ARG(r.text));
}

static enum decision result_defer_if_reject(struct check *c, struct result r)
{
	const char *dsn = take_dsn(c, &r, "4.7.1");

	if (r.text.len == 0)
		r.text = SPAN("Service unavailable");
	return put_off_if_reject(c, (int)conf->access_map_defer_code, dsn, "<" SPAN_FMT ">: %s rejected: " SPAN_FMT,
				 SPAN_ARG(r.name), r.what, SPAN_ARG(r.text));
}

static void note(struct check *c, const struct result *r, const char *decision, const char *usual)
{
	struct span text = r->text.len ? r->text : span_cstr(usual);

	log_decision(c, decision,
		     arena_printf(&c->s->cmd, "<" SPAN_FMT ">: %s%s" SPAN_FMT, SPAN_ARG(r->name), r->what, text.len ? " " : "",
				  SPAN_ARG(text)));
}

static enum decision result_warn(struct check *c, struct result r)
{
	note(c, &r, "warn", "");
	return NEXT;
}

static enum decision result_info(struct check *c, struct result r)
{
	note(c, &r, "info", "");
	return NEXT;
}

static enum decision result_hold(struct check *c, struct result r)
{
	note(c, &r, "hold", "triggers HOLD action");
	c->s->txn.actions.hold = true;
	return NEXT;
}

static enum decision result_discard(struct check *c, struct result r)
{
	note(c, &r, "discard", "triggers DISCARD action");
	c->s->txn.actions.discard = true;
	return PERMIT;
}

static bool is_target(struct span text)
{
	ptrdiff_t at = span_rchr(text, '@');

	return at > 0 && (size_t)at + 1 < text.len && span_chr(text, ' ') < 0;
}

/* Once the content is being written, the recipients are settled. */
static bool too_late(struct check *c, const struct result *r, const char *action)
{
	if (c->stage != ACCESS_END_OF_DATA)
		return false;
	log_warn("access table %s: action %s must be used before END-OF-MESSAGE", r->origin, action);
	return true;
}

static enum decision result_redirect(struct check *c, struct result r)
{
	if (!is_target(r.text)) {
		log_warn("access table %s entry \"" SPAN_FMT "\" requires user@domain target", r.origin, SPAN_ARG(r.key));
		return refuse_config(c);
	}
	if (too_late(c, &r, "REDIRECT"))
		return NEXT;
	log_decision(c, "redirect",
		     arena_printf(&c->s->cmd, "<" SPAN_FMT ">: %s triggers REDIRECT " SPAN_FMT, SPAN_ARG(r.name),
				  r.what, SPAN_ARG(r.text)));
	c->s->txn.actions.redirect = arena_span(&c->s->txn.arena, r.text);
	return NEXT;
}

static void append(struct arena *a, struct span *list, struct span text)
{
	*list = list->len ? span_cstr(arena_printf(a, SPAN_FMT "\n" SPAN_FMT, SPAN_ARG(*list), SPAN_ARG(text)))
			  : arena_span(a, text);
}

static enum decision result_bcc(struct check *c, struct result r)
{
	if (!is_target(r.text)) {
		log_warn("access table %s entry \"" SPAN_FMT "\" requires user@domain target", r.origin, SPAN_ARG(r.key));
		return refuse_config(c);
	}
	if (too_late(c, &r, "BCC"))
		return NEXT;
	log_decision(c, "bcc", arena_printf(&c->s->cmd, "<" SPAN_FMT ">: %s triggers BCC " SPAN_FMT, SPAN_ARG(r.name), r.what,
					    SPAN_ARG(r.text)));
	append(&c->s->txn.arena, &c->s->txn.actions.bcc, r.text);
	return NEXT;
}

static enum decision result_prepend(struct check *c, struct result r)
{
	ptrdiff_t colon = span_chr(r.text, ':');

	if (colon <= 0 || span_chr(span_head(r.text, (size_t)colon), ' ') >= 0) {
		log_warn("access table %s entry \"" SPAN_FMT "\" requires header: text", r.origin, SPAN_ARG(r.key));
		return refuse_config(c);
	}
	if (too_late(c, &r, "PREPEND"))
		return NEXT;
	append(&c->s->txn.arena, &c->s->txn.actions.prepend, r.text);
	return NEXT;
}

static enum decision result_filter(struct check *c, struct result r)
{
	log_error("access table %s entry \"" SPAN_FMT "\": FILTER is not supported", r.origin, SPAN_ARG(r.key));
	return refuse_config(c);
}

static enum decision result_ok(struct check *c, struct result r)
{
	(void)c;
	(void)r;
	return PERMIT;
}

static enum decision result_dunno(struct check *c, struct result r)
{
	(void)c;
	(void)r;
	return NEXT;
}

static const struct {
	const char *word;
	enum decision (*apply)(struct check *c, struct result r);
} results[] = {
	{ "OK", result_ok },
	{ "DUNNO", result_dunno },
	{ "REJECT", result_reject },
	{ "DEFER", result_defer },
	{ "DEFER_IF_PERMIT", result_defer_if_permit },
	{ "DEFER_IF_REJECT", result_defer_if_reject },
	{ "WARN", result_warn },
	{ "INFO", result_info },
	{ "HOLD", result_hold },
	{ "DISCARD", result_discard },
	{ "REDIRECT", result_redirect },
	{ "BCC", result_bcc },
	{ "PREPEND", result_prepend },
	{ "FILTER", result_filter },
};

static bool all_digits(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_isdigit(s.ptr[i]))
			return false;
	return s.len > 0;
}

enum decision apply_result(struct check *c, const char *origin, struct span key, struct span value, struct span name,
			   const char *what)
{
	struct span rest = span_trim(value), word;
	struct result r = { origin, key, name, what, SPAN_NONE };
	uint64_t code;

	value = rest;
	if (!span_word(&rest, " \t\r\n", &word)) {
		log_warn("access table %s entry \"" SPAN_FMT "\" has empty value", origin, SPAN_ARG(key));
		return PERMIT;
	}
	r.text = span_trim(rest);
	if (word.len == 3 && span_u64(word, 599, &code) && code >= 400)
		return say_no(c, r, (int)code, code >= 500 ? "5.7.1" : "4.7.1", "Access denied");
	if (all_digits(value)) /* made by programs that only know addresses */
		return PERMIT;
	for (size_t i = 0; i < sizeof results / sizeof *results; i++)
		if (span_iis(word, results[i].word))
			return results[i].apply(c, r);
	return run_text(c, value);
}
