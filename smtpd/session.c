/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtpd/session.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "lib/route/route.h"
#include "lib/service/peers.h"
#include "smtpd/access.h"
#include "smtpd/command_lists.h"
#include "smtpd/discard.h"
#include "smtpd/footer.h"
#include "smtpd/intake.h"
#include "smtpd/peaks.h"
#include "smtpd/proxied.h"
#include "smtpd/rates.h"
#include "smtpd/starttls.h"

enum command_flags {
	LAST = 1, /* the client must wait for the reply: nothing may be pipelined behind it (RFC 2920 3.1) */
	PAYLOAD = 4, /* what is behind it belongs to it, or nothing that comes matters */
	JUNK = 2, /* counts against smtpd_junk_command_limit */
	CLEAR = 8, /* allowed in the clear where TLS is demanded (RFC 3207 4) */
};

static const struct command {
	void (*handle)(struct smtpd_session *s, const struct smtp_cmd *cmd);
	unsigned flags;
} commands[SMTP_VERBS] = {
	[SMTP_VERB_EHLO] = { cmd_ehlo, LAST | JUNK | CLEAR },
	[SMTP_VERB_HELO] = { cmd_helo, LAST | JUNK | CLEAR },
	[SMTP_VERB_LHLO] = { cmd_lhlo, LAST | JUNK | CLEAR },
	[SMTP_VERB_MAIL] = { cmd_mail, 0 },
	[SMTP_VERB_RCPT] = { cmd_rcpt, 0 },
	[SMTP_VERB_DATA] = { cmd_data, LAST },
	[SMTP_VERB_BDAT] = { cmd_bdat, PAYLOAD },
	[SMTP_VERB_AUTH] = { cmd_auth, LAST },
	[SMTP_VERB_RSET] = { cmd_rset, JUNK },
	[SMTP_VERB_NOOP] = { cmd_noop, JUNK | LAST | CLEAR },
	[SMTP_VERB_VRFY] = { cmd_vrfy, JUNK | LAST },
	[SMTP_VERB_EXPN] = { cmd_expn, JUNK | LAST },
	[SMTP_VERB_HELP] = { cmd_help, JUNK | LAST },
	[SMTP_VERB_ETRN] = { cmd_etrn, LAST | JUNK },
	[SMTP_VERB_XCLIENT] = { cmd_xclient, LAST | CLEAR },
	[SMTP_VERB_XFORWARD] = { cmd_xforward, CLEAR },
	[SMTP_VERB_QUIT] = { cmd_quit, PAYLOAD | CLEAR },
	[SMTP_VERB_STARTTLS] = { cmd_starttls, LAST | CLEAR },
};

enum { REPLY_MAX = 1022 };

bool smtpd_lmtp;

/* --- replies and the transaction ---------------------------------------------------------------------------------- */

static void punish(struct smtpd_session *s)
{
	s->errors++;
	if (s->errors > (unsigned)conf->smtpd_soft_error_limit && conf->smtpd_error_sleep_time_ms > 0) {
		(void)!stream_flush(s->stream);
		(void)!io_sleep_until(clock_deadline(conf->smtpd_error_sleep_time_ms));
	}
}

/* soft_bounce: nothing is refused for good. */
static void soften(char *text)
{
	if (!conf->soft_bounce || text[0] != '5')
		return;
	text[0] = '4';
	if (strncmp(text + 3, " 5.", 3) == 0)
		text[4] = '4';
}

static void say(struct smtpd_session *s, char *text)
{
	const char *footer = footer_for(s, text);

	soften(text);
	if (strncmp(text, "421", 3) == 0 || strncmp(text, "521", 3) == 0)
		s->quit = true;
	stream_printf(s->stream, "%s\r\n", footer ? footer_add(s, footer, text) : text);
}

static void say_formatted(struct smtpd_session *s, bool kindly, const char *fmt, va_list ap)
{
	char text[REPLY_MAX];

	vsnprintf(text, sizeof text, fmt, ap);
	if (!kindly && (text[0] == '4' || text[0] == '5'))
		punish(s);
	say(s, text);
}

void reply(struct smtpd_session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_formatted(s, false, fmt, ap);
	va_end(ap);
}

