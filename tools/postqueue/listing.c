/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two forms, both read by programs that were written for Postfix: columns for people, and one JSON object a line.
 * Everything in a message came from outside: control bytes do not get to the terminal.
 */
#include <stdio.h>
#include <time.h>

#include "lib/base/log.h"
#include "lib/base/utf8.h"
#include "lib/proto/addr.h"
#include "tools/postqueue/postqueue.h"

enum { REASON_COLUMN = 76 };

#define COLUMNS "%-17s %8s %-19s %s\n"

static const char *state_name(enum job_list_state state)
{
	static const char *const names[] = { "incoming", "active", "deferred", "hold" };

	return names[state];
}

static bool is_open(const struct queue_rcpt *r)
{
	return r->state == QUEUE_RCPT_PENDING || r->state == QUEUE_RCPT_BOUNCED;
}

/* --- columns ------------------------------------------------------------------------------------------------------ */

static const char *printable(struct arena *a, struct span s)
{
	char *text = arena_cstr(a, s);

	text[log_escape(text, s.len)] = '\0';
	return text;
}

static void text_recipients(struct arena *a, const struct queue_envelope *env)
{
	struct span shown = SPAN_NONE;

	for (size_t i = 0; i < env->nrcpts; i++) {
		const struct queue_rcpt *r = &env->rcpts[i];

		if (!is_open(r))
			continue;
		if (r->reason.len > 0 && !span_eq(r->reason, shown)) {
			int padding = r->reason.len < REASON_COLUMN ? REASON_COLUMN - (int)r->reason.len : 0;

			printf("%*s(%s)\n", padding, "", printable(a, r->reason));
		}
		shown = r->reason;
		printf(COLUMNS, "", "", "", printable(a, addr_quote(a, r->address)));
	}
}

static void text_message(struct listing *l, struct arena *a, enum job_list_state state,
			 const struct queue_envelope *env)
{
	time_t at = (time_t)(env->arrival_us / 1000000);
	const char *sender = env->sender.len > 0 ? printable(a, addr_quote(a, env->sender)) : "MAILER-DAEMON";
	const char *mark = env->expired ? "#" : state == JOB_LIST_ACTIVE ? "*" : state == JOB_LIST_HOLD ? "!" : "";
	char when[32] = "";
	struct tm tm;

	if (localtime_r(&at, &tm))
		strftime(when, sizeof when, "%a %b %e %H:%M:%S", &tm);
	if (l->messages == 0)
		printf(COLUMNS, "----Queue ID-----", "--Size--", "---Arrival Time----", "--Sender/Recipient------");
	printf("%-17s %8llu %19.19s %s\n", arena_printf(a, "%s%s", env->id, mark), (unsigned long long)env->size, when,
	       sender);
	text_recipients(a, env);
	putchar('\n');
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static void json_string(const char *name, struct span s)
{
	printf("\"%s\": \"", name);
	while (s.len > 0) {
		size_t n = utf8_char(s.ptr, s.len);
		unsigned char c = (unsigned char)s.ptr[0];

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (ascii_iscntrl((char)c))
			printf("\\u%04x", c);
		else if (n > 0)
			fwrite(s.ptr, 1, n, stdout);
		else
			putchar('?');
		s = span_skip(s, n > 0 ? n : 1);
	}
	putchar('"');
}

static void json_recipient(struct arena *a, const struct queue_rcpt *r)
{
	putchar('{');
	if (r->original.len > 0) {
		json_string("orig_address", addr_quote(a, r->original));
		fputs(", ", stdout);
	}
	json_string("address", addr_quote(a, r->address));
	if (r->reason.len > 0) {
		fputs(", ", stdout);
		json_string(r->state == QUEUE_RCPT_BOUNCED ? "bounce_reason" : "delay_reason", r->reason);
	}
	putchar('}');
}

static void json_message(struct arena *a, enum job_list_state state, const struct queue_envelope *env)
{
	const char *comma = "";

	printf("{\"queue_name\": \"%s\", \"queue_id\": \"%s\", \"arrival_time\": %lld, \"message_size\": %llu, "
	       "\"forced_expire\": %s, ",
	       state_name(state), env->id, (long long)(env->arrival_us / 1000000), (unsigned long long)env->size,
	       env->expired ? "true" : "false");
	json_string("sender", env->sender.len > 0 ? addr_quote(a, env->sender) : SPAN("MAILER-DAEMON"));
	fputs(", \"recipients\": [", stdout);
	for (size_t i = 0; i < env->nrcpts; i++) {
		if (!is_open(&env->rcpts[i]))
			continue;
		fputs(comma, stdout);
		json_recipient(a, &env->rcpts[i]);
		comma = ", ";
	}
	puts("]}");
}

void listing_message(struct listing *l, enum job_list_state state, const struct queue_envelope *env)
{
	struct arena a = ARENA_INIT;

	if (l->form == LISTING_JSON)
		json_message(&a, state, env);
	else
		text_message(l, &a, state, env);
	l->messages++;
	l->bytes += env->size;
	arena_free(&a);
}

void listing_end(const struct listing *l)
{
	if (l->form == LISTING_JSON)
		return;
	if (l->messages == 0)
		puts("Mail queue is empty");
	else
		printf("-- %llu Kbytes in %llu Request%s.\n", (unsigned long long)l->bytes / 1024,
		       (unsigned long long)l->messages, l->messages == 1 ? "" : "s");
}
