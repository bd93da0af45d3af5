/* SPDX-License-Identifier: BSD-2-Clause */
/* IMAP before login: RFC 3501 6.1 and 6.2, SASL-IR (RFC 4959), ID (RFC 2971). */
#include <stdio.h>
#include <string.h>

#include "lib/conf/conf.h"
#include "lib/proto/imap_caps.h"
#include "lib/proto/imap_parse.h"
#include "login/login.h"

#define NOT_IN_CLEAR "[PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections."

/* One command, from its table entry's point of view. True: the session is over, *end_r says how. */
typedef bool handler(struct login *l, const struct imap_command *cmd, enum ending *end_r);

static void reply(struct login *l, struct span tag, const char *text)
{
	stream_write(l->io, tag);
	stream_printf(l->io, " %s\r\n", text);
}

static bool bad(struct login *l, struct span tag, const char *why, enum ending *end_r)
{
	stream_write(l->io, tag);
	stream_printf(l->io, " BAD %s\r\n", why);
	*end_r = END_BAD_COMMANDS;
	return ++l->bad_commands >= BAD_COMMANDS_MAX;
}

enum { CAPABILITIES_MAX = 400 };

static const char *capabilities(const struct login *l, char to[CAPABILITIES_MAX])
{
	bool may = plain_is_fine(l);
	int n = snprintf(to, CAPABILITIES_MAX, IMAP_CAPABILITIES_BASE "%s%s",
			 starttls_offered(l) ? " STARTTLS" : "", !may ? " LOGINDISABLED" : "");

	for (enum sasl_mech m = SASL_PLAIN; m < SASL_MECHS; m++)
		if (sasl_offer(l) & SASL_BIT(m))
			n += snprintf(to + n, CAPABILITIES_MAX - (size_t)n, " AUTH=%s", sasl_mech_str(m));
	return to;
}

static void greet(struct login *l)
{
	char caps[CAPABILITIES_MAX];

	stream_printf(l->io, "* OK [CAPABILITY %s] %s\r\n", capabilities(l, caps), conf->login_greeting);
}

static void farewell(struct login *l, enum ending why)
{
	switch (why) {
	case END_TIMEOUT:
		stream_puts(l->io, "* BYE Disconnected for inactivity.\r\n");
		break;
	case END_BAD_COMMANDS:
		stream_puts(l->io, "* BYE Too many invalid commands.\r\n");
		break;
	case END_ATTEMPTS:
		stream_puts(l->io, "* BYE Too many failed logins.\r\n");
		break;
	case END_STOPPING:
		stream_puts(l->io, "* BYE Server is shutting down.\r\n");
		break;
	case END_CROWDED:
		stream_puts(l->io, "* BYE Too many connections from your network.\r\n");
		break;
	default:
		break;
	}
}

/* --- logging in -------------------------------------------------------------------------------------------------- */

static const char *refusal(enum handover_code code)
{
	switch (code) {
	case HANDOVER_TEMP:
		return "NO [UNAVAILABLE] Temporary authentication failure.";
	case HANDOVER_DISABLED:
		return "NO [CONTACTADMIN] The account is disabled, or it or its password has expired.";
	case HANDOVER_LIMIT:
		return "NO [LIMIT] Too many connections of this user from this address.";
	default:
		return "NO [AUTHENTICATIONFAILED] Authentication failed.";
	}
}

static bool attempt(struct login *l, struct credentials *c, enum ending *end_r)
{
	enum handover_code code;
	bool over = ask_auth(l, c, &code, end_r);

	if (over)
		return true;
	reply(l, c->tag, refusal(code));
	*end_r = END_ATTEMPTS;
	return l->attempts >= conf->login_max_attempts;
}

