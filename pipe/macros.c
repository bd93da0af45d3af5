/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Macros in argv=. No shell sees them: a value is one argument, or a part of it, whatever it holds. An argument that names a
 * recipient is repeated for each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf/conf.h"
#include "lib/conf/expand.h"
#include "lib/proto/addr.h"
#include "pipe/pipe.h"

enum { ARGUMENTS_MAX = 20000 };

struct lookup {
	const struct delivery *d; /* NULL: names are only checked */
	const struct job_rcpt *r;
	bool per_rcpt; /* a name that belongs to the recipient was used */
	bool unknown;
};

enum name {
	NAME_RECIPIENT, NAME_ORIGINAL, NAME_USER, NAME_EXTENSION, NAME_MAILBOX, NAME_DOMAIN, NAME_PER_RCPT_END, NAME_NEXTHOP,
	NAME_SENDER, NAME_SIZE, NAME_QUEUE_ID, NAME_ENVID, NAME_CLIENT_HOST, NAME_CLIENT_ADDRESS, NAME_SASL_USER, NAME_EMPTY,
};

static const struct {
	const char *text;
	enum name name;
} names[] = {
	{ "recipient", NAME_RECIPIENT },
	{ "original_recipient", NAME_ORIGINAL },
	{ "user", NAME_USER },
	{ "extension", NAME_EXTENSION },
	{ "mailbox", NAME_MAILBOX },
	{ "domain", NAME_DOMAIN },
	{ "nexthop", NAME_NEXTHOP },
	{ "sender", NAME_SENDER },
	{ "size", NAME_SIZE },
	{ "queue_id", NAME_QUEUE_ID },
	{ "envid", NAME_ENVID },
	{ "client_hostname", NAME_CLIENT_HOST },
	{ "client_address", NAME_CLIENT_ADDRESS },
	{ "sasl_username", NAME_SASL_USER },
	/* known to Postfix, not kept in the queue here */
	{ "client_helo", NAME_EMPTY },
	{ "client_port", NAME_EMPTY },
	{ "client_protocol", NAME_EMPTY },
	{ "sasl_method", NAME_EMPTY },
	{ "sasl_sender", NAME_EMPTY },
};

static struct span fold(struct arena *a, struct span s, enum pipe_flag flag)
{
	return pipe_attributes.flags & flag ? arena_lower(a, s) : s;
}

static struct span address(struct arena *a, struct span internal)
{
	struct addr addr = addr_split(internal);

	addr.local = fold(a, addr.local, PIPE_FOLD_LOCAL);
	addr.domain = fold(a, addr.domain, PIPE_FOLD_DOMAIN);
	return pipe_attributes.flags & PIPE_QUOTE ? addr_external(a, addr) : addr_internal(a, addr);
}

static struct span part_of(struct arena *a, const struct job_rcpt *r, enum name name)
{
	struct addr addr = addr_split(r->address);
	struct span user, ext;

	(void)addr_split_ext(addr.local, span_cstr(conf->recipient_delimiter), &user, &ext);
	if (name == NAME_DOMAIN)
		return fold(a, addr.domain, PIPE_FOLD_DOMAIN);
	return fold(a, name == NAME_USER ? user : name == NAME_EXTENSION ? ext : addr.local, PIPE_FOLD_LOCAL);
}

struct span macros_sender(const struct delivery *d)
{
	return d->letter->m->sender;
}

static struct span sender(struct arena *a, const struct delivery *d)
{
	struct span s = macros_sender(d);

	if (s.len == 0)
		return pipe_attributes.null_sender;
	return pipe_attributes.flags & PIPE_QUOTE ? addr_quote(a, s) : s;
}

static struct span client(const struct delivery *d, enum name name)
{
	struct span rest = queue_envelope(d->letter->message)->client, host = span_cut(&rest, '[');

	return name == NAME_CLIENT_HOST ? host : span_cut(&rest, ']');
}

static struct span value(struct arena *a, const struct lookup *l, enum name name)
{
	const struct delivery *d = l->d;
	const struct job_message *m = d->letter->m;

	switch (name) {
	case NAME_RECIPIENT:
		return address(a, l->r->address);
	case NAME_ORIGINAL:
		return address(a, l->r->original.len ? l->r->original : l->r->address);
	case NAME_NEXTHOP:
		return fold(a, d->nexthop, PIPE_FOLD_DOMAIN);
	case NAME_SENDER:
		return sender(a, d);
	case NAME_SIZE:
		return span_cstr(arena_printf(a, "%llu", (unsigned long long)m->size));
	case NAME_QUEUE_ID:
		return span_cstr(m->id);
	case NAME_ENVID:
		return m->envid;
	case NAME_CLIENT_HOST:
	case NAME_CLIENT_ADDRESS:
		return client(d, name);
	case NAME_SASL_USER:
		return queue_envelope(d->letter->message)->sasl_user;
	case NAME_EMPTY:
		return SPAN_NONE;
	default:
		return part_of(a, l->r, name);
	}
}

static bool look_up(struct expand *e, struct arena *a, struct span name, struct span *value_r)
{
	struct lookup *l = e->ctx;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (!span_is(name, names[i].text))
			continue;
		l->per_rcpt |= names[i].name < NAME_PER_RCPT_END;
		*value_r = l->d ? value(a, l, names[i].name) : SPAN_NONE;
		return true;
	}
	l->unknown = true;
	return false;
}

bool macros_valid(struct arena *a, const char *text, const char **error_r)
{
	struct lookup l = { NULL, NULL, false, false };
	struct expand e = { .lookup = look_up, .ctx = &l, .a = a };
	const char *got = expand_text(&e, span_cstr(text));

	*error_r = l.unknown ? "unknown macro" : e.error;
	return got != NULL && !l.unknown;
}

struct arguments {
	const struct delivery *d;
	char **argv;
	size_t n;
	struct verdict *why;
};

static bool refuse(struct arguments *args, struct verdict why)
{
	*args->why = why;
	return false;
}

/* The command would take a value in front of an argument for an option. */
static bool is_disguised(const char *template, const char *text)
{
	return template[0] == '$' && text[0] == '-';
}

/* One argument for one recipient. */
static bool put(struct arguments *args, const char *template, const struct job_rcpt *r, bool *per_rcpt_r)
{
	struct arena *a = args->d->a;
	struct lookup l = { args->d, r, false, false };
	struct expand e = { .lookup = look_up, .ctx = &l, .a = a };
	const char *text = expand_text(&e, span_cstr(template));

	if (text == NULL || args->n == ARGUMENTS_MAX)
		return refuse(args, verdict_make(a, "4.3.5", "mail system configuration error: arguments of the command"));
	if (is_disguised(template, text))
		return refuse(args, verdict_make(a, "5.1.3", "address begins with a hyphen"));
	args->argv[args->n++] = arena_strdup(a, text);
	*per_rcpt_r = l.per_rcpt;
	return true;
}

char **macros_argv(const struct delivery *d, struct verdict *why_r)
{
	size_t room = pipe_attributes.argc * d->nrcpts + 1;
	struct arguments args = { d,
				  arena_array(d->a, room < ARGUMENTS_MAX ? room : ARGUMENTS_MAX + 1, sizeof *args.argv),
				  0, why_r };

	for (size_t i = 0; i < pipe_attributes.argc; i++) {
		bool per_rcpt = true;

		for (size_t r = 0; r < d->nrcpts && per_rcpt; r++)
			if (!put(&args, pipe_attributes.argv[i], &d->rcpts[r], &per_rcpt))
				return NULL;
	}
	args.argv[args.n] = NULL;
	return args.argv;
}
