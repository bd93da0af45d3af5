/* SPDX-License-Identifier: BSD-2-Clause */
/* POP3 before login: the AUTHORIZATION state of RFC 1939, CAPA (RFC 2449), AUTH (RFC 5034), response codes (RFC 2449, 3206). */
#include <stdio.h>
#include <string.h>

#include "lib/conf/conf.h"
#include "lib/proto/pop3_cmd.h"
#include "lib/service/sasl_turn.h"
#include "login/login.h"

#define NOT_IN_CLEAR "[AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections."

struct pop3 {
	struct login *l;
	char user[HANDOVER_USER_MAX + 1];
	size_t user_len; /* 0: no USER yet */
	bool utf8;
};

static void greet(struct login *l)
{
	if (login_mechanisms & SASL_BIT(SASL_APOP) && !starttls_missing(l)) {
		struct span nonce = sasl_nonce(&l->arena);

		snprintf(l->timestamp, sizeof l->timestamp, "<" SPAN_FMT "@%s>", SPAN_ARG(nonce), conf->myhostname);
	}
	stream_printf(l->io, "+OK %s%s%s\r\n", conf->login_greeting, l->timestamp[0] ? " " : "", l->timestamp);
}

static void farewell(struct login *l, enum ending why)
{
	switch (why) {
	case END_TIMEOUT:
		stream_puts(l->io, "-ERR Disconnected for inactivity.\r\n");
		break;
	case END_BAD_COMMANDS:
		stream_puts(l->io, "-ERR Too many invalid commands.\r\n");
		break;
	case END_ATTEMPTS:
		stream_puts(l->io, "-ERR Too many failed logins.\r\n");
		break;
	case END_STOPPING:
		stream_puts(l->io, "-ERR [SYS/TEMP] Server is shutting down.\r\n");
		break;
	case END_CROWDED:
		stream_puts(l->io, "-ERR [SYS/TEMP] Too many connections from your network.\r\n");
		break;
	default:
		break;
	}
}

static bool bad(struct login *l, const char *why, enum ending *end_r)
{
	stream_printf(l->io, "-ERR %s\r\n", why);
	*end_r = END_BAD_COMMANDS;
	return ++l->bad_commands >= BAD_COMMANDS_MAX;
}

static void put_mechanisms(struct login *l, const char *before, const char *after)
{
	for (enum sasl_mech m = SASL_PLAIN; m < SASL_MECHS; m++)
		if (sasl_offer(l) & SASL_BIT(m))
			stream_printf(l->io, "%s%s%s", before, sasl_mech_str(m), after);
}

static void capa(struct login *l)
{
	struct buf b;

	buf_init(&b, 1024);
	pop3_put_capabilities(&b, (uint64_t)(conf->pop3_login_delay_ms + 999) / 1000, (uint64_t)conf->pop3_expire_days);
	stream_puts(l->io, "+OK\r\n");
	stream_write(l->io, buf_span(&b));
	buf_free(&b);
	if (starttls_offered(l))
		stream_puts(l->io, "STLS\r\n");
	if (plain_is_fine(l))
		stream_puts(l->io, "USER\r\n");
	if (sasl_offer(l)) {
		stream_puts(l->io, "SASL");
		put_mechanisms(l, " ", "");
		stream_puts(l->io, "\r\n");
	}
	stream_puts(l->io, ".\r\n");
}

/* --- logging in -------------------------------------------------------------------------------------------------- */

static const char *refusal(enum handover_code code)
{
	switch (code) {
	case HANDOVER_TEMP:
		return "-ERR [SYS/TEMP] Temporary authentication failure.\r\n";
	case HANDOVER_DISABLED:
		return "-ERR [AUTH] The account is disabled, or it or its password has expired.\r\n";
	case HANDOVER_TOO_SOON:
		return "-ERR [LOGIN-DELAY] The last login was a moment ago, try again later.\r\n";
	case HANDOVER_LIMIT:
		return "-ERR [IN-USE] Too many connections of this user from this address.\r\n";
	default:
		return "-ERR [AUTH] Authentication failed.\r\n";
	}
}