static bool cmd_login(struct login *l, const struct imap_command *cmd, enum ending *end_r)
{
	struct imap_scan scan = imap_scan_init(&l->arena, cmd->args);
	struct credentials c = { .tag = cmd->tag };

	question_init(l, &c.question, cmd->tag);
	if (!imap_scan_astring(&scan, &c.question.user) || !imap_scan_sp(&scan) ||
	    !imap_scan_astring(&scan, &c.question.password) || !imap_scan_end(&scan))
		return bad(l, cmd->tag, "LOGIN expects a user name and a password.", end_r);
	if (!password_allowed(l)) {
		wipe_span(c.question.password);
		reply(l, cmd->tag, "NO " NOT_IN_CLEAR);
		return false;
	}
	return attempt(l, &c, end_r);
}

static bool cmd_authenticate(struct login *l, const struct imap_command *cmd, enum ending *end_r)
{
	struct imap_scan scan = imap_scan_init(&l->arena, cmd->args);
	struct credentials c = { .tag = arena_span(&l->arena, cmd->tag) };
	struct span name, initial = SPAN_NONE;
	enum sasl_mech mech;
	bool in_clear;

	if (!imap_scan_atom(&scan, &name))
		return bad(l, cmd->tag, "AUTHENTICATE expects a mechanism.", end_r);
	if (!imap_scan_end(&scan) && (!imap_scan_sp(&scan) || !imap_scan_word(&scan, &initial) || !imap_scan_end(&scan)))
		return bad(l, cmd->tag, "AUTHENTICATE expects one initial response.", end_r);
	mech = sasl_choose(l, name, &in_clear);
	if (mech == SASL_NO_MECHANISM || in_clear) {
		wipe_span(initial);
		reply(l, c.tag, in_clear ? "NO " NOT_IN_CLEAR : "NO Unsupported authentication mechanism.");
		return false;
	}
	switch (sasl_exchange(l, mech, initial, &c)) {
	case SASL_TALK_READY:
		return attempt(l, &c, end_r);
	case SASL_TALK_CANCELLED:
		return bad(l, c.tag, "Authentication was cancelled.", end_r);
	case SASL_TALK_TEMP:
		reply(l, c.tag, refusal(HANDOVER_TEMP));
		l->internal_failures++;
		return false;
	case SASL_TALK_LOST:
		*end_r = ending_of(c.talk.io_status);
		return true;
	default:
		return bad(l, c.tag, "Malformed authentication response.", end_r);
	}
}

/* --- the other commands ------------------------------------------------------------------------------------------ */

static bool cmd_capability(struct login *l, const struct imap_command *cmd, enum ending *end_r)
{
	char caps[CAPABILITIES_MAX];

	(void)end_r;
	stream_printf(l->io, "* CAPABILITY %s\r\n", capabilities(l, caps));
	reply(l, cmd->tag, "OK Capability completed.");
	return false;
}

static bool cmd_noop(struct login *l, const struct imap_command *cmd, enum ending *end_r)
{
	(void)end_r;
	reply(l, cmd->tag, "OK NOOP completed.");
	return false;
}

/* What the client says about itself is not looked at. */
static bool cmd_id(struct login *l, const struct imap_command *cmd, enum ending *end_r)
{
	(void)end_r;
	stream_printf(l->io, "* ID (\"name\" \"%s\")\r\n", "Posthouse");
	reply(l, cmd->tag, "OK ID completed.");
	return false;
}

static bool cmd_starttls(struct login *l, const struct imap_command *cmd, enum ending *end_r)
{
	if (l->tls)
		return bad(l, cmd->tag, "TLS is already active.", end_r);
	if (!starttls_offered(l))
		return bad(l, cmd->tag, "TLS is not available.", end_r);
	if (stream_has_input(l->io)) { /* somebody on the way may have put it there */
		*end_r = END_BAD_COMMANDS;
		(void)bad(l, cmd->tag, "There is something behind STARTTLS.", end_r);
		return true;
	}
	reply(l, cmd->tag, "OK Begin TLS negotiation now.");
	*end_r = END_TLS;
	return starttls_begin(l) != STARTTLS_DONE;
}

static bool cmd_logout(struct login *l, const struct imap_command *cmd, enum ending *end_r)
{
	stream_puts(l->io, "* BYE Logging out.\r\n");
	reply(l, cmd->tag, "OK Logout completed.");
	*end_r = END_LOGOUT;
	return true;
}

