/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/queue/job.h"

#include <string.h>

#include "lib/queue/format.h"

enum { RCPT_MIN_BYTES = 17, MESSAGE_MIN_BYTES = 40, OUTCOME_BYTES = 5, RESULT_MIN_BYTES = 13, REASONS_BYTES = 4096 };
/* In the byte of an outcome's class. */
enum { PASSED_ON = 0x80, REASON_FOLLOWS = 0x40, REASON_AS_BEFORE = 0x20 };

static void begin(struct buf *b, enum job_frame type)
{
	buf_reset(b);
	pack_u8(b, (uint8_t)type);
}

enum job_frame job_type(struct span frame)
{
	return frame.len ? (enum job_frame)(unsigned char)frame.ptr[0] : 0;
}

/* The frame's fields behind its type; bad when it is of another type. */
static struct unpack fields(struct span frame, enum job_frame type)
{
	return (struct unpack){ span_skip(frame, 1), job_type(frame) != type };
}

static void put_place(struct buf *b, const struct queue_place *p)
{
	pack_u32(b, p->segment);
	pack_u64(b, p->offset);
	pack_u32(b, p->length);
}

static void get_place(struct unpack *u, struct queue_place *p)
{
	p->segment = unpack_u32(u);
	p->offset = unpack_u64(u);
	p->length = unpack_u32(u);
}

static void get_id(struct unpack *u, char id_r[QUEUE_ID_MAX])
{
	struct span id = unpack_span(u);

	memset(id_r, 0, QUEUE_ID_MAX);
	if (id.len && !queue_id_valid(id))
		u->bad = true;
	else if (id.len)
		memcpy(id_r, id.ptr, id.len);
}

/* --- NEW, BYE ----------------------------------------------------------------------------------------------------- */

bool job_put_new(struct buf *b, const struct queue_envelope *env, const struct queue_place *place)
{
	begin(b, JOB_FRAME_NEW);
	pack_span(b, span_cstr(env->id));
	put_place(b, place);
	pack_u8(b, 1);
	format_put_envelope(b, env);
	if (!b->overflow)
		return true;
	begin(b, JOB_FRAME_NEW);
	pack_span(b, span_cstr(env->id));
	put_place(b, place);
	pack_u8(b, 0);
	return !b->overflow;
}

bool job_get_new(struct span frame, struct arena *a, struct queue_envelope *env_r, struct queue_place *place_r,
		 bool *has_envelope_r)
{
	struct unpack u = fields(frame, JOB_FRAME_NEW);
	char id[QUEUE_ID_MAX];

	get_id(&u, id);
	get_place(&u, place_r);
	*has_envelope_r = unpack_u8(&u) == 1;
	if (u.bad || id[0] == '\0')
		return false;
	if (!*has_envelope_r) {
		*env_r = (struct queue_envelope){ 0 };
		memcpy(env_r->id, id, sizeof id);
		return unpack_done(&u);
	}
	return format_get_envelope(u.rest, a, env_r) && strcmp(env_r->id, id) == 0;
}

bool job_put_bye(struct buf *b)
{
	begin(b, JOB_FRAME_BYE);
	return true;
}

/* --- JOB, IDLE ---------------------------------------------------------------------------------------------------- */

static void put_rcpt(struct buf *b, const struct job_rcpt *r)
{
	pack_u32(b, r->index);
	pack_span(b, r->address);
	pack_span(b, r->original);
	pack_span(b, r->orcpt);
	pack_u8(b, r->notify);
}

static void put_message(struct buf *b, const struct job_message *m)
{
	pack_span(b, span_cstr(m->id));
	put_place(b, &m->place);
	pack_span(b, m->sender);
	pack_span(b, m->envid);
	pack_u32(b, m->flags);
	pack_u64(b, m->size);
	pack_u64(b, (uint64_t)m->arrival_us);
	pack_u64(b, (uint64_t)m->active_us);
	pack_u8(b, m->last);
	pack_u8(b, (uint8_t)(m->again | m->kept << 1));
	pack_u32(b, (uint32_t)m->nrcpts);
	for (size_t i = 0; i < m->nrcpts; i++)
		put_rcpt(b, &m->rcpts[i]);
}

