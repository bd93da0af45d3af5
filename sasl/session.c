/* SPDX-License-Identifier: BSD-2-Clause */
/*
 *	request      what ends it
 *	asked        a refusal is due (refused), success, CANCEL, REQUEST_MS
 *	refused      its time has come: FAIL
 *
 * A client that breaks the protocol is disconnected: it is a program, not a person.
 */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/base/base64.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "lib/proto/dovecot_auth.h"
#include "lib/service/auth_ask.h"
#include "lib/service/sasl_turn.h"
#include "sasl/sasl.h"

enum { REQUESTS_MAX = 32, HANDSHAKE_MS = 60000, LINE_MS = 10000, IDLE_MS = 3600000, REQUEST_MS = 150000, COOKIE_BYTES = 16 };

struct request {
	bool used;
	uint32_t id;
	struct arena arena;
	struct sasl_server server;
	struct handover_login question;
	int64_t until_ms;    /* when the refusal goes out; of one that goes on: when there has been time enough */
	bool refused, last_word; /* last_word: the mechanism has told the client why, whose answer is awaited before FAIL */
	const char *why;     /* further fields of FAIL */
};

struct client {
	struct stream *io;
	struct request requests[REQUESTS_MAX];
};

/* --- who may ask -------------------------------------------------------------------------------------------------- */

static bool listed(uid_t uid)
{
	struct span rest = span_cstr(conf->auth_client_users), word;
	struct arena a = ARENA_INIT;
	bool found = false;

	while (!found && span_word(&rest, ", \t\r\n", &word)) {
		char space[4096];
		struct passwd entry, *pw = NULL;

		found = getpwnam_r(arena_cstr(&a, word), &entry, space, sizeof space, &pw) == 0 && pw && pw->pw_uid == uid;
	}
	arena_free(&a);
	return found;
}

