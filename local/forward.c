/* SPDX-License-Identifier: BSD-2-Clause */
/* A copy of the letter for somewhere else: a new message in the queue, with its own recipients and retries. */
#include "local/local.h"

#include <errno.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/proto/addr.h"
#include "lib/proto/date.h"
#include "lib/route/route.h"

enum { ALIASES_MAX = 1000 }; /* addresses that one address may become by virtual_alias_maps */

struct rcpt_list {
	struct queue_rcpt *items;
	size_t count, room;
};

static void add_rcpt(struct arena *a, struct rcpt_list *list, struct queue_rcpt rcpt)
{
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 16;
		struct queue_rcpt *grown = arena_array(a, room, sizeof *grown);

		if (list->count > 0)
			memcpy(grown, list->items, list->count * sizeof *grown);
		list->items = grown;
		list->room = room;
	}
	list->items[list->count++] = rcpt;
}

static struct verdict resolve(struct arena *a, const struct job_rcpt *r, const struct forward_to *to,
			      struct rcpt_list *list)
{
	for (size_t i = 0; i < to->count; i++) {
		struct span *found;
		size_t n;

		switch (route_virtual_alias(a, to->addresses[i], ALIASES_MAX, &found, &n)) {
		case MAP_OK:
			break;
		case MAP_TEMP:
			return verdict_make(a, "4.3.0", "virtual alias database unavailable");
		case MAP_NOTFOUND:
			return verdict_make(a, "5.4.6", "virtual alias loop for " SPAN_FMT, SPAN_ARG(to->addresses[i]));
		}
		for (size_t k = 0; k < n; k++) {
			struct queue_rcpt rcpt = { .address = found[k], .notify = r->notify };

			rcpt.original = span_eq(found[k], to->addresses[i]) ? SPAN_NONE : to->addresses[i];
			rcpt.orcpt = to->count == 1 && n == 1 ? r->orcpt : SPAN_NONE;
			add_rcpt(a, list, rcpt);
		}
	}
	return verdict_make(a, "2.0.0", "%s", "");
}

static struct span trace_header(struct arena *a, const char *id, struct span delivered)
{
	char date[DATE_TEXT_MAX];
	const char *received = arena_printf(a, "Received: by %s (%s) id %s;\n\t%s\n", conf->myhostname, conf->mail_name,
					    id, date_rfc5322(clock_wall(), date));

	if (delivered.len == 0 || !letter_prepends("forward"))
		return span_cstr(received);
	delivered = addr_quote(a, delivered);
	return span_cstr(arena_printf(a, "%sDelivered-To: " SPAN_FMT "\n", received, SPAN_ARG(delivered)));
}

/* Copy header and content; 0, or -1 and errno. */
static int write_copy(struct letter *l, struct queue_envelope *env, struct span header, struct queue_place *place_r)
{
	struct queue_writer *w = queue_create(env);
	struct span chunk;
	int err;

	queue_write(w, header);
	letter_rewind(l);
	do {
		if (!letter_next(l, &chunk)) {
			err = errno;
			queue_abort(w);
			errno = err;
			return -1;
		}
		queue_write(w, chunk);
	} while (chunk.len > 0);
	env->size = queue_written(w);
	return queue_commit(w, place_r);
}

struct verdict forward_letter(struct arena *a, struct letter *l, const struct job_rcpt *r, const struct forward_to *to)
{
	struct rcpt_list list = { NULL, 0, 0 };
	struct queue_place place;
	struct verdict v = resolve(a, r, to, &list);
	struct queue_envelope env = {
		.arrival_us = clock_wall_us(),
		.sender = to->sender.ptr ? to->sender : l->m->sender,
		.envid = l->m->envid,
		.flags = l->m->flags | QUEUE_LOCAL,
		.rcpts = list.items,
		.nrcpts = list.count,
	};
	int status, err;

	if (v.class != VERDICT_OK)
		return v;
	if (l->hops >= (size_t)conf->hopcount_limit)
		return verdict_make(a, "5.4.6", "too many hops");
	queue_new_id(env.id);
	if (!rights_become_mail_owner())
		return verdict_errno(a, "cannot become the owner of the queue", errno);
	status = write_copy(l, &env, trace_header(a, env.id, to->delivered), &place);
	err = errno;
	rights_restore();
	if (status < 0)
		return verdict_errno(a, "cannot write a copy into the queue", err);
	job_announce(&env, &place);
	return verdict_make(a, "2.0.0", "forwarded as %s", env.id);
}
