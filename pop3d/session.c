/* SPDX-License-Identifier: BSD-2-Clause */
/* The dialogue after login: the TRANSACTION and UPDATE states of RFC 1939, CAPA (RFC 2449), UTF8 and LANG (RFC 6856), response
 * codes (RFC 2449, 3206). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/proto/pop3_cmd.h"
#include "pop3d/pop3d.h"

enum { BAD_COMMANDS_MAX = 20, FAREWELL_MS = 2000 };

struct session {
	const struct handover_session *hs;
	struct stream *io;
	struct maildrop drop;
	unsigned bad_commands; /* in a row */
	struct figures done;
	struct buf id;
	uint32_t last, last_at_login; /* highest number that was retrieved, for LAST */
	bool utf8; /* the client has said so, before its login */
	bool quit;
	const char *why_over; /* NULL: go on */
};

static const char *log_who(struct session *s, struct arena *a)
{
	return arena_printf(a, "pop3(%.*s)<%d><%.*s>", SPAN_ARG(s->hs->user.name), (int)getpid(), SPAN_ARG(s->hs->session_id));
}

static void log_line(struct session *s, enum log_level level, const char *what, const char *more)
{
	struct arena a = ARENA_INIT;

	log_as("dovecot", level, "%s: %s%s", log_who(s, &a), what, more);
	arena_free(&a);
}

static void no(struct session *s, const char *why)
{
	stream_printf(s->io, "-ERR %s\r\n", why);
}

static void bad(struct session *s, const char *why)
{
	no(s, why);
	if (++s->bad_commands >= BAD_COMMANDS_MAX)
		s->why_over = "Too many bad commands";
}

/* What the store could not do, in the client's language. */
static void store_failed(struct session *s, enum store_status st)
{
	switch (st) {
	case STORE_EXPUNGED:
		no(s, "Message was removed by another session.");
		break;
	case STORE_LOCKED:
		no(s, "[IN-USE] Mailbox is locked by another program.");
		break;
	default:
		no(s, "[SYS/TEMP] Mailbox cannot be read now.");
		log_line(s, LOG_LV_ERROR, "mailbox: ", store_status_str(st));
		break;
	}
}

/* The message that the one number of args names; NULL: the client has been told what is wrong. */
static struct drop_msg *the_message(struct session *s, uint32_t number)
{
	struct drop_msg *m = maildrop_msg(&s->drop, number);

	if (m == NULL)
		no(s, number >= 1 && number <= s->drop.count ? "Message is deleted." : "There is no such message.");
	return m;
}

static struct drop_msg *one_message(struct session *s, struct span args)
{
	uint32_t number;

	if (pop3_numbers(args, &number, 1) != 1) {
		bad(s, "A message number is expected.");
		return NULL;
	}
	return the_message(s, number);
}

/* --- commands ---------------------------------------------------------------------------------------------------- */

static void cmd_stat(struct session *s, struct span args)
{
	uint32_t count;
	uint64_t size;
	enum store_status st = maildrop_total(&s->drop, &count, &size);

	(void)args;
	if (st != STORE_OK)
		store_failed(s, st);
	else
		stream_printf(s->io, "+OK %u %llu\r\n", count, (unsigned long long)size);
}

static void list_all(struct session *s)
{
	uint32_t count;
	uint64_t size;
	enum store_status st = maildrop_total(&s->drop, &count, &size);

	if (st != STORE_OK) {
		store_failed(s, st);
		return;
	}
	stream_printf(s->io, "+OK %u messages (%llu octets)\r\n", count, (unsigned long long)size);
	for (uint32_t i = 1; i <= s->drop.count; i++) {
		const struct drop_msg *m = maildrop_msg(&s->drop, i);

		if (m)
			stream_printf(s->io, "%u %llu\r\n", i, (unsigned long long)m->size);
	}
	stream_puts(s->io, ".\r\n");
}

static void cmd_list(struct session *s, struct span args)
{
	struct drop_msg *m;
	enum store_status st;
	uint64_t size;

	if (span_trim(args).len == 0) {
		list_all(s);
		return;
	}
	m = one_message(s, args);
	if (m == NULL)
		return;
	st = maildrop_size(&s->drop, m, &size);
	if (st != STORE_OK)
		store_failed(s, st);
	else
		stream_printf(s->io, "+OK %u %llu\r\n", maildrop_number(&s->drop, m), (unsigned long long)size);
}

static void put_uidl(struct session *s, const char *before, struct drop_msg *m)
{
	maildrop_uidl(&s->drop, m, &s->id);
	stream_printf(s->io, "%s%u %s\r\n", before, maildrop_number(&s->drop, m), buf_cstr(&s->id));
}

