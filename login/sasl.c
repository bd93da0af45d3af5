/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PLAIN and LOGIN as POP3's AUTH (RFC 5034) and IMAP's AUTHENTICATE (RFC 3501 6.2.2, RFC 4959) carry them: both speak "+ " and
 * base64.
 */
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/buf.h"
#include "lib/proto/pop3_cmd.h"
#include "lib/proto/sasl.h"
#include "login/login.h"

bool sasl_offered(struct span mechanism)
{
	return (login_plain_offered && span_iis(mechanism, "PLAIN")) || (login_login_offered && span_iis(mechanism, "LOGIN"));
}

/* A base64 text of the client, decoded into l->arena and wiped where it was. */
static enum sasl_outcome decode(struct login *l, struct span text, struct span *out)
{
	enum sasl_outcome got = SASL_MALFORMED;
	struct buf b;

	buf_init(&b, POP3_AUTH_LINE_MAX);
	if (base64_decode(&b, text)) {
		*out = arena_span(&l->arena, buf_span(&b));
		got = SASL_DONE;
	}
	buf_wipe(&b);
	wipe_span(text);
	return got;
}

/* Send a challenge, read and decode the answer. */
static enum sasl_outcome ask(struct login *l, const char *challenge, struct span *out, enum ending *end_r)
{
	enum io_status st;
	struct span line;

	stream_printf(l->io, "+ %s\r\n", challenge);
	st = stream_line(l->io, POP3_AUTH_LINE_MAX, &line, NULL);
	if (st == IO_TOO_LONG)
		return SASL_MALFORMED;
	if (st != IO_OK) {
		l->sasl_unfinished = true;
		*end_r = ending_of(st);
		return SASL_ENDED;
	}
	if (span_is(line, "*"))
		return SASL_CANCELLED;
	return decode(l, line, out);
}

static enum sasl_outcome initial_or_ask(struct login *l, struct span initial, const char *challenge, struct span *out,
					enum ending *end_r)
{
	if (initial.ptr == NULL)
		return ask(l, challenge, out, end_r);
	if (span_is(initial, "=")) /* an empty one, RFC 4959 3 */
		initial = SPAN("");
	return decode(l, initial, out);
}

static enum sasl_outcome plain(struct login *l, struct span initial, struct credentials *c_r, enum ending *end_r)
{
	struct sasl_plain p;
	struct span message;
	enum sasl_outcome got = initial_or_ask(l, initial, "", &message, end_r);

	if (got != SASL_DONE)
		return got;
	if (!sasl_plain_parse(message, &p)) {
		wipe_span(message);
		return SASL_MALFORMED;
	}
	c_r->mechanism = "PLAIN";
	c_r->user = p.authcid;
	c_r->password = p.password;
	return p.authzid.len == 0 || span_eq(p.authzid, p.authcid) ? SASL_DONE : SASL_REFUSED;
}

static enum sasl_outcome two_questions(struct login *l, struct span initial, struct credentials *c_r, enum ending *end_r)
{
	enum sasl_outcome got = initial_or_ask(l, initial, SASL_LOGIN_USERNAME, &c_r->user, end_r);

	if (got == SASL_DONE)
		got = ask(l, SASL_LOGIN_PASSWORD, &c_r->password, end_r);
	c_r->mechanism = "LOGIN";
	return got;
}

enum sasl_outcome sasl_exchange(struct login *l, struct span mechanism, struct span initial, struct credentials *c_r,
				enum ending *end_r)
{
	if (!sasl_offered(mechanism))
		return SASL_NO_MECH;
	return span_iis(mechanism, "PLAIN") ? plain(l, initial, c_r, end_r) : two_questions(l, initial, c_r, end_r);
}
