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
	struct span word, text; /* the action, and what follows it */
};

/* x.1.y speaks of an address: of the sender's or of a recipient's, and the same list may look at either. */
const char *fit_dsn(struct check *c, const char *dsn, const char *what)
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

static enum decision result_warn(struct check *c, struct result r)
{
	log_decision(c, "warn", arena_cstr(&c->s->cmd, r.text));
	return NEXT;
}

static enum decision result_info(struct check *c, struct result r)
{
	log_decision(c, "info", arena_cstr(&c->s->cmd, r.text));
	return NEXT;
}

/* "<name>: Sender address triggers HOLD action", or the text of the table in place of the last words. */
static void note(struct check *c, const struct result *r, const char *decision, const char *usual)
{
	struct span text = r->text.len ? r->text : span_cstr(usual);

	log_decision(c, decision,
		     arena_printf(&c->s->cmd, "<" SPAN_FMT ">: %s " SPAN_FMT, SPAN_ARG(r->name), r->what, SPAN_ARG(text)));
}

/* The same for an action that has a target. */
static void note_target(struct check *c, const struct result *r, const char *decision, const char *action)
{
	log_decision(c, decision, arena_printf(&c->s->cmd, "<" SPAN_FMT ">: %s triggers %s " SPAN_FMT, SPAN_ARG(r->name), r->what,
					       action, SPAN_ARG(r->text)));
}

/* Is there a message that something can be done with? Not in ETRN, and not before MAIL when smtpd_delay_reject is off. */
static bool has_message(const struct check *c, const struct result *r, const char *action)
{
	if (c->s->txn.have_sender && c->stage != ACCESS_ETRN)
		return true;
	log_warn("access table %s: action %s is skipped: there is no message in %s", r->origin, action, c->where);
	return false;
}

static enum decision result_ok(struct check *c, struct result r)
{
	return permit_by(c, r.word, r.what, r.name, r.origin);
}

static enum decision result_hold(struct check *c, struct result r)
{
	if (!has_message(c, &r, "HOLD") || c->s->txn.actions.hold)
		return NEXT;
	note(c, &r, "hold", "triggers HOLD action");
	c->s->txn.actions.hold = true;
	c->s->txn.actions.changes++;
	return NEXT;
}

static enum decision result_discard(struct check *c, struct result r)
{
	if (!has_message(c, &r, "DISCARD"))
		return NEXT;
	note(c, &r, "discard", "triggers DISCARD action");
	c->s->txn.actions.discard = true;
	return result_ok(c, r);
}

/* An action that makes no sense is one of the administrator's typing errors: the message goes its way, and the log says so. */
static enum decision useless(const struct result *r, const char *needs)
{
	log_warn("access table %s entry \"" SPAN_FMT "\" requires %s", r->origin, SPAN_ARG(r->key), needs);
	return NEXT;
}

static enum decision result_redirect(struct check *c, struct result r)
{
	if (!has_message(c, &r, "REDIRECT"))
		return NEXT;
	if (span_chr(r.text, '@') < 0)
		return useless(&r, "user@domain target");
	note_target(c, &r, "redirect", "REDIRECT");
	c->s->txn.actions.redirect = arena_span(&c->s->txn.arena, r.text);
	c->s->txn.actions.changes++;
	return NEXT;
}

static void append(struct arena *a, struct span *list, struct span text)
{
	*list = list->len ? span_cstr(arena_printf(a, SPAN_FMT "\n" SPAN_FMT, SPAN_ARG(*list), SPAN_ARG(text)))
			  : arena_span(a, text);
}

static enum decision result_bcc(struct check *c, struct result r)
{
	if (!has_message(c, &r, "BCC"))
		return NEXT;
	if (span_chr(r.text, '@') < 0)
		return useless(&r, "user@domain target");
	note_target(c, &r, "bcc", "BCC");
	append(&c->s->txn.arena, &c->s->txn.actions.bcc, r.text);
	c->s->txn.actions.changes++;
	return NEXT;
}

static enum decision result_prepend(struct check *c, struct result r)
{
	ptrdiff_t colon = span_chr(r.text, ':');

	if (!has_message(c, &r, "PREPEND"))
		return NEXT;
	if (c->stage == ACCESS_END_OF_DATA) { /* the header has been written */
		log_warn("access table %s: action PREPEND must be used before END-OF-MESSAGE", r.origin);
		return NEXT;
	}
	if (colon <= 0 || span_chr(span_head(r.text, (size_t)colon), ' ') >= 0)
		return useless(&r, "header: text");
	append(&c->s->txn.arena, &c->s->txn.actions.prepend, r.text);
	return NEXT;
}

static enum decision result_filter(struct check *c, struct result r)
{
	if (!has_message(c, &r, "FILTER"))
		return NEXT;
	if (span_chr(r.text, ':') < 0)
		return useless(&r, "transport:destination");
	note_target(c, &r, "filter", "FILTER");
	c->s->txn.actions.filter = arena_span(&c->s->txn.arena, r.text);
	c->s->txn.actions.changes++;
	return NEXT;
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
	{ "RELAY", result_ok },
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

/* What the rules of the text refuse is what was looked up. */
static enum decision run_about(struct check *c, struct span text, struct span name, const char *what)
{
	struct span list_name = c->name;
	const char *list_what = c->what;
	enum decision d;

	c->name = name;
	c->what = what;
	d = run_text(c, text);
	c->name = list_name;
	c->what = list_what;
	return d;
}

enum decision apply_result(struct check *c, const char *origin, struct span key, struct span value, struct span name,
			   const char *what)
{
	struct span rest = span_trim(value), word;
	struct result r = { .origin = origin, .key = key, .name = name, .what = what };
	uint64_t code;

	value = rest;
	if (!span_word(&rest, " \t\r\n", &word)) {
		log_warn("access table %s entry \"" SPAN_FMT "\" has empty value", origin, SPAN_ARG(key));
		return PERMIT;
	}
	r.word = word;
	r.text = span_trim(rest);
	if (all_digits(value)) /* made by programs that only know addresses */
		return result_ok(c, r);
	if (word.len == 3 && span_u64(word, 599, &code) && code >= 400)
		return say_no(c, r, (int)code, code >= 500 ? "5.7.1" : "4.7.1", "Access denied");
	for (size_t i = 0; i < sizeof results / sizeof *results; i++)
		if (span_iis(word, results[i].word))
			return results[i].apply(c, r);
	if (span_chr(value, ':') >= 0) { /* what a table or a service says is no file name: the configuration names the tables */
		log_warn("access table %s has an entry with a lookup table: " SPAN_FMT "; make it a restriction class", origin,
			 SPAN_ARG(value));
		return refuse_config(c);
	}
	return run_about(c, value, name, what);
}