/* What the next server has to know of this dialogue: in place of IMAP's tag. */
static struct span mode_of(const struct pop3 *p)
{
	return p->utf8 ? SPAN("UTF8") : SPAN_NONE;
}

static bool attempt(struct login *l, struct credentials *c, enum ending *end_r)
{
	enum handover_code code;
	bool over = ask_auth(l, c, &code, end_r);

	if (over)
		return true;
	stream_puts(l->io, refusal(code));
	*end_r = END_ATTEMPTS;
	return l->attempts >= conf->login_max_attempts;
}

static bool stls(struct pop3 *p, enum ending *end_r)
{
	struct login *l = p->l;

	if (l->tls)
		return bad(l, "TLS is already active.", end_r);
	if (!starttls_offered(l))
		return bad(l, "TLS is not available.", end_r);
	if (p->utf8)
		return bad(l, "STLS comes before UTF8.", end_r);
	if (stream_has_input(l->io)) {
		(void)bad(l, "There is something behind STLS.", end_r);
		*end_r = END_BAD_COMMANDS;
		return true;
	}
	stream_puts(l->io, "+OK Begin TLS negotiation now.\r\n");
	p->user_len = 0; /* said in the clear: anybody may have said it */
	*end_r = END_TLS;
	return starttls_begin(l) != STARTTLS_DONE;
}

static bool user(struct pop3 *p, struct span name, enum ending *end_r)
{
	if (!password_allowed(p->l)) {
		stream_puts(p->l->io, "-ERR " NOT_IN_CLEAR "\r\n");
		return false;
	}
	if (name.len == 0 || name.len > HANDOVER_USER_MAX)
		return bad(p->l, "USER expects a user name.", end_r);
	memcpy(p->user, name.ptr, name.len);
	p->user_len = name.len;
	stream_puts(p->l->io, "+OK\r\n");
	return false;
}

static bool pass(struct pop3 *p, struct span password, enum ending *end_r)
{
	struct credentials c = { .tag = SPAN_NONE };

	if (!password_allowed(p->l)) {
		wipe_span(password);
		stream_puts(p->l->io, "-ERR " NOT_IN_CLEAR "\r\n");
		return false;
	}
	if (p->user_len == 0) {
		wipe_span(password);
		return bad(p->l, "No user name given.", end_r);
	}
	question_init(p->l, &c.question, mode_of(p));
	c.question.password = password;
	c.question.user = span_of(p->user, p->user_len);
	p->user_len = 0;
	return attempt(p->l, &c, end_r);
}

/* RFC 1939 7: the name, and MD5 of the greeting's timestamp and the password. */
static bool apop(struct pop3 *p, struct span args, enum ending *end_r)
{
	struct credentials c = { .tag = SPAN_NONE };
	ptrdiff_t blank = span_rchr(args, ' ');

	if (p->l->timestamp[0] == '\0')
		return bad(p->l, "Unknown command, or not permitted before login.", end_r);
	if (blank <= 0 || args.len - (size_t)blank != 33)
		return bad(p->l, "APOP expects a user name and a digest.", end_r);
	question_init(p->l, &c.question, mode_of(p));
	c.question.mechanism = SPAN("APOP");
	c.question.user = span_head(args, (size_t)blank);
	c.question.password = span_skip(args, (size_t)blank + 1);
	c.question.message = span_cstr(p->l->timestamp);
	p->user_len = 0;
	return attempt(p->l, &c, end_r);
}

