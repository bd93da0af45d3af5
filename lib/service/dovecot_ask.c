/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/dovecot_ask.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/io/dial.h"
#include "lib/proto/dovecot_auth.h"

enum {
	HANDSHAKE_MS = 10000,
	ANSWER_MS = 60000, /* a refusal is late on purpose */
	HANDSHAKE_LINES_MAX = 200,
	ANSWER_LINES_MAX = 1000,
	MECHANISMS_MAX = 32,
	NAME_MAX_BYTES = 20, /* RFC 4422 3.1 */
	FRESH_MS = 60000,
	AGAIN_MS = 2000,
	REASON_MAX = 200,
	USER_MAX = 512,
};

struct mechanism {
	char name[NAME_MAX_BYTES + 1];
	unsigned flags;
};

/* What the last handshake said. One server for a process: smtpd_sasl_path. */
static struct {
	pthread_mutex_t lock;
	struct mechanism list[MECHANISMS_MAX];
	size_t n;
	int64_t look_again_ms;
	bool looking;
} known = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct dovecot_exchange {
	struct stream *io;
};

/* --- options ------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *name, *option; /* the server's word; the administrator's, behind "no" for what is to be left out */
	unsigned flag;
} flags[] = {
	{ "plaintext", "plaintext", DOVECOT_PLAINTEXT },
	{ "anonymous", "anonymous", DOVECOT_ANONYMOUS },
	{ "dictionary", "dictionary", DOVECOT_DICTIONARY },
	{ "active", "active", DOVECOT_ACTIVE },
	{ "forward-secrecy", "forward_secrecy", DOVECOT_FORWARD_SECRECY },
	{ "mutual-auth", "mutual_auth", DOVECOT_MUTUAL_AUTH },
	{ "private", "", DOVECOT_PRIVATE },
};

bool dovecot_options_parse(struct span text, struct dovecot_options *o_r, struct span *unknown_r)
{
	struct span word;

	*o_r = (struct dovecot_options){ .without = DOVECOT_PRIVATE };
	while (span_word(&text, ", \t\r\n", &word)) {
		unsigned flag = 0;
		bool no = span_istarts(word, "no");

		for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
			struct span name = no ? span_skip(word, 2) : word;

			if (span_iis(name, flags[i].option))
				flag = flags[i].flag;
		}
		*unknown_r = word;
		if (flag == 0 || no != (flag < DOVECOT_FORWARD_SECRECY))
			return false;
		*(no ? &o_r->without : &o_r->with) |= flag;
	}
	return true;
}

static bool fits(const struct mechanism *m, const struct dovecot_options *o)
{
	return (m->flags & o->without) == 0 && (m->flags & o->with) == o->with;
}

/* --- the handshake ------------------------------------------------------------------------------------------------ */

static bool name_is_sane(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_isalnum(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '_')
			return false;
	return name.len > 0 && name.len <= NAME_MAX_BYTES;
}

static void take_mechanism(const struct dovecot_line *line, struct mechanism *list, size_t *n)
{
	struct span rest = line->fields, name, value;
	struct mechanism *m = &list[*n];

	if (*n == MECHANISMS_MAX || !name_is_sane(line->text))
		return;
	*m = (struct mechanism){ .flags = 0 };
	memcpy(m->name, line->text.ptr, line->text.len);
	while (dovecot_field(&rest, &name, &value))
		for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
			if (span_iis(name, flags[i].name))
				m->flags |= flags[i].flag;
	(*n)++;
}

