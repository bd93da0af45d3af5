/* SPDX-License-Identifier: BSD-2-Clause */
/* A frame from a neighbour that has been taken over: it is refused, or what was read writes the same frame again. */
#include <stddef.h>
#include <stdint.h>

#include "lib/base/must.h"
#include "lib/io/frame.h"
#include "lib/service/handover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span frame = span_of((const char *)data, size), user;
	struct handover_login l;
	struct handover_session s;
	struct handover_who who;
	struct handover_seen seen;
	struct arena a = ARENA_INIT;
	enum handover_code code;
	uint32_t pid;
	struct buf b;

	buf_init(&b, FRAME_MAX);
	if (handover_get_login(frame, &l))
		must(handover_put_login(&b, &l) && span_eq(frame, buf_span(&b)));
	buf_reset(&b);
	if (handover_get_answer(frame, &code, &user, &pid))
		must(handover_put_answer(&b, code, user, pid) && span_eq(frame, buf_span(&b)));
	buf_reset(&b);
	if (handover_get_session(frame, &a, &s))
		must(handover_put_session(&b, &s) && span_eq(frame, buf_span(&b)));
	buf_reset(&b);
	if (handover_get_who(frame, &who))
		must(handover_put_who(&b, &who) && span_eq(frame, buf_span(&b)));
	buf_reset(&b);
	if (handover_get_seen(frame, &seen))
		must(handover_put_seen(&b, &seen) && span_eq(frame, buf_span(&b)));
	buf_free(&b);
	arena_free(&a);
	return 0;
}