void reply_kindly(struct smtpd_session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_formatted(s, true, fmt, ap);
	va_end(ap);
}

void reply_message(struct smtpd_session *s, const char *text)
{
	char again[REPLY_MAX];

	reply(s, "%s", text);
	for (size_t i = 1; smtpd_lmtp && i < s->txn.accepted; i++) { /* one mistake, however many it was for */
		snprintf(again, sizeof again, "%s", text);
		say(s, again);
	}
}

void transaction_reset(struct smtpd_session *s)
{
	struct arena kept = s->txn.arena;

	log_release();
	htab_free(&s->txn.seen);
	intake_abort(s->txn.intake);
	arena_reset(&kept);
	s->txn = (struct transaction){ .arena = kept };
}

const char *smtpd_protocol(const struct smtpd_session *s)
{
	if (smtpd_lmtp)
		return "LMTP";
	return s->txn.env.flags & QUEUE_SMTPUTF8 ? "UTF8SMTP" : s->esmtp ? "ESMTP" : "SMTP";
}

void log_reject(const struct smtpd_session *s, const char *stage, const char *text, struct span rcpt)
{
	log_reject_as(s, "reject", stage, text, rcpt);
}

void log_reject_as(const struct smtpd_session *s, const char *decision, const char *stage, const char *text, struct span rcpt)
{
	const struct transaction *t = &s->txn;
	struct arena tmp = ARENA_INIT;
	struct buf more;

	buf_init(&more, LOG_LINE_MAX);
	if (t->have_sender)
		buf_addf(&more, " from=<" SPAN_FMT ">", SPAN_ARG(addr_quote(&tmp, t->sender_given)));
	if (rcpt.len)
		buf_addf(&more, " to=<" SPAN_FMT ">", SPAN_ARG(addr_quote(&tmp, rcpt)));
	buf_addf(&more, " proto=%s", smtpd_protocol(s));
	if (s->helo.len)
		buf_addf(&more, " helo=<" SPAN_FMT ">", SPAN_ARG(s->helo));
	log_info("%s: %s: %s from %s: %s;%s", t->env.id[0] ? t->env.id : "NOQUEUE", decision, stage, s->client, text,
		 buf_cstr(&more));
	log_release(); /* whoever watches the log for refusals must not wait for the end of the message */
	buf_free(&more);
	arena_free(&tmp);
}

/* --- the end of a session ----------------------------------------------------------------------------------------- */

/* " ehlo=1 mail=1 rcpt=0/1 commands=2/3" */
static void log_disconnect(const struct smtpd_session *s)
{
	unsigned all = 0, ok = 0;
	char text[512];
	size_t len = 0;

	text[0] = '\0';
	for (int v = 0; v < SMTP_VERBS; v++) {
		char name[16];
		size_t n = 0;

		if (s->count_all[v] == 0)
			continue;
		for (const char *p = smtp_verb_str((enum smtp_verb)v); *p && n < sizeof name - 1; p++)
			name[n++] = ascii_lower(*p);
		name[n] = '\0';
		all += s->count_all[v];
		ok += s->count_ok[v];
		len += (size_t)snprintf(text + len, sizeof text - len, s->count_ok[v] == s->count_all[v] ? " %s=%u" : " %s=%u/%u",
					name, s->count_ok[v], s->count_all[v]);
	}
	log_info(ok == all ? "disconnect from %s%s commands=%u" : "disconnect from %s%s commands=%u/%u", s->client, text, ok, all);
}

static const char *after(const struct smtpd_session *s)
{
	if (s->last_verb == SMTP_VERB_UNKNOWN)
		return s->count_all[SMTP_VERB_UNKNOWN] ? "UNKNOWN" : "CONNECT";
	return smtp_verb_str(s->last_verb);
}

static void log_lost(struct smtpd_session *s, enum io_status why)
{
	switch (why) {
	case IO_TIMEOUT:
		reply(s, "421 4.4.2 %s Error: timeout exceeded", conf->myhostname);
		log_info("timeout after %s from %s", after(s), s->client);
		break;
	case IO_STOPPING:
		reply(s, "421 4.3.2 %s Service is going down, try again", conf->myhostname);
		break;
	default:
		log_info("lost connection after %s from %s", after(s), s->client);
	}
}

