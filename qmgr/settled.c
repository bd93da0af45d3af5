/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transports that need no agent: what becomes of their recipients is written in the route.
 *
 *	error:[dsn] text	bounced (deferred with a dsn of 4.x.x)
 *	retry:[dsn] text	deferred
 *	discard:[dsn] text	counts as delivered, and is gone
 *
 * or services of other names with error or discard as their program.
 *
 * And the transports of defer_transports, which wait for a flush.
 */
#include <stdio.h>
#include <string.h>

#include "lib/conf/conf.h"
#include "qmgr/sort.h"

static const struct settling {
	const char *transport;
	const char *classes; /* that the dsn of the text may have; the first is the default */
} settlings[] = {
	{ "error", "54" },
	{ "retry", "4" },
	{ "discard", "2" },
};

static struct verdict written_verdict(struct arena *a, const struct settling *s, struct span nexthop)
{
	char dsn[sizeof((struct verdict *)NULL)->dsn] = "x.0.0";
	struct span text = span_trim(nexthop), rest = text, word;

	if (span_word(&rest, " \t", &word) && word.len < sizeof dsn && verdict_dsn_valid(word)) {
		snprintf(dsn, sizeof dsn, SPAN_FMT, SPAN_ARG(word));
		text = span_trim(rest);
	}
	if (strchr(s->classes, dsn[0]) == NULL)
		dsn[0] = s->classes[0];
	return verdict_make(a, dsn, SPAN_FMT, SPAN_ARG(span_head(text, QUEUE_REASON_MAX)));
}

static bool is_deferred(struct span transport)
{
	struct span rest = span_cstr(conf->defer_transports), word;

	while (span_word(&rest, ", \t\r\n", &word))
		if (span_eq(word, transport))
			return true;
	return false;
}

bool settled_here(struct message *m, uint32_t rcpt, struct span transport, struct span nexthop)
{
	struct arena *a = &m->awake->arena;
	const char *settles = services_settles(arena_cstr(a, transport));

	for (size_t i = 0; i < sizeof settlings / sizeof *settlings; i++)
		if (settles && strcmp(settles, settlings[i].transport) == 0) {
			message_settle(m, rcpt, written_verdict(a, &settlings[i], nexthop));
			return true;
		}
	if (m->flush || !is_deferred(transport))
		return false;
	message_settle(m, rcpt, verdict_make(a, "4.3.2", "deferred transport"));
	return true;
}