static void cmd_uidl(struct session *s, struct span args)
{
	struct drop_msg *m;

	if (span_trim(args).len > 0) {
		m = one_message(s, args);
		if (m)
			put_uidl(s, "+OK ", m);
		return;
	}
	stream_puts(s->io, "+OK\r\n");
	for (uint32_t i = 1; i <= s->drop.count; i++)
		if ((m = maildrop_msg(&s->drop, i)) != NULL)
			put_uidl(s, "", m);
	stream_puts(s->io, ".\r\n");
}

/* A message for clients that have said UTF8, and this is none: it has been told. */
static bool not_for_it(struct session *s, struct drop_msg *m)
{
	if (!conf->pop3_utf8_required || s->utf8 || !message_is_utf8(&s->drop, m))
		return false;
	no(s, "[UTF8] The header of this message is in UTF-8.");
	return true;
}

static void cmd_retr(struct session *s, struct span args)
{
	struct drop_msg *m = one_message(s, args);
	enum store_status st;
	uint64_t size, octets;
	char reply[64];

	if (m == NULL || not_for_it(s, m))
		return;
	st = maildrop_size(&s->drop, m, &size);
	if (st == STORE_OK) {
		snprintf(reply, sizeof reply, "+OK %llu octets", (unsigned long long)size);
		st = m->gone ? STORE_EXPUNGED : send_message(s->io, &s->drop, m, true, 0, reply, &octets);
	}
	if (st != STORE_OK) {
		store_failed(s, st);
		return;
	}
	s->done.retrs++;
	s->done.retr_octets += octets;
	if (maildrop_number(&s->drop, m) > s->last)
		s->last = maildrop_number(&s->drop, m);
	if (stream_status(s->io) == IO_OK)
		maildrop_seen(&s->drop, m);
}

static void cmd_top(struct session *s, struct span args)
{
	struct drop_msg *m;
	enum store_status st;
	uint32_t numbers[2];
	uint64_t octets;

	if (pop3_numbers(args, numbers, 2) != 2) {
		bad(s, "TOP expects a message number and a number of lines.");
		return;
	}
	m = the_message(s, numbers[0]);
	if (m == NULL || not_for_it(s, m))
		return;
	st = send_message(s->io, &s->drop, m, false, numbers[1], "+OK", &octets);
	if (st != STORE_OK) {
		store_failed(s, st);
		return;
	}
	s->done.tops++;
	s->done.top_octets += octets;
}

static void cmd_dele(struct session *s, struct span args)
{
	struct drop_msg *m = one_message(s, args);

	if (m == NULL)
		return;
	maildrop_delete(&s->drop, m);
	stream_puts(s->io, "+OK Marked to be deleted.\r\n");
}

static void cmd_rset(struct session *s, struct span args)
{
	(void)args;
	maildrop_reset(&s->drop);
	s->last = s->last_at_login;
	stream_puts(s->io, "+OK\r\n");
}

static void cmd_noop(struct session *s, struct span args)
{
	(void)args;
	stream_puts(s->io, "+OK\r\n");
}

static void cmd_last(struct session *s, struct span args)
{
	(void)args;
	if (conf->pop3_enable_last)
		stream_printf(s->io, "+OK %u\r\n", s->last);
	else
		bad(s, "Unknown command.");
}

static void cmd_capa(struct session *s, struct span args)
{
	struct buf b;

	(void)args;
	buf_init(&b, 1024);
	pop3_put_capabilities(&b, (uint64_t)(conf->pop3_login_delay_ms + 999) / 1000, (uint64_t)conf->pop3_expire_days);
	stream_puts(s->io, "+OK\r\n");
	stream_write(s->io, buf_span(&b));
	stream_puts(s->io, ".\r\n");
	buf_free(&b);
}

static void cmd_lang(struct session *s, struct span args)
{
	stream_puts(s->io, pop3_lang_answer(args));
}

static void cmd_quit(struct session *s, struct span args)
{
	enum store_status st = maildrop_commit(&s->drop);

	(void)args;
	s->quit = st == STORE_OK;
	s->why_over = "Logged out";
	if (st == STORE_OK)
		stream_puts(s->io, s->drop.ndeleted ? "+OK Logging out, messages deleted.\r\n" : "+OK Logging out.\r\n");
	else if (st == STORE_LOCKED)
		no(s, "[IN-USE] Mailbox is locked: no message was deleted.");
	else
		no(s, "[SYS/TEMP] Not all messages could be deleted.");
	if (st != STORE_OK)
		log_line(s, LOG_LV_ERROR, "deleting at QUIT: ", store_status_str(st));
}

