/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtpd/attribute.h"

#include <pthread.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/conf/conf.h"

/* --- smtpd_expansion_filter: characters, with C's escapes for those that main.cf cannot hold --------------------------- */

static bool passes[256];

static unsigned char escaped(struct span *rest)
{
	unsigned value = 0;
	size_t digits = 0;

	while (digits < 3 && digits < rest->len && rest->ptr[digits] >= '0' && rest->ptr[digits] <= '7')
		value = value * 8 + (unsigned)(rest->ptr[digits++] - '0');
	if (digits == 0 && rest->len) {
		value = rest->ptr[0] == 't' ? '\t' : (unsigned char)rest->ptr[0];
		digits = 1;
	}
	*rest = span_skip(*rest, digits);
	return (unsigned char)value;
}

static void read_filter(void)
{
	struct span rest = span_cstr(conf->smtpd_expansion_filter);

	while (rest.len) {
		unsigned char c = (unsigned char)rest.ptr[0];

		rest = span_skip(rest, 1);
		passes[c == '\\' ? escaped(&rest) : c] = true;
	}
}

static struct span filter(struct arena *a, struct span value)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	char *clean = arena_alloc(a, value.len + 1);

	pthread_once(&once, read_filter);
	for (size_t i = 0; i < value.len; i++)
		clean[i] = passes[(unsigned char)value.ptr[i]] ? value.ptr[i] : '_';
	return span_of(clean, value.len);
}

/* --- names ------------------------------------------------------------------------------------------------------------- */

static struct span local_time(struct arena *a)
{
	time_t now = clock_wall();
	char text[64];
	struct tm tm;

	localtime_r(&now, &tm);
	return arena_span(a, span_of(text, strftime(text, sizeof text, "%b %d %H:%M:%S", &tm)));
}

/* name is prefix, prefix_name or prefix_domain. given: what the client wrote; nothing before that. */
static bool of_address(struct span name, const char *prefix, bool there, struct span given, struct span *value_r)
{
	struct span part = span_skip(name, span_cstr(prefix).len);
	ptrdiff_t at = span_rchr(given, '@');

	if (!span_starts(name, prefix) || (part.len && !span_is(part, "_name") && !span_is(part, "_domain")))
		return false;
	if (!there)
		*value_r = SPAN_NONE;
	else if (span_is(part, "_domain"))
		*value_r = at < 0 ? SPAN_NONE : span_skip(given, (size_t)at + 1);
	else if (given.len == 0)
		*value_r = SPAN("<>");
	else
		*value_r = part.len && at >= 0 ? span_head(given, (size_t)at) : given;
	return true;
}

static bool find(struct smtpd_session *s, struct arena *a, struct span name, struct span *value_r)
{
	const struct {
		const char *name;
		struct span value;
	} names[] = {
		{ "client", span_cstr(s->client) },
		{ "client_address", span_cstr(s->peer_text) },
		{ "client_name", s->client_name },
		{ "client_port", span_cstr(arena_printf(a, "%u", s->peer.port)) },
		{ "helo_name", s->helo },
		{ "localtime", local_time(a) },
		{ "reverse_client_name", s->reverse_name },
		{ "server_name", span_cstr(conf->myhostname) },
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (!span_is(name, names[i].name))
			continue;
		*value_r = names[i].value;
		return true;
	}
	return of_address(name, "sender", s->txn.have_sender, s->txn.sender_given, value_r) ||
	       of_address(name, "recipient", s->txn.accepted > 0, s->txn.recipient_given, value_r);
}

bool attribute_find(struct smtpd_session *s, struct arena *a, struct span name, struct span *value_r)
{
	if (!find(s, a, name, value_r))
		return false;
	*value_r = filter(a, *value_r);
	return true;
}
