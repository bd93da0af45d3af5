/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a recipient to what is to be done. A recursion over local names:
 *
 *	name -> alias_maps -> list of items -> ...
 *	     -> user -> .forward -> list of items -> ...
 *	             -> mailbox_command, home_mailbox or the spool
 *	     -> luser_relay, or "unknown user"
 *
 * Each alias, .forward and :include: is expanded once. What is met again while it is being expanded is taken literally
 * (an alias or .forward that names its own user: his mailbox), what was finished before is left out as a duplicate.
 */
#include "local/expand.h"

#include <string.h>

#include "lib/base/htab.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/conf/raw.h"
#include "lib/proto/addr.h"
#include "lib/proto/aliases.h"
#include "lib/route/route.h"

enum { DEPTH_MAX = 50, ACTIONS_MAX = 100000 };

/* Values of the table `seen'. */
static char open_mark, done_mark;

struct expansion {
	struct arena *a;
	struct plan *plan;
	struct htab seen; /* "alias name", "forward name", ... -> &open_mark or &done_mark */
	unsigned depth;
	size_t items; /* read so far, duplicates included */
};

/* What an item inherits from where it was written. */
struct context {
	const char *source;    /* "alias", "forward", "include": for allow_mail_to_* */
	const char *where;     /* for messages: "alias list", "/home/x/.forward" */
	struct rights rights;  /* of commands and files */
	bool as_root;          /* :include: files may be read as root */
	bool bad_rights;       /* there is no account to run them as */
	struct span sender;    /* of owner-alias; ptr NULL: the message's */
	struct span delivered; /* Delivered-To: */
	struct span ext;       /* of the name that is being expanded, for a command's environment */
	struct span resubmit;  /* ptr not NULL: local users other than this one get a queue entry of their own */
};

struct action *plan_add(struct arena *a, struct plan *p, enum action_kind kind)
{
	struct action *act = arena_alloc(a, sizeof *act);

	act->kind = kind;
	if (p->last)
		p->last->next = act;
	else
		p->first = act;
	p->last = act;
	p->count++;
	return act;
}

static struct action *add(struct expansion *x, const struct context *ctx, enum action_kind kind, struct span address)
{
	struct action *act = plan_add(x->a, x->plan, kind);

	act->address = arena_span(x->a, address);
	act->delivered = ctx->delivered;
	act->sender = ctx->sender;
	act->rights = ctx->rights;
	act->ext = ctx->ext;
	return act;
}

static void add_fail(struct expansion *x, const struct context *ctx, struct span address, struct verdict v)
{
	add(x, ctx, ACTION_FAIL, address)->verdict = v;
}

/* --- the memory of what was seen ---------------------------------------------------------------------------------- */

static struct span seen_key(struct expansion *x, const char *kind, struct span name)
{
	return span_cstr(arena_printf(x->a, "%s " SPAN_FMT, kind, SPAN_ARG(name)));
}

/* NULL at the first meeting, which opens it; else &open_mark or &done_mark. */
static char *seen_open(struct expansion *x, const char *kind, struct span name)
{
	struct span key = seen_key(x, kind, name);
	char *mark = htab_get(&x->seen, key);

	if (!mark)
		htab_put(&x->seen, key, &open_mark);
	return mark;
}

static void seen_done(struct expansion *x, const char *kind, struct span name)
{
	htab_put(&x->seen, seen_key(x, kind, name), &done_mark);
}

static bool seen_once(struct expansion *x, const char *kind, struct span name)
{
	return htab_put(&x->seen, seen_key(x, kind, name), &done_mark) != NULL;
}

/* --- lists of items ----------------------------------------------------------------------------------------------- */

static void expand_local(struct expansion *x, const struct context *ctx, struct span local, struct span domain,
			 bool direct);

static bool allowed(const char *list, const char *source)
{
	struct span rest = span_cstr(list), word;

	while (span_word(&rest, ", \t\r\n", &word))
		if (span_iis(word, source))
			return true;
	return false;
}

static void item_command_or_file(struct expansion *x, const struct context *ctx, const struct alias_item *item,
				 struct span address)
{
	bool command = item->kind == ALIAS_COMMAND;
	const char *list = command ? conf->allow_mail_to_commands : conf->allow_mail_to_files;
	const char *what = command ? "command" : "file";

	if (seen_once(x, arena_printf(x->a, "%s %u", what, ctx->rights.uid), item->text))
		return;
	if (!allowed(list, ctx->source))
		add_fail(x, ctx, address,
			 verdict_make(x->a, "5.7.1", "%s: mail to a %s is not allowed", ctx->where, what));
	else if (ctx->bad_rights)
		add_fail(x, ctx, address,
			 verdict_make(x->a, "4.3.5", "%s: no account to deliver to a %s as", ctx->where, what));
	else
		add(x, ctx, command ? ACTION_COMMAND : ACTION_FILE, address)->text = arena_cstr(x->a, item->text);
}