bool job_put_job(struct buf *b, const struct job *j)
{
	begin(b, JOB_FRAME_JOB);
	pack_u8(b, (uint8_t)j->kind);
	pack_span(b, j->transport);
	pack_span(b, j->nexthop);
	pack_u32(b, (uint32_t)j->nmessages);
	for (size_t i = 0; i < j->nmessages; i++)
		put_message(b, &j->messages[i]);
	return !b->overflow;
}

bool job_put_idle(struct buf *b)
{
	begin(b, JOB_FRAME_IDLE);
	return true;
}

static void get_message(struct unpack *u, struct arena *a, struct job_message *m)
{
	uint8_t flags;
	uint32_t n;

	get_id(u, m->id);
	get_place(u, &m->place);
	m->sender = unpack_span(u);
	m->envid = unpack_span(u);
	m->flags = unpack_u32(u);
	m->size = unpack_u64(u);
	m->arrival_us = (int64_t)unpack_u64(u);
	m->active_us = (int64_t)unpack_u64(u);
	m->last = unpack_u8(u) != 0;
	flags = unpack_u8(u);
	m->again = flags & 1;
	m->kept = flags & 2;
	n = unpack_u32(u);
	if (u->bad || n > u->rest.len / RCPT_MIN_BYTES) {
		u->bad = true;
		return;
	}
	m->rcpts = arena_array(a, n ? n : 1, sizeof *m->rcpts);
	m->nrcpts = n;
	for (uint32_t i = 0; i < n; i++) {
		struct job_rcpt *r = &m->rcpts[i];

		r->index = unpack_u32(u);
		r->address = unpack_span(u);
		r->original = unpack_span(u);
		r->orcpt = unpack_span(u);
		r->notify = unpack_u8(u);
	}
}

bool job_get_job(struct span frame, struct arena *a, struct job *j_r)
{
	struct unpack u = fields(frame, JOB_FRAME_JOB);
	uint32_t n;

	*j_r = (struct job){ .kind = unpack_u8(&u) };
	j_r->transport = unpack_span(&u);
	j_r->nexthop = unpack_span(&u);
	n = unpack_u32(&u);
	if (u.bad || n > u.rest.len / MESSAGE_MIN_BYTES)
		return false;
	j_r->messages = arena_array(a, n ? n : 1, sizeof *j_r->messages);
	j_r->nmessages = n;
	for (uint32_t i = 0; i < n && !u.bad; i++)
		get_message(&u, a, &j_r->messages[i]);
	return unpack_done(&u);
}

/* --- RESULT ------------------------------------------------------------------------------------------------------- */

/* Recipients of one letter mostly fail for one reason. More than a few long ones would take the room of the outcomes. */
static void put_outcome(struct buf *b, const struct job_outcome *o, struct span *last_reason, size_t *room)
{
	bool again = o->reason.len && span_eq(o->reason, *last_reason);
	bool told = again || (o->reason.len && o->reason.len <= *room);
	int reason = again ? REASON_AS_BEFORE : told ? REASON_FOLLOWS : 0;

	pack_u32(b, o->index);
	pack_u8(b, (uint8_t)((int)o->class | reason | (o->passed_on ? PASSED_ON : 0)));
	if (reason != REASON_FOLLOWS)
		return;
	pack_span(b, o->reason);
	*last_reason = o->reason;
	*room -= o->reason.len;
}

bool job_add_result(struct buf *b, const struct job_result *r)
{
	size_t before = b->len, room = REASONS_BYTES;
	struct span last_reason = SPAN_NONE;

	if (before == 0)
		pack_u8(b, JOB_FRAME_RESULT);
	pack_span(b, span_cstr(r->id));
	pack_u8(b, (uint8_t)(r->site_down | r->kept << 1));
	pack_span(b, span_head(r->reason, QUEUE_REASON_MAX));
	pack_u32(b, (uint32_t)r->noutcomes);
	for (size_t i = 0; i < r->noutcomes; i++)
		put_outcome(b, &r->outcomes[i], &last_reason, &room);
	if (!b->overflow)
		return true;
	buf_truncate(b, before);
	b->overflow = false;
	return false;
}

bool job_put_result(struct buf *b, const struct job_result *r)
{
	buf_reset(b);
	return job_add_result(b, r);
}

