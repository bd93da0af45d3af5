/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/control.h"

#include "lib/base/pack.h"

bool control_put_request(struct buf *b, enum control_verb verb, struct span argument)
{
	buf_reset(b);
	pack_u8(b, (uint8_t)verb);
	pack_span(b, argument);
	return !b->overflow;
}

bool control_get_request(struct span frame, enum control_verb *verb_r, struct span *argument_r)
{
	struct unpack u = { frame, false };

	*verb_r = unpack_u8(&u);
	*argument_r = unpack_span(&u);
	return unpack_done(&u);
}

bool control_put_service(struct buf *b, const struct control_service *s)
{
	buf_reset(b);
	pack_u8(b, CONTROL_SERVICE);
	pack_span(b, s->name);
	pack_span(b, s->type);
	pack_span(b, s->program);
	pack_span(b, s->listens);
	pack_u32(b, s->workers);
	pack_u32(b, s->draining);
	pack_u32(b, s->busy);
	pack_u32(b, s->limit);
	pack_u32(b, s->maxproc);
	pack_u64(b, s->total);
	pack_u32(b, s->restarts);
	pack_u64(b, s->rss_bytes);
	pack_u32(b, s->generation);
	pack_u32(b, s->pause_ms);
	return !b->overflow;
}

bool control_put_done(struct buf *b, bool ok, struct span text)
{
	buf_reset(b);
	pack_u8(b, CONTROL_DONE);
	pack_u8(b, ok);
	pack_span(b, text);
	return !b->overflow;
}

static void get_service(struct unpack *u, struct control_service *s)
{
	s->name = unpack_span(u);
	s->type = unpack_span(u);
	s->program = unpack_span(u);
	s->listens = unpack_span(u);
	s->workers = unpack_u32(u);
	s->draining = unpack_u32(u);
	s->busy = unpack_u32(u);
	s->limit = unpack_u32(u);
	s->maxproc = unpack_u32(u);
	s->total = unpack_u64(u);
	s->restarts = unpack_u32(u);
	s->rss_bytes = unpack_u64(u);
	s->generation = unpack_u32(u);
	s->pause_ms = unpack_u32(u);
}

enum control_type control_get_answer(struct span frame, struct control_service *s_r, bool *ok_r, struct span *text_r)
{
	struct unpack u = { frame, false };
	enum control_type type = unpack_u8(&u);

	if (type == CONTROL_SERVICE) {
		get_service(&u, s_r);
	} else {
		*ok_r = unpack_u8(&u) != 0;
		*text_r = unpack_span(&u);
	}
	return unpack_done(&u) && (type == CONTROL_SERVICE || type == CONTROL_DONE) ? type : 0;
}