/* --- the dialogue ------------------------------------------------------------------------------------------------- */

/* A client that talks before its turn does not read replies, so it is not a mail server (hazards: pipelining abuse). */
static void refuse_pipelining(struct smtpd_session *s, const char *stage)
{
	struct span data = span_head(stream_buffered(s->stream), 100);

	log_info("improper command pipelining after %s from %s: " SPAN_FMT, stage, s->client, SPAN_ARG(data));
	reply(s, "554 5.5.0 Error: SMTP protocol synchronization");
	s->quit = true;
}

static bool talks_too_early(struct smtpd_session *s, unsigned flags)
{
	if (!conf->smtpd_forbid_unauth_pipelining || s->is_sendmail)
		return false;
	return (flags & LAST || !s->esmtp) && stream_has_input(s->stream);
}

bool within_chunks(const struct smtpd_session *s)
{
	return s->txn.intake || s->txn.bdat_failed;
}

/* Somebody's browser, or what speaks to web servers: made to send mail by whoever wrote the page that it shows. */
static void send_away(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	struct span line = span_of(cmd->word.ptr, cmd->word.len + (cmd->args.len ? 1 + cmd->args.len : 0));

	log_warn("non-SMTP command from %s: " SPAN_FMT, s->client, SPAN_ARG(span_head(line, 100)));
	reply(s, "221 2.7.0 Error: I can break rules, too. Goodbye.");
	s->quit = true;
}

static void handle(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	const struct command *c = &commands[cmd->verb];
	unsigned errors = s->errors;

	s->last_verb = cmd->verb;
	s->count_all[cmd->verb]++;
	if (cmd->verb == SMTP_VERB_UNKNOWN && command_is_forbidden(cmd->word)) {
		send_away(s, cmd);
		return;
	}
	/* QUIT and DATA content may follow at once; whatever else waits behind a command that ends a group must not be there. */
	if (c->handle && !(c->flags & PAYLOAD) && talks_too_early(s, c->flags)) {
		refuse_pipelining(s, smtp_verb_str(cmd->verb));
		return;
	}
	if (c->flags & JUNK && s->junk++ > (unsigned)conf->smtpd_junk_command_limit)
		punish(s);
	if (s->refused && cmd->verb != SMTP_VERB_QUIT)
		reply(s, "503 5.7.0 Error: access denied for %s", s->client);
	else if (within_chunks(s) && (cmd->verb == SMTP_VERB_MAIL || cmd->verb == SMTP_VERB_RCPT))
		reply(s, "503 5.5.1 Error: %s after BDAT", smtp_verb_str(cmd->verb));
	else if (c->handle && !(c->flags & CLEAR) && starttls_missing(s))
		reply(s, "530 5.7.0 Must issue a STARTTLS command first");
	else if (c->handle)
		c->handle(s, cmd);
	else if (cmd->verb == SMTP_VERB_UNKNOWN)
		reply(s, "500 5.5.2 Error: command not recognized");
	else
		reply(s, "502 5.5.1 Error: command not implemented");
	if (s->errors == errors)
		s->count_ok[cmd->verb]++;
}

/* A client that sends a byte now and then is as slow as one that sends nothing. */
void request_begin(struct smtpd_session *s)
{
	stream_set_timeout(s->stream, conf->smtpd_timeout_ms); /* it depends on the load */
	s->deadline_ms = conf->smtpd_per_request_deadline ? clock_deadline(conf->smtpd_timeout_ms) : CLOCK_NEVER;
	stream_set_deadline(s->stream, s->deadline_ms);
}

void request_progress(struct smtpd_session *s, size_t bytes)
{
	int64_t latest = clock_deadline(conf->smtpd_timeout_ms);

	if (!conf->smtpd_per_request_deadline)
		return;
	s->deadline_ms += (int64_t)bytes * 1000 / conf->smtpd_min_data_rate;
	if (s->deadline_ms > latest)
		s->deadline_ms = latest;
	stream_set_deadline(s->stream, s->deadline_ms);
}

