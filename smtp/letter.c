/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtp/letter.h"

#include <errno.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/proto/addr.h"
#include "lib/proto/smtp_cmd.h"
#include "lib/proto/smtp_data.h"

/* Answers that may be outstanding: what a server has to say must fit into socket buffers while we only write. */
enum { WINDOW = 100, COMMAND_MAX = 32768 };

/* --- verdicts ----------------------------------------------------------------------------------------------------- */

bool letter_has(const struct letter *l, enum letter_state state)
{
	for (size_t i = 0; i < l->m->nrcpts; i++)
		if (l->rcpts[i].state == state)
			return true;
	return false;
}

/* A server that knows of DSN has been told of NOTIFY and takes it from here. */
static void mark_passed_on(struct letter *l, const struct peer *p)
{
	for (size_t i = 0; i < l->m->nrcpts; i++)
		if (l->rcpts[i].state == LETTER_ACCEPTED)
			l->outcomes[i].passed_on = (p->ehlo.exts & SMTP_EXT_DSN) != 0;
}

static void decide(struct letter *l, size_t i, struct verdict v, bool final)
{
	l->outcomes[i].verdict = v;
	l->rcpts[i].state = v.class == VERDICT_TEMP && !final ? LETTER_SOFT : LETTER_DECIDED;
}

void letter_fail(struct letter *l, struct verdict v, struct span relay, bool final)
{
	for (size_t i = 0; i < l->m->nrcpts; i++) {
		if (l->rcpts[i].state != LETTER_OPEN)
			continue;
		l->outcomes[i].relay = relay;
		decide(l, i, v, final);
	}
}

/* Everybody this server might have had the letter for. */
static void decide_all(struct letter *l, struct verdict v, bool final)
{
	for (size_t i = 0; i < l->m->nrcpts; i++)
		if (l->rcpts[i].state == LETTER_OPEN || l->rcpts[i].state == LETTER_ACCEPTED)
			decide(l, i, v, final);
}

/* --- the envelope as a list of commands --------------------------------------------------------------------------- */

struct envelope {
	struct letter *l;
	struct peer *p;
	enum peer_stage *stages;
	size_t *who;  /* for PEER_RCPT: index in l->rcpts */
	size_t count; /* of commands: RSET?, MAIL, RCPT..., DATA */
	size_t sent;  /* of them */
	bool utf8;
	bool refused; /* MAIL was: what was sent after it means nothing */
	bool data_sent;
	bool go_ahead; /* 354 */
};

static void add(struct envelope *e, enum peer_stage stage, size_t who)
{
	e->who[e->count] = who;
	e->stages[e->count++] = stage;
}

static bool is_probe(const struct letter *l)
{
	return (l->m->flags & QUEUE_PROBE) != 0;
}

static void list_commands(struct envelope *e, bool ahead)
{
	struct letter *l = e->l;

	e->stages = arena_array(l->a, l->m->nrcpts + 3, sizeof *e->stages);
	e->who = arena_array(l->a, l->m->nrcpts + 3, sizeof *e->who);
	if (e->p->unfinished && !ahead)
		add(e, PEER_RSET, 0);
	add(e, PEER_MAIL, 0);
	for (size_t i = 0; i < l->m->nrcpts; i++)
		if (l->rcpts[i].state == LETTER_OPEN)
			add(e, PEER_RCPT, i);
	if (!is_probe(l)) /* which ends here: the next letter begins with RSET */
		add(e, PEER_DATA, 0);
}

static bool has(const struct envelope *e, enum smtp_ext ext)
{
	return (e->p->ehlo.exts & ext) != 0;
}

/* A parameter that has no room is left out: it asks for notices, it does not change where the letter goes. */
static void put_xtext(struct buf *b, const char *name, struct span type, struct span value)
{
	size_t before = b->len;

	if (!buf_adds(b, name) || !buf_add_span(b, type) || !xtext_encode(b, value))
		buf_truncate(b, before);
}

static void put_mail(struct envelope *e, struct buf *b)
{
	const struct job_message *m = e->l->m;

	buf_adds(b, "MAIL FROM:<");
	buf_add_span(b, addr_quote(e->l->a, m->sender));
	buf_addc(b, '>');
	if (has(e, SMTP_EXT_SIZE))
		buf_addf(b, " SIZE=%llu", (unsigned long long)m->size);
	if (has(e, SMTP_EXT_8BITMIME) && m->flags & QUEUE_8BIT)
		buf_adds(b, " BODY=8BITMIME");
	if (e->utf8)
		buf_adds(b, " SMTPUTF8");
	if (!has(e, SMTP_EXT_DSN))
		return;
	if (m->flags & (QUEUE_RET_FULL | QUEUE_RET_HDRS))
		buf_adds(b, m->flags & QUEUE_RET_FULL ? " RET=FULL" : " RET=HDRS");
	if (m->envid.len)
		put_xtext(b, " ENVID=", SPAN_NONE, m->envid);
}