static bool authenticate(struct pop3 *p, enum sasl_mech mech, struct span initial, enum ending *end_r)
{
	struct login *l = p->l;
	struct credentials c = { .tag = mode_of(p) };

	switch (sasl_exchange(l, mech, initial, &c)) {
	case SASL_TALK_READY:
		return attempt(l, &c, end_r);
	case SASL_TALK_CANCELLED:
		return bad(l, "Authentication was cancelled.", end_r);
	case SASL_TALK_TEMP:
		stream_puts(l->io, refusal(HANDOVER_TEMP));
		l->internal_failures++;
		return false;
	case SASL_TALK_LOST:
		*end_r = ending_of(c.talk.io_status);
		return true;
	default:
		return bad(l, "Malformed authentication response.", end_r);
	}
}

static bool auth(struct pop3 *p, struct span args, enum ending *end_r)
{
	struct login *l = p->l;
	struct span initial = SPAN_NONE, name;
	enum sasl_mech mech;
	bool in_clear;

	if (!span_word(&args, " ", &name)) { /* what Outlook Express asks instead of CAPA */
		stream_puts(l->io, "+OK\r\n");
		put_mechanisms(l, "", "\r\n");
		stream_puts(l->io, ".\r\n");
		return false;
	}
	args = span_trim(args);
	if (args.len > 0)
		initial = span_cut(&args, ' ');
	if (args.len > 0)
		return bad(l, "AUTH expects a mechanism and one initial response.", end_r);
	mech = sasl_choose(l, name, &in_clear);
	if (mech == SASL_NO_MECHANISM || in_clear) {
		wipe_span(initial);
		stream_puts(l->io, in_clear ? "-ERR " NOT_IN_CLEAR "\r\n" : "-ERR Unsupported authentication mechanism.\r\n");
		return false;
	}
	return authenticate(p, mech, initial, end_r);
}

/* --- the dialogue ------------------------------------------------------------------------------------------------ */

static bool dispatch(struct pop3 *p, const struct pop3_cmd *cmd, enum ending *end_r)
{
	struct login *l = p->l;

	switch (cmd->verb) {
	case POP3_CAPA:
		capa(l);
		return false;
	case POP3_NOOP:
		stream_puts(l->io, "+OK\r\n");
		return false;
	case POP3_QUIT:
		stream_puts(l->io, "+OK Logging out.\r\n");
		*end_r = END_LOGOUT;
		return true;
	case POP3_STLS:
		return stls(p, end_r);
	case POP3_USER:
		return user(p, cmd->args, end_r);
	case POP3_PASS:
		return pass(p, cmd->args, end_r);
	case POP3_APOP:
		return apop(p, cmd->args, end_r);
	case POP3_UTF8:
		if (span_trim(cmd->args).len > 0)
			return bad(l, "UTF8 has no argument.", end_r);
		p->utf8 = true;
		stream_puts(l->io, "+OK UTF8 enabled.\r\n");
		return false;
	case POP3_LANG:
		stream_puts(l->io, pop3_lang_answer(cmd->args));
		return false;
	case POP3_AUTH:
		return auth(p, cmd->args, end_r);
	default:
		return bad(l, "Unknown command, or not permitted before login.", end_r);
	}
}

static bool line(struct pop3 *p, struct span text, enum ending *end_r)
{
	struct pop3_cmd cmd;
	bool over;

	if (pop3_cmd_parse(text, &cmd) != POP3_CMD_OK)
		return bad(p->l, "Malformed command.", end_r);
	over = dispatch(p, &cmd, end_r);
	arena_reset(&p->l->arena);
	return over;
}

static enum ending talk(struct login *l)
{
	struct pop3 p = { .l = l };
	enum ending end = END_ERROR;

	for (;;) {
		struct span text;
		enum io_status st = stream_line(l->io, POP3_AUTH_LINE_MAX, &text, NULL);

		if (st == IO_TOO_LONG) {
			if (bad(l, "Command line too long.", &end))
				return end;
		} else if (st != IO_OK) {
			return ending_of(st);
		} else if (line(&p, text, &end)) {
			return end;
		}
	}
}

const struct protocol protocol_pop3 = {
	.name = "pop3",
	.log_name = "pop3-login",
	.greet = greet,
	.talk = talk,
	.farewell = farewell,
};
