/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/queue/format.h"

#include <string.h>
#include <zlib.h>

static const char magic[8] = { 'P', 'H', 'Q', 'U', 'E', 'U', 'E', '1' };

enum { RCPT_MIN_BYTES = 13 }; /* three empty strings and a flag byte */

uint32_t format_crc(uint32_t crc, struct span bytes)
{
	if (bytes.len == 0)
		return crc; /* zlib takes a NULL pointer for "start anew" */
	return (uint32_t)crc32_z(crc, (const unsigned char *)bytes.ptr, bytes.len);
}

void format_put_header(char to[FORMAT_HEADER_BYTES], const struct format_header *h)
{
	struct buf b;

	buf_init(&b, FORMAT_HEADER_BYTES);
	buf_add(&b, magic, sizeof magic);
	pack_u32(&b, h->envelope_len);
	pack_u32(&b, h->envelope_crc);
	pack_u64(&b, h->content_len);
	pack_u32(&b, h->content_crc);
	while (b.len < FORMAT_HEADER_BYTES - 4)
		pack_u8(&b, 0);
	pack_u32(&b, format_crc(0, buf_span(&b)));
	memcpy(to, b.ptr, FORMAT_HEADER_BYTES);
	buf_free(&b);
}

bool format_get_header(struct span bytes, struct format_header *h_r)
{
	struct unpack u = { span_skip(bytes, sizeof magic), false };
	struct unpack tail;

	if (bytes.len < FORMAT_HEADER_BYTES || memcmp(bytes.ptr, magic, sizeof magic) != 0)
		return false;
	*h_r = (struct format_header){ .envelope_len = unpack_u32(&u), .envelope_crc = 0 };
	h_r->envelope_crc = unpack_u32(&u);
	h_r->content_len = unpack_u64(&u);
	h_r->content_crc = unpack_u32(&u);
	tail = (struct unpack){ span_of(bytes.ptr + FORMAT_HEADER_BYTES - 4, 4), false };
	return unpack_u32(&tail) == format_crc(0, span_head(bytes, FORMAT_HEADER_BYTES - 4)) &&
	       h_r->envelope_len <= FORMAT_ENVELOPE_MAX && h_r->content_len <= INT64_MAX / 2;
}

/* --- envelope ----------------------------------------------------------------------------------------------------- */

void format_put_envelope(struct buf *b, const struct queue_envelope *env)
{
	pack_span(b, span_cstr(env->id));
	pack_u64(b, (uint64_t)env->arrival_us);
	pack_u64(b, env->size);
	pack_u32(b, env->flags);
	pack_span(b, env->sender);
	pack_span(b, env->envid);
	pack_span(b, env->client);
	pack_span(b, env->sasl_user);
	pack_u32(b, (uint32_t)env->nrcpts);
	for (size_t i = 0; i < env->nrcpts; i++) {
		const struct queue_rcpt *r = &env->rcpts[i];

		pack_span(b, r->address);
		pack_span(b, r->original);
		pack_span(b, r->orcpt);
		pack_u8(b, r->notify);
	}
	if (env->filter.len || env->verp.len) /* rare, and messages of older versions end here */
		pack_span(b, env->filter);
	if (env->verp.len)
		pack_span(b, env->verp);
}

bool format_get_envelope(struct span bytes, struct arena *a, struct queue_envelope *env_r)
{
	struct unpack u = { bytes, false };
	struct span id = unpack_span(&u);
	uint32_t n;

	*env_r = (struct queue_envelope){ 0 };
	if (id.len >= sizeof env_r->id || (id.len && !queue_id_valid(id)))
		return false;
	if (id.len)
		memcpy(env_r->id, id.ptr, id.len);
	env_r->arrival_us = (int64_t)unpack_u64(&u);
	env_r->size = unpack_u64(&u);
	env_r->flags = unpack_u32(&u);
	env_r->held = env_r->flags & QUEUE_ON_HOLD;
	env_r->sender = unpack_span(&u);
	env_r->envid = unpack_span(&u);
	env_r->client = unpack_span(&u);
	env_r->sasl_user = unpack_span(&u);
	n = unpack_u32(&u);
	if (u.bad || n > u.rest.len / RCPT_MIN_BYTES)
		return false;
	env_r->rcpts = arena_array(a, n ? n : 1, sizeof *env_r->rcpts);
	env_r->nrcpts = n;
	for (uint32_t i = 0; i < n; i++) {
		struct queue_rcpt *r = &env_r->rcpts[i];

		r->address = unpack_span(&u);
		r->original = unpack_span(&u);
		r->orcpt = unpack_span(&u);
		r->notify = unpack_u8(&u);
	}
	if (!u.bad && u.rest.len)
		env_r->filter = unpack_span(&u);
	if (!u.bad && u.rest.len)
		env_r->verp = unpack_span(&u);
	if (env_r->verp.len && env_r->verp.len != 2)
		return false;
	return unpack_done(&u);
}