static bool may_ask(const struct service_session *ss)
{
	uid_t uid;

	if (ss->peer.family != AF_UNIX || frame_peer(ss->fd, &uid, NULL, NULL) < 0) {
		log_warn("connection refused: only programs of this machine may ask");
		return false;
	}
	if (uid == 0 || uid == geteuid() || listed(uid))
		return true;
	log_warn("connection by uid %d refused: not in auth_client_users", (int)uid);
	return false;
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static void wipe(struct span s)
{
	if (s.len)
		mem_wipe((char *)(uintptr_t)s.ptr, s.len);
}

static struct request *find(struct client *c, uint32_t id)
{
	for (size_t i = 0; i < REQUESTS_MAX; i++)
		if (c->requests[i].used && c->requests[i].id == id)
			return &c->requests[i];
	return NULL;
}

static void end(struct request *r)
{
	wipe(r->server.password);
	arena_free(&r->arena);
	*r = (struct request){ .arena = ARENA_INIT };
}

static void put_fail(struct client *c, struct request *r)
{
	struct buf b;

	buf_init(&b, 4 * HANDOVER_USER_MAX);
	buf_addf(&b, "FAIL\t%u", r->id);
	if (r->question.user.len && buf_adds(&b, "\tuser="))
		(void)dovecot_escape(&b, span_head(r->question.user, HANDOVER_USER_MAX));
	buf_addf(&b, "%s\n", r->why);
	stream_write(c->io, buf_span(&b));
	buf_free(&b);
	end(r);
}

static void refuse(struct request *r, const char *why, int64_t until_ms)
{
	r->refused = true;
	r->why = why;
	r->until_ms = until_ms;
	wipe(r->server.password);
	r->server.password = SPAN_NONE;
}

static int64_t due(const struct request *r)
{
	return r->until_ms + (r->last_word ? REQUEST_MS : 0);
}

/* What is due by now goes out; when to look again. */
static int64_t send_due(struct client *c)
{
	int64_t now = clock_mono_ms(), next = CLOCK_NEVER;

	for (size_t i = 0; i < REQUESTS_MAX; i++) {
		struct request *r = &c->requests[i];

		if (r->used && !r->refused && due(r) <= now)
			refuse(r, "\treason=Authentication request timed out", now);
		if (r->used && due(r) <= now)
			put_fail(c, r);
		else if (r->used && due(r) < next)
			next = due(r);
	}
	return next;
}

static void put_challenge(struct client *c, const struct request *r)
{
	struct buf b;

	buf_init(&b, 2 * SASL_MESSAGE_MAX);
	must(base64_encode(&b, r->server.challenge));
	stream_printf(c->io, "CONT\t%u\t" SPAN_FMT "\n", r->id, SPAN_ARG(buf_span(&b)));
	buf_free(&b);
}

/* Success is one line and the end; false: the time at which the refusal may go out is set. */
static bool answer_is_ok(struct client *c, struct request *r)
{
	int64_t asked_ms = clock_mono_ms(), pause_ms;
	struct handover_reply reply;
	enum auth_ask got = auth_ask("private/auth", &r->question, -1, &r->arena, &reply);
	struct buf b;

	if (got != AUTH_SAID || reply.code != HANDOVER_OK) {
		pause_ms = reply.delay_ms > conf->auth_failure_delay_ms ? reply.delay_ms : conf->auth_failure_delay_ms;
		refuse(r,
		       got != AUTH_SAID || reply.code == HANDOVER_TEMP ? "\ttemp\tcode=temp_fail"
		       : reply.code == HANDOVER_DISABLED              ? "\tuser_disabled\tcode=user_disabled"
								      : "",
		       asked_ms + pause_ms);
		return false;
	}
	buf_init(&b, 4 * HANDOVER_USER_MAX);
	(void)dovecot_escape(&b, reply.user);
	stream_printf(c->io, "OK\t%u\tuser=" SPAN_FMT "\n", r->id, SPAN_ARG(buf_span(&b)));
	buf_free(&b);
	end(r);
	return true;
}

static void go_on(struct client *c, struct request *r, enum sasl_step step)
{
	const struct sasl_asker asker = { .auth_path = "private/auth", .question = &r->question };
	int64_t now = clock_mono_ms();

	switch (sasl_turn(&r->server, &asker, step)) {
	case SASL_TURN_CHALLENGE:
		put_challenge(c, r);
		break;
	case SASL_TURN_READY:
		if (!answer_is_ok(c, r) && sasl_server_refused(&r->server)) {
			r->last_word = true;
			put_challenge(c, r);
		}
		break;
	case SASL_TURN_TEMP:
		refuse(r, "\ttemp\tcode=temp_fail", now + conf->auth_failure_delay_ms);
		break;
	default:
		refuse(r, "\treason=malformed response", now + conf->auth_failure_delay_ms);
		break;
	}
}

/* --- what clients say --------------------------------------------------------------------------------------------- */

/* False: not base64. The text is wiped. */
static bool decode(struct request *r, struct span text, struct span *out)
{
	struct buf b;
	bool ok;

	buf_init(&b, DOVECOT_LINE_MAX);
	ok = base64_decode(&b, text);
	if (ok)
		*out = arena_span(&r->arena, buf_span(&b));
	buf_wipe(&b);
	wipe(text);
	return ok;
}

static void take_field(struct request *r, struct span name, struct span value, struct span *response)
{
	if (span_is(name, "rip"))
		(void)netaddr_parse(value, &r->question.remote);
	else if (span_is(name, "lip"))
		(void)netaddr_parse(value, &r->question.local);
	else if (span_is(name, "secured"))
		r->question.secured = true;
	else if (span_is(name, "resp"))
		*response = value;
}

static struct request *new_request(struct client *c, const struct dovecot_line *line)
{
	struct request *r = NULL;

	for (size_t i = 0; i < REQUESTS_MAX && r == NULL; i++)
		if (!c->requests[i].used)
			r = &c->requests[i];
	if (r)
		*r = (struct request){ .used = true, .id = line->number, .arena = ARENA_INIT, .why = "",
				       .until_ms = clock_deadline(REQUEST_MS) };
	return r;
}

/* False: not a line of this protocol. */
static bool take_auth(struct client *c, struct dovecot_line *line)
{
	enum sasl_mech mech = sasl_mech_find(line->text);
	struct span name, value, response = SPAN_NONE, message = SPAN_NONE;
	struct sasl_setup setup = { .host = span_cstr(conf->myhostname) };
	struct request *r;

	if (find(c, line->number))
		return false;
	r = new_request(c, line);
	if (r == NULL) {
		stream_printf(c->io, "FAIL\t%u\ttemp\tcode=temp_fail\n", line->number);
		return true;
	}
	while (dovecot_field(&line->fields, &name, &value))
		take_field(r, name, value, &response);
	r->question.service = SPAN("smtp");
	r->question.mechanism = span_cstr(sasl_mech_str(mech));
	if (!(sasl_mechanisms & SASL_BIT(mech))) {
		refuse(r, "\treason=Unsupported authentication mechanism", clock_mono_ms());
	} else if (response.ptr && !decode(r, response, &message)) {
		refuse(r, "\treason=Invalid base64 data in initial response", clock_mono_ms());
	} else {
		setup.nonce = sasl_nonce(&r->arena);
		go_on(c, r, sasl_server_begin(&r->server, &r->arena, mech, &setup, message));
	}
	return true;
}

static bool take_cont(struct client *c, const struct dovecot_line *line)
{
	struct request *r = find(c, line->number);
	struct span message;

	if (r == NULL) {
		stream_printf(c->io, "FAIL\t%u\treason=Authentication request timed out\n", line->number);
		return true;
	}
	if (r->last_word) {
		r->last_word = false;
		return true;
	}
	if (r->refused)
		return false;
	if (decode(r, line->text, &message))
		go_on(c, r, sasl_server_step(&r->server, message));
	else
		refuse(r, "\treason=Invalid base64 data in continued response", clock_mono_ms());
	return true;
}

/* False: the end of the connection. */
static bool take_line(struct client *c, struct span text, bool *greeted)
{
	struct dovecot_line line;
	struct request *r;

	if (!dovecot_line_parse(text, &line))
		return false;
	switch (line.verb) {
	case DOVECOT_VERSION:
		*greeted = line.number == DOVECOT_MAJOR;
		return *greeted;
	case DOVECOT_AUTH:
		return *greeted && take_auth(c, &line);
	case DOVECOT_CONT:
		return *greeted && take_cont(c, &line);
	case DOVECOT_CANCEL:
		r = find(c, line.number);
		if (r)
			end(r);
		return *greeted;
	case DOVECOT_CPID:
		return *greeted;
	default: /* a newer client may say more */
		return *greeted;
	}
}

/* --- the connection ----------------------------------------------------------------------------------------------- */

static const char *flags_of(enum sasl_mech mech)
{
	if (SASL_BIT(mech) & SASL_IN_CLEAR)
		return "\tplaintext";
	return mech == SASL_CRAM_MD5 ? "\tdictionary\tactive" : "\tmutual-auth";
}

static void put_handshake(struct client *c)
{
	static _Atomic unsigned connections;
	unsigned char cookie[COOKIE_BYTES];

	must(getrandom(cookie, sizeof cookie, 0) == (ssize_t)sizeof cookie);
	stream_printf(c->io, "VERSION\t%d\t%d\n", DOVECOT_MAJOR, DOVECOT_MINOR);
	for (enum sasl_mech m = SASL_PLAIN; m < SASL_MECHS; m++)
		if (sasl_mechanisms & SASL_BIT(m))
			stream_printf(c->io, "MECH\t%s%s\n", sasl_mech_str(m), flags_of(m));
	stream_printf(c->io, "SPID\t%d\nCUID\t%u\nCOOKIE\t", (int)getpid(), ++connections);
	for (size_t i = 0; i < sizeof cookie; i++)
		stream_printf(c->io, "%02x", cookie[i]);
	stream_puts(c->io, "\nDONE\n");
}

/* One line within LINE_MS of its first byte. Output is sent before each wait. */
static bool serve_line(struct client *c, bool *greeted)
{
	struct span text;
	bool go_on_reading;

	stream_set_deadline(c->io, clock_deadline(LINE_MS));
	if (stream_line(c->io, DOVECOT_LINE_MAX, &text, NULL) != IO_OK)
		return false;
	go_on_reading = take_line(c, text, greeted);
	wipe(text);
	return go_on_reading;
}

static void converse(struct client *c)
{
	int64_t idle_until_ms = clock_deadline(HANDSHAKE_MS);
	bool greeted = false;

	put_handshake(c);
	for (;;) {
		int64_t next = send_due(c);
		enum io_status st = IO_OK;

		if (!stream_has_input(c->io)) {
			stream_set_deadline(c->io, clock_deadline(LINE_MS));
			if (stream_flush(c->io) != IO_OK)
				return;
			st = service_wait_request(stream_fd(c->io), next < idle_until_ms ? next : idle_until_ms);
		}
		if (st == IO_TIMEOUT && clock_mono_ms() < idle_until_ms)
			continue;
		if (st != IO_OK || !serve_line(c, &greeted))
			return;
		if (greeted)
			idle_until_ms = clock_deadline(IDLE_MS);
	}
}

void sasl_session(const struct service_session *ss)
{
	struct client *c;

	if (!may_ask(ss)) {
		close(ss->fd);
		return;
	}
	c = mem_zalloc(sizeof *c);
	c->io = stream_open(ss->fd);
	converse(c);
	for (size_t i = 0; i < REQUESTS_MAX; i++)
		if (c->requests[i].used)
			end(&c->requests[i]);
	stream_close(c->io);
	free(c);
}