static void item_address(struct expansion *x, const struct context *ctx, struct span text, bool direct)
{
	struct span address = route_rewrite(x->a, text);
	struct addr parts = addr_split(address);
	struct route route;

	if (route_resolve(x->a, address, &route) != MAP_OK) {
		add_fail(x, ctx, address, verdict_make(x->a, "4.3.0", "cannot find out where the address goes"));
		return;
	}
	if (route.class == ROUTE_LOCAL && span_is(route.transport, "local"))
		expand_local(x, ctx, parts.local, parts.domain, direct);
	else if (!seen_once(x, "address", arena_lower(x->a, address)))
		add(x, ctx, ACTION_FORWARD, address);
}

static void expand_include(struct expansion *x, const struct context *ctx, struct span path, struct span address);

/* False: the list is broken or too long; the rest of it is given up. */
static bool expand_list(struct expansion *x, const struct context *ctx, struct span list, struct span address)
{
	struct alias_item item;
	enum alias_err err;

	while ((err = alias_next(x->a, &list, &item)) == ALIAS_OK) {
		x->items++;
		if (x->plan->count >= ACTIONS_MAX) {
			add_fail(x, ctx, address, verdict_make(x->a, "5.4.6", "%s: too many addresses", ctx->where));
			return false;
		}
		if (item.kind == ALIAS_INCLUDE)
			expand_include(x, ctx, item.text, address);
		else if (item.kind == ALIAS_COMMAND || item.kind == ALIAS_FILE)
			item_command_or_file(x, ctx, &item, address);
		else
			item_address(x, ctx, item.text, item.kind == ALIAS_DIRECT);
	}
	if (err != ALIAS_END)
		add_fail(x, ctx, address, verdict_make(x->a, "4.3.5", "%s: %s", ctx->where, alias_err_str(err)));
	return err == ALIAS_END;
}

static bool expand_lines(struct expansion *x, const struct context *ctx, struct span text, struct span address)
{
	struct span line;

	while (alias_line(&text, &line))
		if (!expand_list(x, ctx, line, address))
			return false;
	return true;
}

static void expand_include(struct expansion *x, const struct context *ctx, struct span path, struct span address)
{
	struct context inner = *ctx;
	struct span text;
	struct verdict v;
	uid_t owner;
	char *mark = seen_open(x, "include", path);

	if (mark == &open_mark)
		add_fail(x, ctx, address,
			 verdict_make(x->a, "5.4.6", ":include:%s includes itself", arena_cstr(x->a, path)));
	if (mark)
		return;
	inner.source = "include";
	inner.where = arena_printf(x->a, ":include:" SPAN_FMT, SPAN_ARG(path));
	if (source_include(x->a, arena_cstr(x->a, path), ctx->as_root ? NULL : &ctx->rights, &text, &owner, &v) !=
	    SOURCE_OK) {
		add_fail(x, ctx, address, v);
	} else {
		/* Root's own file keeps the rights of the alias; somebody else's gets his. */
		if (ctx->as_root && owner != 0) {
			inner.bad_rights = !rights_of_owner(x->a, owner, &inner.rights);
			inner.as_root = false;
		}
		x->depth++;
		expand_lines(x, &inner, text, address);
		x->depth--;
	}
	seen_done(x, "include", path);
}

/* --- aliases ------------------------------------------------------------------------------------------------------ */

/* owner-NAME exists: it becomes the sender, and users get a queue entry of their own, so that failures go to it. */
static bool find_owner(struct expansion *x, struct context *ctx, struct span name, struct span domain)
{
	struct span key = span_cstr(arena_printf(x->a, "owner-" SPAN_FMT, SPAN_ARG(name))), value;
	enum map_status status;
	uid_t uid;

	if (span_starts(name, "owner-"))
		return true;
	status = table_lookup(x->a, key, &value, &uid);
	if (status == MAP_OK) {
		ctx->sender = span_cstr(arena_printf(x->a, SPAN_FMT "@" SPAN_FMT, SPAN_ARG(key), SPAN_ARG(domain)));
		ctx->resubmit = SPAN("");
	}
	return status != MAP_TEMP;
}

struct recipient {
	struct span local, user, ext, domain, address;
	struct user account;
};

static void expand_alias_value(struct expansion *x, const struct context *ctx, const struct recipient *r,
			       struct span name, struct span value, uid_t owner)
{
	struct context inner = *ctx;

