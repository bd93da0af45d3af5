/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/sasl_talk.h"

#include "lib/base/base64.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/service/sasl_turn.h"

/* Overwrite a secret in memory that is ours though a span calls it borrowed. */
static void wipe(struct span s)
{
	if (s.len)
		mem_wipe((char *)(uintptr_t)s.ptr, s.len);
}

static enum sasl_talk_end decode(struct sasl_talk *t, struct span text, struct span *out)
{
	enum sasl_talk_end end = SASL_TALK_NOT_BASE64;
	struct buf b;

	buf_init(&b, STREAM_IN_BYTES);
	if (base64_decode(&b, text)) {
		*out = arena_span(t->arena, buf_span(&b));
		end = SASL_TALK_READY;
	}
	buf_wipe(&b);
	wipe(text);
	return end;
}

static enum sasl_talk_end ask_client(struct sasl_talk *t, struct span challenge, struct span *out)
{
	struct span line;
	struct buf b;

	buf_init(&b, 2 * SASL_MESSAGE_MAX);
	must(base64_encode(&b, challenge));
	stream_printf(t->io, "%s" SPAN_FMT "\r\n", t->prompt, SPAN_ARG(buf_span(&b)));
	buf_free(&b);
	t->io_status = stream_line(t->io, t->line_max, &line, NULL);
	if (t->io_status == IO_TOO_LONG)
		return SASL_TALK_TOO_LONG;
	t->client_was_asked = t->io_status != IO_OK;
	if (t->io_status != IO_OK)
		return SASL_TALK_LOST;
	return span_is(line, "*") ? SASL_TALK_CANCELLED : decode(t, line, out);
}

static enum sasl_talk_end run(struct sasl_talk *t, enum sasl_step step)
{
	const struct sasl_asker asker = { .auth_path = t->auth_path, .realm = t->realm, .question = t->q };
	enum sasl_talk_end end;
	struct span answer;

	for (;;) {
		switch (sasl_turn(&t->server, &asker, step)) {
		case SASL_TURN_CHALLENGE:
			end = ask_client(t, t->server.challenge, &answer);
			if (end != SASL_TALK_READY)
				return end;
			step = sasl_server_step(&t->server, answer);
			wipe(answer);
			break;
		case SASL_TURN_READY:
			return SASL_TALK_READY;
		case SASL_TURN_TEMP:
			return SASL_TALK_TEMP;
		default:
			return SASL_TALK_MALFORMED;
		}
	}
}

enum sasl_talk_end sasl_talk(struct sasl_talk *t, enum sasl_mech mech, struct span initial)
{
	struct sasl_setup setup = {
		.nonce = sasl_nonce(t->arena),
		.host = span_cstr(t->host),
		.bindings = t->bindings,
		.nbindings = t->nbindings,
		.plus_offered = t->plus_offered,
	};
	enum sasl_talk_end end = SASL_TALK_READY;
	struct span message = SPAN_NONE;

	t->q->mechanism = span_cstr(sasl_mech_str(mech));
	if (span_is(initial, "=")) /* an empty one, RFC 4954 4 */
		message = SPAN("");
	else if (initial.ptr)
		end = decode(t, initial, &message);
	if (end != SASL_TALK_READY)
		return end;
	end = run(t, sasl_server_begin(&t->server, t->arena, mech, &setup, message));
	wipe(span_is(initial, "=") ? SPAN_NONE : message);
	return end;
}

bool sasl_talk_refused(struct sasl_talk *t)
{
	struct span answer;

	return !sasl_server_refused(&t->server) || ask_client(t, t->server.challenge, &answer) != SASL_TALK_LOST;
}

void sasl_talk_wipe(struct sasl_talk *t)
{
	wipe(t->server.password);
	t->server.password = t->q->password = SPAN_NONE;
}

/* --- channel bindings --------------------------------------------------------------------------------------------- */

static void add_binding(struct sasl_talk *t, struct sasl_binding *to, const char *type, const unsigned char *data, size_t len)
{
	if (len)
		to[t->nbindings++] = (struct sasl_binding){ span_cstr(type), span_of((const char *)data, len) };
}

void sasl_talk_bind(struct sasl_talk *t, const struct tls_info *tls, unsigned offered, struct sasl_binding to[SASL_TALK_BINDINGS])
{
	t->nbindings = 0;
	t->bindings = to;
	t->plus_offered = (offered & SASL_PLUS) != 0;
	if (tls == NULL)
		return;
	add_binding(t, to, "tls-exporter", tls->exporter, tls->exporter_len);
	add_binding(t, to, "tls-server-end-point", tls->endpoint, tls->endpoint_len);
	add_binding(t, to, "tls-unique", tls->unique, tls->unique_len);
}
