/* SPDX-License-Identifier: BSD-2-Clause */
#include "bounce/bounce.h"

#include <errno.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/proto/addr.h"
#include "lib/proto/date.h"
#include "lib/proto/header.h"
#include "lib/route/route.h"

enum { HEAD_MAX = 16 * 1024 * 1024, HEADER_SEARCH_MAX = 256 * 1024, MESSAGE_ID_MAX = 900, ALIASES_MAX = 1000 };

/* --- one recipient ------------------------------------------------------------------------------------------------ */

static bool is_remote(struct span relay)
{
	return relay.len > 0 && span_chr(relay, '[') > 0;
}

/* The peer's own words: what stands between "said: " and "(in reply to" in a reason of smtp(8). */
static struct span remote_reply(struct span reason)
{
	ptrdiff_t said = span_find(reason, SPAN(" said: "));
	ptrdiff_t end;

	if (said < 0)
		return SPAN_NONE;
	reason = span_skip(reason, (size_t)said + strlen(" said: "));
	end = span_find(reason, SPAN(" (in reply to "));
	return end < 0 ? reason : span_head(reason, (size_t)end);
}

static enum dsn_action action_of(enum dsn_kind kind, const struct queue_rcpt *r)
{
	if (kind == DSN_SUCCESS)
		return is_remote(r->relay) ? DSN_RELAYED : DSN_DELIVERED;
	return kind == DSN_DELAY ? DSN_DELAYED : DSN_FAILED;
}

static struct span default_status(const struct notice *n)
{
	if (n->kind == DSN_SUCCESS)
		return SPAN("2.0.0");
	return n->kind == DSN_DELAY ? SPAN("4.0.0") : n->expired ? SPAN("4.4.7") : SPAN("5.0.0");
}

static struct span default_reason(const struct notice *n)
{
	if (n->kind == DSN_SUCCESS)
		return SPAN("delivered");
	return n->kind == DSN_DELAY ? SPAN("no delivery was possible so far")
				    : SPAN("the message was too long in the queue");
}

static struct dsn_recipient describe(const struct notice *n, const struct queue_rcpt *r)
{
	struct span name = r->relay, type = r->orcpt, reply = remote_reply(r->reason);
	struct dsn_recipient d = {
		.final = r->address,
		.original = r->original,
		.action = action_of(n->kind, r),
		.status = r->dsn[0] ? span_cstr(r->dsn) : default_status(n),
		.reason = r->reason.len > 0 ? r->reason : default_reason(n),
		.will_retry_until = n->kind == DSN_DELAY ? n->retry_until : 0,
	};

	if (is_remote(r->relay))
		d.remote_mta = span_cut(&name, '[');
	if (is_remote(r->relay) && reply.len > 0) {
		d.diagnostic_type = SPAN("smtp");
		d.diagnostic = reply;
	}
	if (type.len > 0) {
		d.orcpt_addr = type;
		d.orcpt_type = span_cut(&d.orcpt_addr, ';');
	}
	return d;
}

/* --- the text ----------------------------------------------------------------------------------------------------- */

static struct span original_message_id(struct queue_message *m, struct arena *a)
{
	struct buf b;
	struct span chunk, id;
	uint64_t at = 0;

	buf_init(&b, HEADER_SEARCH_MAX);
	while (b.len < HEADER_SEARCH_MAX && queue_content(m, at, &chunk) && chunk.len > 0) {
		at += chunk.len;
		buf_add_span(&b, span_head(chunk, HEADER_SEARCH_MAX - b.len));
		if (header_size(buf_span(&b)) < b.len)
			break;
	}
	id = header_get(a, buf_span(&b), "Message-Id", MESSAGE_ID_MAX);
	buf_free(&b);
	return span_starts(id, "<") && span_ends(id, ">") ? id : SPAN_NONE;
}

/* The original behind the report, or its header only. *newline_r: it did not end in LF. False: it cannot be read. */
static bool copy_original(struct queue_message *m, struct queue_writer *w, bool headers_only, bool *newline_r)
{
	struct span chunk;
	uint64_t at = 0;
	bool in_header = true, line_start = true;

	*newline_r = false;
	while (in_header || !headers_only) {
		size_t take;

		if (!queue_content(m, at, &chunk))
			return false;
		if (chunk.len == 0)
			break;
		/* The header ends at the first empty line: LF right after the start or after another LF. */
		for (take = 0; headers_only && in_header && take < chunk.len; take++) {
			in_header = !(line_start && chunk.ptr[take] == '\n');
			line_start = chunk.ptr[take] == '\n';
		}
		take = headers_only ? take : chunk.len;
		queue_write(w, span_head(chunk, take));
		*newline_r = take > 0 && chunk.ptr[take - 1] != '\n';
		at += take;
	}
	return true;
}