static void put_notify(struct buf *b, unsigned notify)
{
	static const struct {
		unsigned bit;
		const char *word;
	} words[] = {
		{ QUEUE_NOTIFY_NEVER, "NEVER" },
		{ QUEUE_NOTIFY_SUCCESS, "SUCCESS" },
		{ QUEUE_NOTIFY_FAILURE, "FAILURE" },
		{ QUEUE_NOTIFY_DELAY, "DELAY" },
	};
	const char *before = " NOTIFY=";

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (!(notify & words[i].bit))
			continue;
		buf_adds(b, before);
		buf_adds(b, words[i].word);
		before = ",";
	}
}

static void put_rcpt(struct envelope *e, struct buf *b, const struct job_rcpt *r)
{
	ptrdiff_t semicolon = span_chr(r->orcpt, ';');

	buf_adds(b, "RCPT TO:<");
	buf_add_span(b, addr_quote(e->l->a, r->address));
	buf_addc(b, '>');
	if (!has(e, SMTP_EXT_DSN))
		return;
	put_notify(b, r->notify);
	if (semicolon > 0)
		put_xtext(b, " ORCPT=", span_head(r->orcpt, (size_t)semicolon + 1),
			  span_skip(r->orcpt, (size_t)semicolon + 1));
}

static void put_command(struct envelope *e, size_t at)
{
	struct buf line;

	buf_init(&line, COMMAND_MAX);
	switch (e->stages[at]) {
	case PEER_RSET:
		buf_adds(&line, "RSET");
		break;
	case PEER_MAIL:
		put_mail(e, &line);
		e->p->unfinished = true;
		break;
	case PEER_RCPT:
		put_rcpt(e, &line, e->l->rcpts[e->who[at]].rcpt);
		break;
	default:
		buf_adds(&line, "DATA");
		e->data_sent = true;
		break;
	}
	buf_adds(&line, "\r\n");
	stream_write(e->p->stream, buf_span(&line));
	buf_free(&line);
}

/* --- its answers -------------------------------------------------------------------------------------------------- */

static void answer_to_rcpt(struct envelope *e, size_t who)
{
	struct smtp_reply *r = &e->p->parser.reply;

	if (e->l->rcpts[who].state != LETTER_OPEN)
		return;
	if (r->code / 100 == 2 && is_probe(e->l)) {
		decide(e->l, who, peer_verdict(e->p, PEER_DOT, e->l->a), true); /* all that is asked for */
		return;
	}
	if (r->code / 100 == 2) {
		e->l->rcpts[who].state = LETTER_ACCEPTED;
		return;
	}
	/* RFC 5321 4.5.3.1.10: 552 was once the code for too many recipients, which is no fault of this one. */
	if (r->code == 552)
		r->dsn[0] = '4';
	decide(e->l, who, peer_verdict(e->p, PEER_RCPT, e->l->a), false);
}

static void take_answer(struct envelope *e, size_t at)
{
	int class = e->p->parser.reply.code / 100;

	switch (e->stages[at]) {
	case PEER_MAIL:
		e->refused = class != 2;
		if (e->refused)
			decide_all(e->l, peer_verdict(e->p, PEER_MAIL, e->l->a), false);
		break;
	case PEER_RCPT:
		answer_to_rcpt(e, e->who[at]);
		break;
	case PEER_DATA:
		e->go_ahead = class == 3;
		if (!e->go_ahead)
			decide_all(e->l, peer_verdict(e->p, PEER_DATA, e->l->a), false);
		break;
	default:
		break;
	}
}

/* Is it known by now that there is nobody to send the content to? */
static bool is_pointless(const struct envelope *e, size_t answered)
{
	bool all_answered = answered + 1 == e->count && !is_probe(e->l);

	return e->refused || (all_answered && !e->data_sent && !letter_has(e->l, LETTER_ACCEPTED));
}

/* Answers that may be outstanding to what e has sent. */
static size_t window(const struct envelope *e)
{
	return has(e, SMTP_EXT_PIPELINING) ? WINDOW : 1;
}