static void obey(struct smtpd_session *s, struct span line)
{
	enum smtp_cmd_err err;
	struct smtp_cmd cmd;

	if (!command_filter(s, &line)) {
		log_info("%s: reject: %s from %s: 421 4.3.0 %s Server local data error",
			 s->txn.env.id[0] ? s->txn.env.id : "NOQUEUE", after(s), s->client, conf->myhostname);
		reply(s, "421 4.3.0 %s Server local data error", conf->myhostname);
		return;
	}
	err = smtp_cmd_parse(line, &cmd);
	if (err != SMTP_CMD_OK) {
		s->count_all[SMTP_VERB_UNKNOWN]++;
		reply(s, SPAN_FMT, SPAN_ARG(smtp_cmd_reply(&s->cmd, err, SPAN_NONE)));
	} else if (command_is_noop(cmd.word)) {
		if (s->junk++ > (unsigned)conf->smtpd_junk_command_limit)
			punish(s);
		reply(s, "250 2.0.0 Ok");
	} else {
		handle(s, &cmd);
	}
}

static void go_on(void *arg);

bool session_pause(struct smtpd_session *s)
{
	log_release();
	s->paused = service_park(stream_fd(s->stream), stream_pause_until(s->stream), go_on, s);
	return s->paused;
}

static void read_command(struct smtpd_session *s);

void await_command(struct smtpd_session *s)
{
	request_begin(s);
	s->next = read_command;
}

/* Most sessions wait for most of the time: a second in this thread, then without one. IO_LATER: paused. */
static enum io_status read_line(struct smtpd_session *s, struct span *line_r)
{
	size_t max = (size_t)conf->line_length_limit;
	enum io_status status;

	stream_set_pausable(s->stream, true);
	status = stream_line(s->stream, max, line_r, NULL);
	if (status == IO_LATER && session_pause(s))
		return status;
	stream_set_pausable(s->stream, false);
	return status == IO_LATER ? stream_line(s->stream, max, line_r, NULL) : status;
}

static void read_command(struct smtpd_session *s)
{
	struct span line;
	enum io_status status = read_line(s, &line);

	if (status == IO_LATER)
		return;
	s->next = await_command;
	if (status == IO_TOO_LONG) {
		s->count_all[SMTP_VERB_UNKNOWN]++;
		reply(s, "500 5.5.2 Error: line too long");
	} else if (status != IO_OK) {
		log_lost(s, status);
		s->quit = true;
		return;
	} else if (s->no_cert) {
		reply(s, "421 4.7.1 %s Error: %s", conf->myhostname, s->no_cert);
		s->quit = true;
	} else {
		/* Replies may need the input buffer again (errors sleep, DATA reads): keep the line. */
		obey(s, arena_span(&s->cmd, line));
	}
	if (s->errors >= (unsigned)conf->smtpd_hard_error_limit && !s->quit) {
		reply(s, "421 4.7.0 %s Error: too many errors", conf->myhostname);
		log_info("too many errors after %s from %s", after(s), s->client);
		s->quit = true;
	}
	if (stream_has_input(s->stream))
		arena_reset(&s->cmd);
	else
		arena_free(&s->cmd); /* the client may think for long */
}

static bool spoke_before_banner(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return conf->smtpd_forbid_unauth_pipelining && poll(&p, 1, 0) > 0 && p.revents & POLLIN;
}

void client_trust(struct smtpd_session *s)
{
	enum map_status st = route_in_mynetworks(&s->peer);

	s->trusted = st == MAP_OK;
	s->trust_unknown = st == MAP_TEMP;
}

const char *client_label(struct smtpd_session *s)
{
	const char *name = arena_printf(&s->arena, SPAN_FMT "[%s]", SPAN_ARG(s->client_name), s->peer_text);

	if (!conf->smtpd_client_port_logging)
		return name;
	return s->peer.port ? arena_printf(&s->arena, "%s:%u", name, s->peer.port) : arena_printf(&s->arena, "%s:unknown", name);
}

/* Another mail system on a UNIX socket. Rules, policy services and the log want an address: that of this machine, as in Postfix. */
static void is_this_machine(struct smtpd_session *s)
{
	(void)!netaddr_parse(SPAN("127.0.0.1"), &s->peer);
	s->local = s->peer;
	s->client_name = s->reverse_name = SPAN("localhost");
	s->name_status = s->reverse_status = DNS_OK;
}