	inner.ext = span_skip(r->local, name.len + 1);
	inner.source = "alias";
	inner.where = arena_printf(x->a, "alias " SPAN_FMT, SPAN_ARG(name));
	inner.as_root = owner == 0;
	inner.bad_rights = !rights_of_owner(x->a, owner, &inner.rights);
	if (!find_owner(x, &inner, name, r->domain)) {
		add_fail(x, ctx, r->address, verdict_make(x->a, "4.3.0", "alias database unavailable"));
		return;
	}
	x->depth++;
	expand_list(x, &inner, value, r->address);
	x->depth--;
}

/* name: r's local part, with or without its extension. True: it is an alias, or it cannot be known; all is done. */
static bool try_alias(struct expansion *x, const struct context *ctx, const struct recipient *r, struct span name)
{
	struct span value;
	uid_t owner = 0;
	enum map_status status = table_lookup(x->a, name, &value, &owner);
	char *mark;

	if (status == MAP_NOTFOUND)
		return false;
	if (status == MAP_TEMP) {
		add_fail(x, ctx, r->address, verdict_make(x->a, "4.3.0", "alias database unavailable"));
		return true;
	}
	mark = seen_open(x, "alias", name);
	if (mark)
		return mark == &done_mark;
	expand_alias_value(x, ctx, r, name, value, owner);
	seen_done(x, "alias", name);
	return true;
}

/* --- users -------------------------------------------------------------------------------------------------------- */

static const char *parameter_for(struct expansion *x, const struct recipient *r, const char *parameter, bool known)
{
	const struct expand_names names = {
		.user = r->user,
		.ext = r->ext,
		.domain = r->domain,
		.recipient = r->address,
		.home = known ? r->account.home : "",
		.shell = known ? r->account.shell : "",
	};

	return expand_parameter(x->a, parameter, &names);
}

/* The first .forward that there is. */
static enum source_status find_forward(struct expansion *x, const struct recipient *r, const char **path_r,
				       struct span *text_r, struct verdict *v_r)
{
	struct rights rights = rights_of_user(x->a, &r->account);
	struct span rest = span_cstr(parameter_for(x, r, "forward_path", true)), path, before = SPAN_NONE;

	while (span_word(&rest, ", \t\r\n", &path)) {
		enum source_status status;

		/* Without an extension the usual two are the same file. */
		if (span_eq(path, before))
			continue;
		before = path;
		*path_r = arena_cstr(x->a, path);
		status = path.ptr[0] == '/' ? source_forward(x->a, *path_r, &rights, text_r, v_r) : SOURCE_NONE;
		if (status != SOURCE_NONE)
			return status;
	}
	return SOURCE_NONE;
}

/* True: the user's mail goes elsewhere, or it cannot be known; all is done. */
static bool try_forward(struct expansion *x, const struct context *ctx, const struct recipient *r)
{
	struct context inner = *ctx;
	struct span text = SPAN_NONE;
	size_t items = x->items, actions = x->plan->count;
	enum source_status status;
	struct verdict v;
	char *mark = seen_open(x, "forward", r->address);

	if (mark)
		return mark == &done_mark;
	status = find_forward(x, r, &inner.where, &text, &v);
	if (status == SOURCE_TEMP)
		add_fail(x, ctx, r->address, v);
	if (status == SOURCE_OK) {
		inner.source = "forward";
		inner.ext = r->ext;
		inner.rights = rights_of_user(x->a, &r->account);
		inner.as_root = inner.bad_rights = false;
		inner.delivered = r->address;
		inner.resubmit = r->account.name;
		x->depth++;
		expand_lines(x, &inner, text, r->address);
		x->depth--;
	}
	seen_done(x, "forward", r->address);
	/* An empty .forward means the mailbox; one that names only what got the letter already does not. */
	return x->items > items || x->plan->count > actions;
}

static void add_mailbox(struct expansion *x, const struct context *ctx, const struct recipient *r)
{
	const struct user *u = &r->account;
	const char *command = raw_get(conf->raw, SPAN("mailbox_command"))->value;
	size_t spool_len = strlen(conf->mail_spool_directory);
	struct action *act;

	if (seen_once(x, "mailbox", u->name))
		return;
	act = add(x, ctx, *command ? ACTION_COMMAND : ACTION_MAILBOX, r->address);
	act->rights = rights_of_user(x->a, u);
	act->user = u->name;
	act->ext = r->ext;
	if (*command)
		act->text = command;
	else if (*conf->home_mailbox)
		act->text = arena_printf(x->a, "%s/%s", act->rights.home, conf->home_mailbox);
	else if (spool_len > 0 && conf->mail_spool_directory[spool_len - 1] == '/')
		act->text = arena_printf(x->a, "%s" SPAN_FMT "/", conf->mail_spool_directory, SPAN_ARG(u->name));
	else
		act->text = arena_printf(x->a, "%s/" SPAN_FMT, conf->mail_spool_directory, SPAN_ARG(u->name));
}