static void put_trace(struct buf *b, const char *id)
{
	char date[DATE_TEXT_MAX];
	time_t now = clock_wall();
	struct tm tm;
	char stamp[32] = "";

	if (gmtime_r(&now, &tm))
		strftime(stamp, sizeof stamp, "%Y%m%d%H%M%S", &tm);
	buf_addf(b, "Received: by %s (%s) id %s;\n\t%s\n", conf->myhostname, conf->mail_name, id,
		 date_rfc5322(now, date));
	buf_addf(b, "Message-Id: <%s.%s@%s>\n", stamp, id, conf->myhostname);
}

static bool write_notice(struct queue_message *m, const struct notice *n, struct arena *a, const char *id,
			 struct queue_writer *w)
{
	const struct queue_envelope *env = queue_envelope(m);
	struct dsn_recipient *rcpts = arena_array(a, n->nrcpts, sizeof *rcpts);
	struct dsn_report report = {
		.kind = n->kind,
		.hostname = span_cstr(conf->myhostname),
		.origin = span_cstr(conf->myorigin),
		.to = n->to,
		.queue_id = span_cstr(env->id),
		.envid = env->envid,
		.sender = env->sender,
		.arrived = (time_t)(env->arrival_us / 1000000),
		.boundary = span_cstr(arena_printf(a, "%s.%lld/%s", id, (long long)clock_wall(), conf->myhostname)),
		.message_id = conf->enable_threaded_bounces ? original_message_id(m, a) : SPAN_NONE,
		.now = clock_wall(),
		.headers_only = n->headers_only,
		.template = template_of(n->kind),
		.for_postmaster = n->sender.len > 0,
		.utf8 = env->flags & QUEUE_SMTPUTF8,
		.recipients = rcpts,
		.nrecipients = n->nrcpts,
	};
	struct buf b;
	bool newline, ok;

	for (size_t i = 0; i < n->nrcpts; i++)
		rcpts[i] = describe(n, &env->rcpts[n->rcpts[i]]);
	buf_init(&b, HEAD_MAX);
	put_trace(&b, id);
	ok = dsn_compose(&b, &report);
	queue_write(w, buf_span(&b));
	ok = ok && copy_original(m, w, n->headers_only, &newline);
	buf_reset(&b);
	ok = ok && dsn_compose_end(&b, &report, newline);
	queue_write(w, buf_span(&b));
	buf_free(&b);
	return ok;
}

/* --- into the queue ----------------------------------------------------------------------------------------------- */

static struct queue_rcpt *resolve(struct arena *a, struct span to, size_t *n_r)
{
	struct span address = route_rewrite(a, to), *found;
	struct queue_rcpt *rcpts;

	/* An alias table that cannot be asked must not hold up the notice: the address itself is good enough. */
	if (route_virtual_alias(a, address, ALIASES_MAX, &found, n_r) != MAP_OK) {
		found = &address;
		*n_r = 1;
	}
	rcpts = arena_array(a, *n_r, sizeof *rcpts);
	for (size_t i = 0; i < *n_r; i++) {
		rcpts[i].address = found[i];
		rcpts[i].original = span_eq(found[i], to) ? SPAN_NONE : to;
	}
	return rcpts;
}

bool notice_send(struct queue_message *m, const struct notice *n)
{
	const struct queue_envelope *about = queue_envelope(m);
	struct arena a = ARENA_INIT;
	struct queue_envelope env = {
		.arrival_us = clock_wall_us(),
		.sender = n->sender,
		.flags = QUEUE_LOCAL | QUEUE_BOUNCE | (about->flags & (QUEUE_8BIT | QUEUE_SMTPUTF8)),
	};
	struct queue_writer *w;
	struct queue_place place;
	bool ok;

	env.rcpts = resolve(&a, n->to, &env.nrcpts);
	queue_new_id(env.id);
	w = queue_create(&env);
	ok = write_notice(m, n, &a, env.id, w);
	env.size = queue_written(w);
	if (!ok) {
		queue_abort(w);
		log_warn("%s: %s: cannot be composed", about->id, n->what);
	} else if (queue_commit(w, &place) < 0) {
		log_warn("%s: %s: cannot be put into the queue: %m", about->id, n->what);
		ok = false;
	} else {
		log_info("%s: %s: %s", about->id, n->what, env.id);
		job_announce(&env, &place);
	}
	arena_free(&a);
	return ok;
}