static const struct {
	enum pop3_verb verb;
	void (*run)(struct session *s, struct span args);
} commands[] = {
	{ POP3_STAT, cmd_stat }, { POP3_LIST, cmd_list }, { POP3_RETR, cmd_retr }, { POP3_DELE, cmd_dele },
	{ POP3_RSET, cmd_rset }, { POP3_NOOP, cmd_noop }, { POP3_TOP, cmd_top },   { POP3_UIDL, cmd_uidl },
	{ POP3_CAPA, cmd_capa }, { POP3_QUIT, cmd_quit }, { POP3_LAST, cmd_last }, { POP3_LANG, cmd_lang },
};

static void dispatch(struct session *s, struct span line)
{
	struct pop3_cmd cmd;
	unsigned bad_before = s->bad_commands;

	if (pop3_cmd_parse(line, &cmd) != POP3_CMD_OK) {
		bad(s, "Malformed command.");
		return;
	}
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		if (commands[i].verb != cmd.verb)
			continue;
		commands[i].run(s, cmd.args);
		if (s->bad_commands == bad_before)
			s->bad_commands = 0;
		return;
	}
	bad(s, "Unknown command.");
}

/* --- the session ------------------------------------------------------------------------------------------------- */

static void connection_over(struct session *s, enum io_status st)
{
	switch (st) {
	case IO_EOF:
		s->why_over = "Connection closed";
		break;
	case IO_TIMEOUT:
		s->why_over = "Disconnected for inactivity";
		break;
	case IO_STOPPING:
		s->why_over = "Server is shutting down";
		break;
	default:
		s->why_over = "Connection failed";
		break;
	}
	if (st != IO_TIMEOUT && st != IO_STOPPING)
		return;
	stream_set_deadline(s->io, clock_deadline(FAREWELL_MS));
	stream_printf(s->io, "-ERR %s%s.\r\n", st == IO_STOPPING ? "[SYS/TEMP] " : "", s->why_over);
}

static void talk(struct session *s)
{
	while (s->why_over == NULL) {
		struct span line;
		enum io_status st = stream_line(s->io, POP3_LINE_MAX, &line, NULL);

		if (st == IO_OK)
			dispatch(s, line);
		else if (st == IO_TOO_LONG)
			bad(s, "Command line too long.");
		else
			connection_over(s, st);
	}
	if (stream_flush(s->io) != IO_OK)
		log_debug("client went away before the last reply");
}

static void log_end(struct session *s)
{
	struct buf b;

	s->done.deleted = s->quit ? s->drop.ndeleted : 0;
	s->done.messages = s->drop.count;
	s->done.size = maildrop_known_size(&s->drop);
	s->done.in = stream_bytes_in(s->io);
	s->done.out = stream_bytes_out(s->io);
	buf_init(&b, LOG_LINE_MAX);
	buf_addf(&b, "%s ", s->why_over);
	options_logout_text(&b, &s->done);
	log_line(s, LOG_LV_INFO, "Disconnected: ", buf_cstr(&b));
	buf_free(&b);
}

static void refuse(struct session *s, enum store_status st, const char *why)
{
	log_line(s, st == STORE_LOCKED ? LOG_LV_INFO : LOG_LV_ERROR, "mailbox cannot be opened: ",
		 why ? why : store_status_str(st));
	no(s, st == STORE_LOCKED ? "[IN-USE] Mailbox is locked by another program." : "[SYS/TEMP] Mailbox cannot be opened.");
	if (stream_flush(s->io) != IO_OK)
		log_debug("client went away before the refusal");
}

void session_serve(const struct handover_session *hs, int fd)
{
	struct session s = { .hs = hs, .utf8 = span_is(hs->tag, "UTF8") };
	enum store_status st;
	const char *why;

	buf_init(&s.id, 4096);
	s.io = stream_open(fd);
	stream_set_out_size(s.io, STREAM_OUT_MUCH);
	stream_set_timeout(s.io, conf->pop3_timeout_ms);
	st = maildrop_open(&s.drop, &hs->user, &why);
	if (st != STORE_OK) {
		refuse(&s, st, why);
		arena_free(&s.drop.arena);
	} else if (!stream_unread(s.io, hs->input)) {
		no(&s, "Command line too long.");
		maildrop_close(&s.drop);
	} else {
		s.last = s.last_at_login = conf->pop3_enable_last ? maildrop_last_seen(&s.drop) : 0;
		stream_puts(s.io, "+OK Logged in.\r\n");
		talk(&s);
		log_end(&s);
		maildrop_close(&s.drop);
	}
	buf_free(&s.id);
	stream_close(s.io);
}