static void identify(struct smtpd_session *s, const struct service_session *ss)
{
	s->is_unix = ss->peer.family == AF_UNIX || ss->peer.family == 0;
	s->is_sendmail = s->is_unix && !smtpd_lmtp;
	if (s->is_sendmail) {
		if (frame_peer(ss->fd, &s->unix_uid, NULL, NULL) < 0)
			s->unix_uid = (uid_t)-1;
		s->client_name = s->reverse_name = SPAN("localhost");
		s->client = arena_printf(&s->arena, "localhost[userid %u]", (unsigned)s->unix_uid);
		s->trusted = true;
		return;
	}
	if (s->is_unix)
		is_this_machine(s);
	netaddr_text(&s->peer, s->peer_text);
	if (!s->is_unix)
		client_names(s);
	s->client = client_label(s);
	client_trust(s);
}

static void welcome(struct smtpd_session *s)
{
	const char *why;

	s->next = await_command;
	if (!s->is_sendmail && s->tls == NULL && spoke_before_banner(stream_fd(s->stream))) {
		if (stream_fill(s->stream) == IO_OK) {
			refuse_pipelining(s, "CONNECT");
		} else {
			log_lost(s, IO_EOF);
			s->quit = true;
		}
	} else if (s->no_cert) { /* it waits for a greeting, and says nothing before */
		reply(s, "421 4.7.1 %s Error: %s", conf->myhostname, s->no_cert);
		s->quit = true;
	} else if (!rates_allow(s, RATE_CONNECTION)) {
		s->quit = true;
	} else if (!access_connect(s, &why)) {
		s->refused = true;
		reply(s, "%s", why);
	} else {
		stream_printf(s->stream, "220 %s\r\n", conf->smtpd_banner);
	}
}

static void begin_dialogue(struct smtpd_session *s)
{
	if (!s->is_sendmail)
		log_info("connect from %s", s->client);
	discard_decide(s);
	s->next = welcome;
	if (conf->smtpd_tls_wrappermode && !s->is_unix && !starttls_wrapped(s))
		s->quit = true;
}

static bool crowded(struct smtpd_session *s)
{
	uint32_t count;
	bool room;

	if (rates_exempt(s) || conf->smtpd_client_connection_count_limit == 0)
		return false;
	room = peers_enter(&s->peer, (uint32_t)conf->smtpd_client_connection_count_limit, &s->place, &count);
	peaks_note(PEAK_CONNECTION_COUNT, count, &s->peer);
	return !room;
}

static void turn_away(struct smtpd_session *s)
{
	log_info("connect from %s", s->client);
	log_warn("Connection concurrency limit exceeded: more than %lld from %s for service %s",
		 (long long)conf->smtpd_client_connection_count_limit, s->client, service_name());
	if (!conf->smtpd_tls_wrappermode)
		reply(s, "421 4.7.0 %s Error: too many connections from %s", conf->myhostname, s->peer_text);
	s->quit = true;
}

static void end(struct smtpd_session *s)
{
	(void)!stream_flush(s->stream);
	if (!s->is_sendmail)
		log_disconnect(s);
	peers_leave(s->place);
	transaction_reset(s);
	arena_free(&s->txn.arena);
	arena_free(&s->cmd);
	arena_free(&s->arena);
	stream_close(s->stream);
	free(s);
}

/* Until it is over, or pauses; perhaps in another thread than before. */
static void go_on(void *arg)
{
	struct smtpd_session *s = arg;

	s->paused = false;
	while (!s->quit && !s->paused && stream_status(s->stream) == IO_OK)
		s->next(s);
	if (!s->paused)
		end(s);
}

void smtpd_session(const struct service_session *accepted)
{
	struct service_session ss = *accepted;
	struct smtpd_session *s;

	if (!proxied_session(&ss)) {
		close(ss.fd);
		return;
	}
	s = mem_zalloc(sizeof *s);
	s->peer = s->real_peer = ss.peer;
	s->local = ss.local;
	s->stream = stream_open(ss.fd);
	stream_set_timeout(s->stream, conf->smtpd_timeout_ms);
	identify(s, &ss);
	if (crowded(s))
		turn_away(s);
	else
		begin_dialogue(s);
	go_on(s);
}