static void put_commands(struct envelope *e, size_t answered)
{
	while (e->sent < e->count && e->sent - answered < window(e))
		put_command(e, e->sent++);
}

/* Returns false when the connection is dead; *trouble_r says why, *answered_r where. */
static bool exchange(struct envelope *e, struct verdict *trouble_r, size_t *answered_r)
{
	for (*answered_r = 0; *answered_r < e->count; ++*answered_r) {
		if (e->sent == *answered_r && !peer_in_step(e->p, e->stages[e->sent], e->l->a, trouble_r))
			return false;
		put_commands(e, *answered_r);
		if (!peer_answer(e->p, e->stages[*answered_r], e->l->a, trouble_r))
			return false;
		take_answer(e, *answered_r);
		if (e->sent < e->count && is_pointless(e, *answered_r + 1))
			e->count = e->sent;
	}
	return true;
}

/* --- what can be known beforehand --------------------------------------------------------------------------------- */

static bool is_ascii(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] >= 0x80)
			return false;
	return true;
}

/* An address with a control byte would be a command of its own. smtpd lets none in; nothing lets one out. */
static bool is_clean(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (ascii_iscntrl(s.ptr[i]))
			return false;
	return true;
}

static void refuse_unclean(struct letter *l)
{
	struct verdict v = verdict_make(l->a, "5.1.3", "address holds control characters");

	for (size_t i = 0; i < l->m->nrcpts; i++) {
		const struct job_rcpt *r = l->rcpts[i].rcpt;

		if (l->rcpts[i].state == LETTER_OPEN &&
		    !(is_clean(l->m->sender) && is_clean(r->address) && is_clean(r->orcpt)))
			decide(l, i, v, true);
	}
}

static bool needs_utf8(const struct letter *l)
{
	bool ascii = is_ascii(l->m->sender);

	for (size_t i = 0; i < l->m->nrcpts; i++)
		ascii = ascii && (l->rcpts[i].state != LETTER_OPEN || is_ascii(l->rcpts[i].rcpt->address));
	return !ascii;
}

static void check_offer(struct envelope *e)
{
	struct letter *l = e->l;
	struct peer *p = e->p;

	if (has(e, SMTP_EXT_SIZE) && p->ehlo.size && l->m->size > p->ehlo.size)
		decide_all(l,
			   verdict_make(l->a, "5.3.4", "message size %llu exceeds size limit %llu of server " SPAN_FMT,
					(unsigned long long)l->m->size, (unsigned long long)p->ehlo.size,
					SPAN_ARG(p->name)),
			   true);
	e->utf8 = has(e, SMTP_EXT_SMTPUTF8) && (l->m->flags & QUEUE_SMTPUTF8 || needs_utf8(l));
	if (!has(e, SMTP_EXT_SMTPUTF8) && needs_utf8(l))
		decide_all(l,
			   verdict_make(l->a, "5.6.7", "SMTPUTF8 is required, but was not offered by host " SPAN_FMT,
					SPAN_ARG(p->name)),
			   true);
}

static void stamp(struct letter *l, const struct peer *p, bool reused)
{
	int64_t ready_us = reused ? l->start_us : clock_wall_us();

	for (size_t i = 0; i < l->m->nrcpts; i++) {
		if (l->rcpts[i].state != LETTER_OPEN)
			continue;
		l->outcomes[i].relay = arena_span(l->a, p->relay);
		l->outcomes[i].conn_use = p->letters;
		l->outcomes[i].ready_us = ready_us;
	}
}

/* Nobody is OPEN afterwards: there is nothing to send. */
static struct envelope *make_envelope(struct letter *l, struct peer *p, bool ahead)
{
	struct envelope *e = arena_alloc(l->a, sizeof *e);

	e->l = l;
	e->p = p;
	refuse_unclean(l);
	check_offer(e);
	if (letter_has(l, LETTER_OPEN))
		list_commands(e, ahead);
	return e;
}

/* --- content ------------------------------------------------------------------------------------------------------ */

/* With the end of the letter before it, and before the answer to that one: a round trip less (RFC 2920 3.1). */
static void put_ahead(struct letter *next, struct peer *p)
{
	if (!(p->ehlo.exts & SMTP_EXT_PIPELINING) || !letter_has(next, LETTER_OPEN))
		return;
	stamp(next, p, true);
	next->envelope = make_envelope(next, p, true);
	if (!letter_has(next, LETTER_OPEN))
		return;
	put_commands(next->envelope, 0);
	p->ahead = next;
}