/* --- journal ------------------------------------------------------------------------------------------------------ */

void format_put_record(struct buf *b, const struct queue_journal_entry *e, int64_t now_us)
{
	size_t start = b->len;
	uint32_t len;

	pack_u32(b, 0);
	pack_u8(b, (uint8_t)e->type);
	pack_u32(b, e->rcpt);
	pack_u64(b, (uint64_t)now_us);
	pack_span(b, span_cstr(e->dsn));
	pack_span(b, span_head(e->reason, QUEUE_REASON_MAX));
	pack_span(b, span_head(e->relay, QUEUE_REASON_MAX));
	if (b->overflow)
		return;
	len = (uint32_t)(b->len - start - 4);
	for (int i = 0; i < 4; i++)
		b->ptr[start + (size_t)i] = (char)(len >> (8 * i));
	pack_u32(b, format_crc(0, span_of(b->ptr + start + 4, len)));
}

struct record {
	enum queue_record type;
	uint32_t rcpt;
	int64_t at_us;
	struct span dsn, reason, relay;
};

static bool get_record(struct unpack *u, struct record *r)
{
	struct span body = unpack_span(u);
	uint32_t crc = unpack_u32(u);
	struct unpack in = { body, false };

	if (u->bad || body.len > FORMAT_RECORD_MAX || crc != format_crc(0, body))
		return false;
	r->type = unpack_u8(&in);
	r->rcpt = unpack_u32(&in);
	r->at_us = (int64_t)unpack_u64(&in);
	r->dsn = unpack_span(&in);
	r->reason = unpack_span(&in);
	r->relay = unpack_span(&in);
	return unpack_done(&in) && r->dsn.len < sizeof((struct queue_rcpt *)0)->dsn;
}

static void requeue(struct queue_envelope *env)
{
	for (size_t i = 0; i < env->nrcpts; i++)
		env->rcpts[i].attempts = 0;
}

static void apply_rcpt(struct queue_rcpt *q, const struct record *r)
{
	static const enum queue_state state[] = {
		[QUEUE_REC_DELIVERED] = QUEUE_RCPT_DELIVERED,
		[QUEUE_REC_DEFERRED] = QUEUE_RCPT_PENDING,
		[QUEUE_REC_BOUNCED] = QUEUE_RCPT_BOUNCED,
		[QUEUE_REC_NOTIFIED] = QUEUE_RCPT_NOTIFIED,
	};

	if (q->state == QUEUE_RCPT_DELIVERED)
		return; /* once delivered, a later word on it changes nothing */
	q->state = state[r->type];
	q->last_us = r->at_us;
	if (r->type == QUEUE_REC_NOTIFIED)
		return;
	q->attempts += r->type == QUEUE_REC_DEFERRED;
	memset(q->dsn, 0, sizeof q->dsn);
	if (r->dsn.len)
		memcpy(q->dsn, r->dsn.ptr, r->dsn.len);
	q->reason = r->reason;
	q->relay = r->relay;
}

static void apply(struct queue_envelope *env, const struct record *r)
{
	switch (r->type) {
	case QUEUE_REC_DELIVERED:
	case QUEUE_REC_DEFERRED:
	case QUEUE_REC_BOUNCED:
	case QUEUE_REC_NOTIFIED:
		if (r->rcpt < env->nrcpts)
			apply_rcpt(&env->rcpts[r->rcpt], r);
		break;
	case QUEUE_REC_HOLD:
		env->held = true;
		break;
	case QUEUE_REC_RELEASE:
		env->held = false;
		break;
	case QUEUE_REC_EXPIRE:
		env->expired = true;
		break;
	case QUEUE_REC_DELAY_WARNED:
		env->delay_warned = true;
		break;
	case QUEUE_REC_REQUEUE:
		requeue(env);
		break;
	}
}

size_t format_replay(struct span journal, struct queue_envelope *env)
{
	struct unpack u = { journal, false };
	size_t whole = 0;

	while (u.rest.len) {
		struct record r = { 0 };

		if (!get_record(&u, &r)) {
			env->corrupt_journal = true;
			break;
		}
		apply(env, &r);
		whole = journal.len - u.rest.len;
	}
	return whole;
}

void format_each_record(struct span journal,
			void (*each)(const struct queue_journal_entry *entry, int64_t at_us, void *arg), void *arg)
{
	struct unpack u = { journal, false };
	struct record r;

	while (u.rest.len && get_record(&u, &r)) {
		struct queue_journal_entry e = { .type = r.type, .rcpt = r.rcpt, .reason = r.reason, .relay = r.relay };

		if (r.dsn.len)
			memcpy(e.dsn, r.dsn.ptr, r.dsn.len);
		each(&e, r.at_us, arg);
	}
}
