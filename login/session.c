/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
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
#include "lib/map/match.h"
#include "login/login.h"
#include "lib/service/peers.h"

enum { FAREWELL_MS = 1000, RANDOM_BYTES = SESSION_ID_BYTES / 4 * 3 };

void wipe_span(struct span s)
{
	if (s.len > 0)
		mem_wipe((char *)(uintptr_t)s.ptr, s.len);
}

enum ending ending_of(enum io_status st)
{
	switch (st) {
	case IO_TIMEOUT:
		return END_TIMEOUT;
	case IO_STOPPING:
		return END_STOPPING;
	case IO_EOF:
		return END_EOF;
	default:
		return END_ERROR;
	}
}

bool plain_is_fine(const struct login *l)
{
	return l->secured || (!conf->disable_plaintext_auth && !starttls_missing(l));
}

bool password_allowed(struct login *l)
{
	if (plain_is_fine(l))
		return true;
	l->tried_in_clear = true;
	return false;
}

/* Loopback, or a client that speaks from the very address it speaks to, as Dovecot has it; or a network that is trusted. */
static bool is_local(const struct login *l)
{
	if (l->remote.family == AF_UNIX || netaddr_is_loopback(&l->remote) || netaddr_eq(&l->remote, &l->local))
		return true;
	return match_netaddr(login_trusted, &l->remote, SPAN_NONE) == MAP_OK;
}

static void make_session_id(struct login *l)
{
	unsigned char dice[RANDOM_BYTES];
	struct buf b;

	must(getrandom(dice, sizeof dice, 0) == (ssize_t)sizeof dice);
	buf_init(&b, SESSION_ID_BYTES);
	must(base64_encode(&b, span_of((const char *)dice, sizeof dice)) && b.len == SESSION_ID_BYTES);
	memcpy(l->session_id, b.ptr, SESSION_ID_BYTES);
	buf_free(&b);
}

/* --- the log line ------------------------------------------------------------------------------------------------ */

static const char *ending_str(enum ending why)
{
	switch (why) {
	case END_LOGOUT:
		return "Aborted login";
	case END_EOF:
		return "Disconnected: Connection closed";
	case END_TIMEOUT:
		return "Disconnected: Inactivity";
	case END_BAD_COMMANDS:
		return "Disconnected: Too many invalid commands";
	case END_ATTEMPTS:
		return "Disconnected: Too many failed logins";
	case END_STOPPING:
		return "Disconnected: Server is shutting down";
	case END_CROWDED:
		return "Disconnected: Too many connections from this network";
	case END_TLS:
		return "Disconnected: TLS handshake failed";
	case END_UNKNOWN:
		return "Disconnected: Auth process did not answer";
	default:
		return "Disconnected: Connection failed";
	}
}

/* What was tried, in the words that log readers look for. */
static void put_tries(struct buf *b, const struct login *l)
{
	long long secs = (long long)(clock_mono_ms() - l->began_ms) / 1000;

	if (l->attempts > 0)
		buf_addf(b, " (auth failed, %u attempts in %lld secs)", l->attempts, secs);
	else if (l->internal_failures > 0)
		buf_addf(b, " (internal failure, %u attempts in %lld secs)", l->internal_failures, secs);
	else if (l->over_limit > 0)
		buf_addf(b, " (connection limit of the user, %u attempts in %lld secs)", l->over_limit, secs);
	else if (l->too_soon > 0)
		buf_addf(b, " (login delay, %u attempts in %lld secs)", l->too_soon, secs);
	else if (l->tried_in_clear)
		buf_adds(b, " (tried to use disallowed plaintext auth)");
	else if (l->sasl_unfinished)
		buf_addf(b, " (client didn't finish SASL auth, waited %lld secs)", secs);
	else
		buf_addf(b, " (no auth attempts in %lld secs)", secs);
}

static void put_client(struct buf *b, const struct login *l, uint32_t pid)
{
	char remote[NETADDR_TEXT_MAX], local[NETADDR_TEXT_MAX];

	if (l->mechanism)
		buf_addf(b, " user=<%s>, method=%s,", l->user, l->mechanism);
	buf_addf(b, " rip=%s, lip=%s", netaddr_text(&l->remote, remote), netaddr_text(&l->local, local));
	if (pid)
		buf_addf(b, ", mpid=%u", pid);
	if (l->tls_why[0])
		buf_addf(b, ", TLS handshaking: %s", l->tls_why);
	else if (l->tls || l->secured)
		buf_adds(b, l->tls ? ", TLS" : ", secured");
	buf_addf(b, ", session=<%s>", l->session_id);
}

static void log_end(const struct login *l, enum ending why)
{
	struct buf b;

	buf_init(&b, LOG_LINE_MAX);
	buf_adds(&b, ending_str(why));
	put_tries(&b, l);
	buf_addc(&b, ':');
	put_client(&b, l, 0);
	log_as("dovecot", LOG_LV_INFO, "%s: %s", l->protocol->log_name, buf_cstr(&b));
	buf_free(&b);
}

void session_log_login(const struct login *l, uint32_t pid)
{
	struct buf b;

	buf_init(&b, LOG_LINE_MAX);
	put_client(&b, l, pid);
	log_as("dovecot", LOG_LV_INFO, "%s: Login:%s", l->protocol->log_name, buf_cstr(&b));
	buf_free(&b);
}

/* --- a session --------------------------------------------------------------------------------------------------- */

static void say_farewell(struct login *l, enum ending why)
{
	stream_set_deadline(l->io, clock_deadline(FAREWELL_MS));
	l->protocol->farewell(l, why);
	if (stream_flush(l->io) != IO_OK)
		log_debug("client is gone before the farewell");
}

static enum ending converse(struct login *l)
{
	if (login_implicit_tls && starttls_begin(l) != STARTTLS_DONE)
		return END_TLS;
	l->protocol->greet(l);
	return l->protocol->talk(l);
}

static bool may_speak(const struct login *l, enum ending why)
{
	return why != END_UNKNOWN && why != END_TLS && (l->tls || !login_implicit_tls);
}

void session_run(const struct service_session *s, const struct protocol *p)
{
	struct login l = { .protocol = p, .arena = ARENA_INIT, .remote = s->peer, .local = s->local,
			   .relay_fd = -1 };
	enum ending why = END_CROWDED;
	struct peers_place *place = NULL;

	l.began_ms = clock_mono_ms();
	l.io = stream_open(s->fd);
	stream_set_deadline(l.io, clock_deadline(conf->login_timeout_ms));
	make_session_id(&l);
	l.secured = is_local(&l);
	if (l.secured || conf->login_client_connection_count_limit == 0 ||
	    peers_enter(&l.remote, (uint32_t)conf->login_client_connection_count_limit, &place, NULL)) {
		why = converse(&l);
		peers_leave(place);
	}
	if (why != END_HANDED_OVER) {
		if (may_speak(&l, why))
			say_farewell(&l, why);
		log_end(&l, why);
	} else if (l.tls) {
		arena_free(&l.arena);
		starttls_relay(&l);
	}
	if (l.relay_fd >= 0)
		close(l.relay_fd);
	stream_close(l.io);
	free(l.tls);
	arena_free(&l.arena);
}