/* IO_OK, or what is wrong with the connection; *read_r false: with our own file. */
static enum io_status put_content(struct letter *l, struct peer *p, struct letter *next, bool *read_r)
{
	struct smtp_data_encoder encoder;
	char end[SMTP_ENCODE_END_MAX];
	uint64_t offset = 0;
	struct span chunk;

	smtp_data_encoder_init(&encoder, SMTP_ENCODE_DOTS, (size_t)conf->smtp_line_length_limit);
	stream_set_deadline(p->stream, CLOCK_NEVER);
	stream_set_timeout(p->stream, peer_timeout_ms(PEER_BODY));
	while ((*read_r = queue_content(l->content, offset, &chunk)) && chunk.len) {
		offset += chunk.len;
		while (chunk.len) {
			size_t n = smtp_data_encode(&encoder, &chunk, l->room, LETTER_ROOM_BYTES);

			stream_write(p->stream, span_of(l->room, n));
		}
		if (stream_status(p->stream) != IO_OK)
			return stream_status(p->stream);
	}
	if (!*read_r)
		return IO_OK;
	stream_write(p->stream, span_of(end, smtp_data_encode_end(&encoder, end)));
	if (next)
		put_ahead(next, p);
	return stream_flush(p->stream);
}

/*
 * LMTP: one answer for each recipient that was accepted, in the order of the commands. What was answered before the connection
 * broke stands.
 */
static void take_each_answer(struct letter *l, struct peer *p)
{
	for (size_t i = 0; i < l->m->nrcpts; i++) {
		struct verdict v;

		if (l->rcpts[i].state != LETTER_ACCEPTED)
			continue;
		if (!peer_answer(p, PEER_DOT, l->a, &v)) {
			decide_all(l, v, p->parser.reply.code != 421);
			return;
		}
		decide(l, i, peer_verdict(p, PEER_DOT, l->a), false);
	}
	p->unfinished = p->ahead != NULL;
}

/* Everybody ACCEPTED gets a verdict. */
static void send_content(struct letter *l, struct peer *p, struct letter *next)
{
	struct verdict v;
	bool readable;
	enum io_status io = put_content(l, p, next, &readable);

	stream_set_timeout(p->stream, 0);
	if (!readable) {
		/* Half a message must not be ended with a dot: the connection is given up. */
		p->dead = true;
		decide_all(l, verdict_errno(l->a, "queue file read error", errno), true);
	} else if (io != IO_OK) {
		decide_all(l, peer_lost(p, PEER_BODY, io, l->a), false);
	} else if (site_lmtp) {
		take_each_answer(l, p);
	} else if (!peer_answer(p, PEER_DOT, l->a, &v)) {
		/* A 421 is an answer. Without one, the server may have the message: no other is to get it too. */
		decide_all(l, v, p->parser.reply.code != 421);
	} else {
		p->unfinished = p->ahead != NULL;
		v = peer_verdict(p, PEER_DOT, l->a);
		if (v.class == VERDICT_OK)
			mark_passed_on(l, p);
		decide_all(l, v, false);
	}
}

/* A server that says 354 with nobody accepted gets an empty message for nobody. */
static void send_lone_dot(struct letter *l, struct peer *p)
{
	struct verdict ignored;

	if (site_lmtp) { /* there is no answer to wait for, and none to trust */
		p->dead = true;
		return;
	}
	stream_puts(p->stream, ".\r\n");
	if (peer_answer(p, PEER_DOT, l->a, &ignored))
		p->unfinished = false;
}

/* --- all of it ------------------------------------------------------------------------------------------------------ */

bool letter_send(struct letter *l, struct peer *p, struct letter *next)
{
	bool reused = p->letters > 0;
	struct verdict trouble;
	size_t answered;

	p->letters++;
	stamp(l, p, reused);
	if (p->ahead == NULL)
		l->envelope = make_envelope(l, p, false);
	p->ahead = NULL;
	if (!letter_has(l, LETTER_OPEN))
		return true;
	if (!exchange(l->envelope, &trouble, &answered)) {
		if (reused && l->envelope->stages[answered] <= PEER_MAIL)
			return false;
		decide_all(l, trouble, false);
		return true;
	}
	if (!l->envelope->go_ahead)
		return true;
	if (!peer_in_step(p, PEER_BODY, l->a, &trouble))
		decide_all(l, trouble, false);
	else if (letter_has(l, LETTER_ACCEPTED))
		send_content(l, p, next);
	else
		send_lone_dot(l, p);
	return true;
}