static void unknown_user(struct expansion *x, const struct context *ctx, const struct recipient *r)
{
	struct context inner = *ctx;
	const char *relay;

	if (span_iis(r->user, conf->double_bounce_sender)) {
		add_fail(x, ctx, r->address, verdict_make(x->a, "2.0.0", "undeliverable postmaster notice discarded"));
		return;
	}
	if (*conf->luser_relay && !seen_once(x, "luser", r->address)) {
		relay = parameter_for(x, r, "luser_relay", false);
		inner.source = "alias";
		inner.where = "luser_relay";
		inner.bad_rights = !rights_default(x->a, &inner.rights);
		if (relay)
			expand_list(x, &inner, span_cstr(relay), r->address);
		if (relay)
			return;
	}
	/* RFC 5321 4.5.1: postmaster always exists. */
	if (span_iis(r->user, "postmaster") || span_iis(r->user, "mailer-daemon")) {
		expand_local(x, ctx, SPAN("root"), r->domain, false);
		return;
	}
	add_fail(x, ctx, r->address, verdict_make(x->a, "5.1.1", "unknown user: \"" SPAN_FMT "\"", SPAN_ARG(r->user)));
}

static enum map_status find_user(struct expansion *x, struct recipient *r)
{
	enum map_status status;

	/* A user whose very name holds the delimiter comes first. */
	r->user = r->local;
	r->ext = SPAN_NONE;
	status = userdb_get(x->a, r->local, &r->account);
	if (status != MAP_NOTFOUND)
		return status;
	if (!addr_split_ext(r->local, span_cstr(conf->recipient_delimiter), &r->user, &r->ext))
		return MAP_NOTFOUND;
	return userdb_get(x->a, r->user, &r->account);
}

static void expand_user(struct expansion *x, const struct context *ctx, struct recipient *r, bool direct)
{
	switch (find_user(x, r)) {
	case MAP_TEMP:
		add_fail(x, ctx, r->address, verdict_make(x->a, "4.3.0", "user database unavailable"));
		return;
	case MAP_NOTFOUND:
		unknown_user(x, ctx, r);
		return;
	case MAP_OK:
		break;
	}
	if (r->account.disabled) { /* what was taken before waits for an end of that, or of its time */
		add_fail(x, ctx, r->address, verdict_make(x->a, "4.2.1", "mailbox is disabled"));
		return;
	}
	if (ctx->resubmit.ptr && !span_eq(ctx->resubmit, r->account.name)) {
		if (!seen_once(x, "address", r->address))
			add(x, ctx, ACTION_FORWARD, r->address);
		return;
	}
	if (direct || !try_forward(x, ctx, r))
		add_mailbox(x, ctx, r);
}

static void expand_local(struct expansion *x, const struct context *ctx, struct span local, struct span domain,
			 bool direct)
{
	struct recipient r = { .local = arena_lower(x->a, local), .domain = domain };
	struct span base, ext;

	if (span_starts(r.local, "\\")) {
		r.local = span_skip(r.local, 1);
		direct = true;
	}
	r.address = span_cstr(arena_printf(x->a, SPAN_FMT "@" SPAN_FMT, SPAN_ARG(r.local), SPAN_ARG(domain)));
	if (x->depth > DEPTH_MAX) {
		add_fail(x, ctx, r.address, verdict_make(x->a, "5.4.6", "alias expansion is nested too deeply"));
		return;
	}
	if (!direct && try_alias(x, ctx, &r, r.local))
		return;
	if (!direct && addr_split_ext(r.local, span_cstr(conf->recipient_delimiter), &base, &ext) &&
	    try_alias(x, ctx, &r, base))
		return;
	expand_user(x, ctx, &r, direct);
}

void expand_recipient(struct arena *a, struct span address, struct plan *p)
{
	struct expansion x = { .a = a, .plan = p, .seen = HTAB_INIT };
	struct addr parts = addr_split(address);
	struct context ctx = { .source = "alias", .where = "recipient", .as_root = true };
	struct span domain = parts.domain.len > 0 ? parts.domain : span_cstr(conf->myhostname);

	ctx.delivered = span_starts(address, "\\") ? span_skip(address, 1) : address;
	expand_local(&x, &ctx, parts.local, domain, false);
	/* Everything was there already, e.g. an alias that holds only itself and no such user. */
	if (p->count == 0)
		add_fail(&x, &ctx, address, verdict_make(a, "5.4.6", "the alias leads nowhere"));
	htab_free(&x.seen);
}