/* NULL: *list is whole. Else what is wrong. */
static const char *read_handshake(struct stream *io, struct mechanism *list, size_t *n)
{
	struct dovecot_line line;
	struct span text;

	*n = 0;
	for (int i = 0; i < HANDSHAKE_LINES_MAX; i++) {
		enum io_status st = stream_line(io, DOVECOT_LINE_MAX, &text, NULL);

		if (st != IO_OK)
			return st == IO_EOF ? "connection closed" : io_status_str(st);
		if (!dovecot_line_parse(text, &line))
			return "malformed line";
		if (line.verb == DOVECOT_VERSION && line.number != DOVECOT_MAJOR)
			return "another version of the protocol";
		if (line.verb == DOVECOT_MECH)
			take_mechanism(&line, list, n);
		else if (line.verb == DOVECOT_SPID && *n == 0)
			return "wrong socket: auth-master in place of auth-client";
		else if (line.verb == DOVECOT_DONE)
			return NULL;
	}
	return "too many lines";
}

static void remember(const struct mechanism *list, size_t n, int64_t for_ms)
{
	pthread_mutex_lock(&known.lock);
	memcpy(known.list, list, n * sizeof *list);
	known.n = n;
	known.look_again_ms = clock_deadline(for_ms);
	known.looking = false;
	pthread_mutex_unlock(&known.lock);
}

/* A connection that is ready for AUTH, or NULL. What it says about itself is remembered. */
static struct stream *connect_to(const char *endpoint)
{
	struct mechanism list[MECHANISMS_MAX] = { { .flags = 0 } };
	int64_t deadline = clock_deadline(HANDSHAKE_MS);
	const char *why = NULL;
	struct stream *io;
	size_t n = 0;
	int fd = dial(span_cstr(endpoint), deadline);

	if (fd < 0) {
		log_warn("SASL: Connect to Dovecot auth socket '%s' failed: %m", endpoint);
		remember(list, 0, AGAIN_MS);
		return NULL;
	}
	io = stream_open(fd);
	stream_set_deadline(io, deadline);
	stream_printf(io, "VERSION\t%d\t%d\nCPID\t%d\n", DOVECOT_MAJOR, DOVECOT_MINOR, (int)getpid());
	why = read_handshake(io, list, &n);
	if (why) {
		log_warn("SASL: Dovecot auth socket '%s': %s", endpoint, why);
		stream_close(io);
		io = NULL;
	}
	remember(list, why ? 0 : n, why ? AGAIN_MS : FRESH_MS);
	return io;
}

/* Is it our turn to ask again? The others take what is known. */
static bool must_look(void)
{
	bool must;

	pthread_mutex_lock(&known.lock);
	must = !known.looking && clock_mono_ms() >= known.look_again_ms;
	known.looking |= must;
	pthread_mutex_unlock(&known.lock);
	return must;
}

const char *dovecot_mechanisms(struct arena *a, const char *endpoint, const struct dovecot_options *o)
{
	const char *list = "";

	if (must_look()) {
		struct stream *io = connect_to(endpoint);

		if (io)
			stream_close(io);
	}
	pthread_mutex_lock(&known.lock);
	for (size_t i = 0; i < known.n; i++)
		if (fits(&known.list[i], o))
			list = arena_printf(a, "%s%s%s", list, list[0] ? " " : "", known.list[i].name);
	pthread_mutex_unlock(&known.lock);
	return list;
}

/* --- an exchange -------------------------------------------------------------------------------------------------- */

bool dovecot_is_base64(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_isalnum(text.ptr[i]) && text.ptr[i] != '+' && text.ptr[i] != '/' && text.ptr[i] != '=')
			return false;
	return true;
}

/* For log lines and replies, which end at a line break, and whose readers split at blanks. */
static struct span harmless(struct arena *a, struct span value, size_t max, char least)
{
	struct span text = dovecot_unescape(a, span_head(value, max));
	char *bytes = arena_cstr(a, text);

	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)bytes[i] < (unsigned char)least || bytes[i] == 127)
			bytes[i] = '?';
	return span_of(bytes, text.len);
}

static enum dovecot_said read_fields(struct arena *a, const struct dovecot_line *line, struct span *text_r)
{
	struct span rest = line->fields, name, value, user = SPAN_NONE, reason = SPAN_NONE;
	bool temp = false;