static bool get_outcome(struct unpack *u, struct job_outcome *o, struct span *last_reason)
{
	uint8_t class;

	*o = (struct job_outcome){ .index = unpack_u32(u) };
	class = unpack_u8(u);
	o->passed_on = class & PASSED_ON;
	if (class & REASON_FOLLOWS)
		*last_reason = unpack_span(u);
	if (class & (REASON_FOLLOWS | REASON_AS_BEFORE))
		o->reason = *last_reason;
	class &= (uint8_t)~(PASSED_ON | REASON_FOLLOWS | REASON_AS_BEFORE);
	o->class = class;
	return class <= VERDICT_PERM;
}

static bool get_result(struct unpack *u, struct arena *a, struct job_result *r)
{
	struct span last_reason = SPAN_NONE;
	uint8_t flags;
	uint32_t n;

	*r = (struct job_result){ 0 };
	get_id(u, r->id);
	flags = unpack_u8(u);
	r->site_down = flags & 1;
	r->kept = flags & 2;
	r->reason = unpack_span(u);
	n = unpack_u32(u);
	if (u->bad || n > u->rest.len / OUTCOME_BYTES)
		return false;
	r->outcomes = arena_array(a, n ? n : 1, sizeof *r->outcomes);
	r->noutcomes = n;
	for (uint32_t i = 0; i < n; i++)
		if (!get_outcome(u, &r->outcomes[i], &last_reason))
			return false;
	return !u->bad;
}

bool job_get_results(struct span frame, struct arena *a, struct job_result **list_r, size_t *n_r)
{
	struct unpack u = fields(frame, JOB_FRAME_RESULT);
	struct job_result *list = arena_array(a, frame.len / RESULT_MIN_BYTES + 1, sizeof *list);
	size_t n = 0;

	while (!u.bad && u.rest.len)
		if (!get_result(&u, a, &list[n++]))
			return false;
	*list_r = list;
	*n_r = n;
	return !u.bad && n > 0;
}

/* --- CONTROL, ANSWER, listing ------------------------------------------------------------------------------------- */

bool job_put_control(struct buf *b, const struct job_control *c)
{
	begin(b, JOB_FRAME_CONTROL);
	pack_u8(b, (uint8_t)c->verb);
	pack_span(b, c->argument);
	return !b->overflow;
}

bool job_get_control(struct span frame, struct job_control *c_r)
{
	struct unpack u = fields(frame, JOB_FRAME_CONTROL);

	*c_r = (struct job_control){ .verb = unpack_u8(&u) };
	c_r->argument = unpack_span(&u);
	return unpack_done(&u);
}

bool job_put_answer(struct buf *b, bool done, struct span bytes)
{
	begin(b, JOB_FRAME_ANSWER);
	pack_u8(b, done);
	pack_span(b, bytes);
	return !b->overflow;
}

bool job_get_answer(struct span frame, bool *done_r, struct span *bytes_r)
{
	struct unpack u = fields(frame, JOB_FRAME_ANSWER);

	*done_r = unpack_u8(&u) != 0;
	*bytes_r = unpack_span(&u);
	return unpack_done(&u);
}

/* The envelope, then of each recipient what the journal said last. */
void job_put_list_entry(struct buf *b, enum job_list_state state, const struct queue_envelope *env)
{
	size_t at;

	pack_u8(b, (uint8_t)state);
	pack_u8(b, (uint8_t)(env->held | env->expired << 1));
	at = b->len;
	pack_u32(b, 0);
	format_put_envelope(b, env);
	if (b->overflow)
		return;
	for (int i = 0; i < 4; i++)
		b->ptr[at + (size_t)i] = (char)((b->len - at - 4) >> (8 * i));
	for (size_t i = 0; i < env->nrcpts; i++) {
		pack_u8(b, (uint8_t)env->rcpts[i].state);
		pack_span(b, env->rcpts[i].reason);
	}
}

bool job_get_list_entry(struct unpack *u, struct arena *a, enum job_list_state *state_r, struct queue_envelope *env_r)
{
	uint8_t flags;

	*state_r = unpack_u8(u);
	flags = unpack_u8(u);
	if (u->bad || !format_get_envelope(unpack_span(u), a, env_r))
		return false;
	env_r->held = flags & 1;
	env_r->expired = flags >> 1 & 1;
	for (size_t i = 0; i < env_r->nrcpts; i++) {
		env_r->rcpts[i].state = unpack_u8(u);
		env_r->rcpts[i].reason = unpack_span(u);
	}
	return !u->bad;
}