static const struct {
	const char *verb;
	handler *handle;
} commands[] = {
	{ "CAPABILITY", cmd_capability }, { "NOOP", cmd_noop },   { "ID", cmd_id },
	{ "LOGOUT", cmd_logout },         { "LOGIN", cmd_login },
	{ "STARTTLS", cmd_starttls }, { "AUTHENTICATE", cmd_authenticate },
};

static bool dispatch(struct login *l, struct span text, enum ending *end_r)
{
	struct imap_command cmd;

	if (!imap_command_split(text, &cmd))
		return bad(l, cmd.tag, "Error in IMAP command received by server.", end_r);
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (span_iis(cmd.verb, commands[i].verb))
			return commands[i].handle(l, &cmd, end_r);
	return bad(l, cmd.tag, "Unknown command, or not permitted before login.", end_r);
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

struct reading {
	struct imap_reader r;
	bool in_clear; /* the literal of a LOGIN in clear was refused before it was sent */
};

/* A literal was announced: a password is not even asked for where it may not be sent. */
static void literal(struct login *l, struct reading *rd)
{
	struct imap_command cmd;

	if (imap_command_split(imap_reader_text(&rd->r), &cmd) && span_iis(cmd.verb, "LOGIN") && !password_allowed(l)) {
		rd->in_clear = true;
		imap_reader_refuse(&rd->r, IMAP_READ_BAD);
	} else if (imap_reader_take(&rd->r)) {
		stream_puts(l->io, "+ OK\r\n");
	}
}

/* A command that could not be gathered. */
static bool unreadable(struct login *l, struct reading *rd, enum imap_read_status st, enum ending *end_r)
{
	bool over;

	if (rd->in_clear) {
		reply(l, imap_reader_tag(&rd->r), "NO " NOT_IN_CLEAR);
		over = false;
	} else {
		over = bad(l, imap_reader_tag(&rd->r), imap_read_status_str(st), end_r);
	}
	rd->in_clear = false;
	if (st == IMAP_READ_FATAL) {
		*end_r = END_BAD_COMMANDS;
		return true;
	}
	return over;
}

static bool command(struct login *l, struct reading *rd, enum ending *end_r)
{
	struct span text = imap_reader_text(&rd->r);
	bool over = dispatch(l, text, end_r);

	wipe_span(text);
	arena_reset(&l->arena);
	return over;
}

/* Feed what there is. True: over. *more_r: all of it was taken and the command goes on. */
static bool feed(struct login *l, struct reading *rd, bool *more_r, enum ending *end_r)
{
	struct span had = stream_buffered(l->io), in = had;
	enum imap_read_status st = imap_reader_feed(&rd->r, &in);
	bool over;

	wipe_span(span_head(had, had.len - in.len)); /* a command may hold a password */
	stream_consume(l->io, had.len - in.len);
	*more_r = st == IMAP_READ_MORE;
	if (st == IMAP_READ_MORE)
		return false;
	if (st == IMAP_READ_LITERAL) {
		literal(l, rd);
		return false;
	}
	over = st == IMAP_READ_DONE ? command(l, rd, end_r) : unreadable(l, rd, st, end_r);
	imap_reader_reset(&rd->r);
	return over;
}

static enum ending talk(struct login *l)
{
	struct reading rd = { .in_clear = false };
	enum ending end = END_ERROR;
	bool more = !stream_has_input(l->io);

	imap_reader_init(&rd.r, &imap_limits_login);
	for (;;) {
		if (more) {
			enum io_status st = stream_fill(l->io);

			if (st != IO_OK) {
				end = ending_of(st);
				break;
			}
		}
		if (feed(l, &rd, &more, &end))
			break;
	}
	imap_reader_free(&rd.r);
	return end;
}

const struct protocol protocol_imap = {
	.name = "imap",
	.log_name = "imap-login",
	.greet = greet,
	.talk = talk,
	.farewell = farewell,
};