	while (dovecot_field(&rest, &name, &value)) {
		if (span_is(name, "user"))
			user = value;
		else if (span_is(name, "reason"))
			reason = value;
		temp |= span_is(name, "temp") || (span_is(name, "code") && span_is(value, "temp_fail"));
	}
	*text_r = line->verb == DOVECOT_OK ? harmless(a, user, USER_MAX, '!') : harmless(a, reason, REASON_MAX, ' ');
	if (line->verb == DOVECOT_OK && text_r->len == 0)
		log_warn("SASL: Dovecot auth server names no user");
	if (line->verb == DOVECOT_OK)
		return text_r->len ? DOVECOT_SAID_OK : DOVECOT_SAID_TEMP;
	return temp ? DOVECOT_SAID_TEMP : DOVECOT_SAID_FAIL;
}

enum { OUR_ID = 1 }; /* each exchange has its own connection */

static enum dovecot_said read_answer(struct arena *a, struct stream *io, struct span *text_r)
{
	struct dovecot_line line;
	struct span text;

	for (int i = 0; i < ANSWER_LINES_MAX; i++) {
		enum io_status st = stream_line(io, DOVECOT_LINE_MAX, &text, NULL);

		if (st != IO_OK || !dovecot_line_parse(text, &line))
			break;
		if (line.verb != DOVECOT_OK && line.verb != DOVECOT_FAIL && line.verb != DOVECOT_CONT)
			continue;
		if (line.number != OUR_ID)
			continue;
		if (line.verb != DOVECOT_CONT)
			return read_fields(a, &line, text_r);
		if (!dovecot_is_base64(line.text))
			break;
		*text_r = arena_span(a, line.text);
		return DOVECOT_SAID_CONT;
	}
	*text_r = SPAN("Connection lost to authentication server");
	return DOVECOT_SAID_TEMP;
}

static enum dovecot_said finish(struct arena *a, struct dovecot_exchange **x, struct span *text_r)
{
	enum dovecot_said said;

	stream_set_deadline((*x)->io, clock_deadline(ANSWER_MS));
	said = read_answer(a, (*x)->io, text_r);
	if (said != DOVECOT_SAID_CONT)
		dovecot_cancel(x);
	return said;
}

enum dovecot_said dovecot_begin(struct arena *a, const struct dovecot_question *q, struct dovecot_exchange **x_r,
				struct span *text_r)
{
	struct stream *io = connect_to(q->endpoint);
	char remote[NETADDR_TEXT_MAX], local[NETADDR_TEXT_MAX];

	*x_r = NULL;
	*text_r = SPAN("Connection lost to authentication server");
	if (io == NULL)
		return DOVECOT_SAID_TEMP;
	*x_r = mem_zalloc(sizeof **x_r);
	(*x_r)->io = io;
	stream_printf(io, "AUTH\t%d\t" SPAN_FMT "\tservice=%s\tnologin\tlip=%s\trip=%s%s", OUR_ID, SPAN_ARG(q->mechanism),
		      q->service, netaddr_text(&q->local, local), netaddr_text(&q->remote, remote), q->secured ? "\tsecured" : "");
	if (q->initial.ptr) {
		stream_puts(io, "\tresp=");
		stream_write(io, q->initial);
	}
	stream_puts(io, "\n");
	return finish(a, x_r, text_r);
}

enum dovecot_said dovecot_continue(struct arena *a, struct dovecot_exchange **x, struct span response, struct span *text_r)
{
	stream_printf((*x)->io, "CONT\t%d\t", OUR_ID);
	stream_write((*x)->io, response);
	stream_puts((*x)->io, "\n");
	return finish(a, x, text_r);
}

void dovecot_cancel(struct dovecot_exchange **x)
{
	if (*x == NULL)
		return;
	stream_close((*x)->io); /* the end of its connection ends the request */
	free(*x);
	*x = NULL;
}
