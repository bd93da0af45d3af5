/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a listing says of messages that sleep, so that a queue is listed from memory. A summary is a string of numbers (seven
 * bits a byte, the highest set when more follow) and of byte strings with their length before them:
 *
 *	arrival, size, expired, sender; then of each recipient that is not done with: state, address, original, pointer to the
 *	reason
 *
 * Thousands of messages fail for the same reason, which is kept once. Messages of many recipients have no summary, nor has any
 * once all together take SUMMARIES_BYTES: these are read from disk.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "qmgr/qmgr.h"

enum { SUMMARY_BYTES = 1000, SUMMARIES_BYTES = 128 * 1024 * 1024, OVERHEAD = 16, REASON_OVERHEAD = 160 };

struct reason {
	size_t users;
	size_t len;
	char text[];
};

struct summary {
	uint16_t len;
	uint16_t nrcpts;
	char bytes[];
};

static struct htab reasons;
static size_t taken; /* bytes of all summaries and reasons */

/* --- reasons ------------------------------------------------------------------------------------------------------ */

static struct reason *reason_hold(struct span text)
{
	struct reason *r = text.len ? htab_get(&reasons, text) : NULL;

	if (text.len == 0)
		return NULL;
	if (r == NULL) {
		r = mem_alloc(sizeof *r + text.len);
		*r = (struct reason){ 0, text.len };
		memcpy(r->text, text.ptr, text.len);
		htab_put(&reasons, text, r);
		taken += REASON_OVERHEAD + 2 * text.len;
	}
	r->users++;
	return r;
}

static void reason_release(struct reason *r)
{
	if (r == NULL || --r->users > 0)
		return;
	taken -= REASON_OVERHEAD + 2 * r->len;
	htab_del(&reasons, span_of(r->text, r->len));
	free(r);
}

/* --- the string --------------------------------------------------------------------------------------------------- */

static void put_number(struct buf *b, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		buf_addc(b, (char)(n | 0x80));
	buf_addc(b, (char)n);
}

static void put_span(struct buf *b, struct span s)
{
	put_number(b, s.len);
	buf_add_span(b, s);
}

static uint64_t get_number(const char **at)
{
	uint64_t n = 0;
	unsigned shift = 0;

	for (; **at & 0x80; (*at)++, shift += 7)
		n |= (uint64_t)(**at & 0x7f) << shift;
	n |= (uint64_t)(unsigned char)*(*at)++ << shift;
	return n;
}

static struct span get_span(const char **at)
{
	size_t len = (size_t)get_number(at);
	struct span s = span_of(*at, len);

	*at += len;
	return s;
}

static struct reason *get_reason(const char **at)
{
	struct reason *r;

	memcpy(&r, *at, sizeof r);
	*at += sizeof r;
	return r;
}

static bool is_open(const struct queue_rcpt *r)
{
	return r->state == QUEUE_RCPT_PENDING || r->state == QUEUE_RCPT_BOUNCED;
}

/* --- summaries ---------------------------------------------------------------------------------------------------- */

static bool put_rcpt(struct buf *b, const struct queue_rcpt *r)
{
	struct reason *reason;

	put_number(b, r->state);
	put_span(b, r->address);
	put_span(b, r->original);
	if (b->overflow || b->max - b->len < sizeof reason)
		return false;
	reason = reason_hold(r->reason);
	buf_add(b, &reason, sizeof reason);
	return true;
}

static void release_reasons(const char *bytes, uint16_t nrcpts)
{
	const char *at = bytes;

	for (int i = 0; i < 3; i++)
		get_number(&at);
	get_span(&at);
	for (uint16_t i = 0; i < nrcpts; i++) {
		get_number(&at);
		get_span(&at);
		get_span(&at);
		reason_release(get_reason(&at));
	}
}

struct summary *summary_make(const struct queue_envelope *env)
{
	struct summary *s = NULL;
	uint16_t nrcpts = 0;
	bool fits = true;
	struct buf b;

	if (taken > SUMMARIES_BYTES)
		return NULL;
	buf_init(&b, SUMMARY_BYTES);
	put_number(&b, (uint64_t)env->arrival_us);
	put_number(&b, env->size);
	put_number(&b, env->expired);
	put_span(&b, env->sender);
	for (size_t i = 0; i < env->nrcpts && fits && !b.overflow; i++) {
		if (!is_open(&env->rcpts[i]))
			continue;
		fits = put_rcpt(&b, &env->rcpts[i]);
		nrcpts += fits;
	}
	if (fits && !b.overflow) {
		s = mem_alloc(sizeof *s + b.len);
		*s = (struct summary){ (uint16_t)b.len, nrcpts };
		memcpy(s->bytes, b.ptr, b.len);
		taken += OVERHEAD + b.len;
	} else if (nrcpts > 0) {
		release_reasons(b.ptr, nrcpts);
	}
	buf_free(&b);
	return s;
}

void summary_free(struct summary *s)
{
	if (s == NULL)
		return;
	release_reasons(s->bytes, s->nrcpts);
	taken -= OVERHEAD + s->len;
	free(s);
}

void summary_get(const struct summary *s, struct arena *a, struct queue_envelope *env_r)
{
	const char *at = s->bytes;

	*env_r = (struct queue_envelope){ .arrival_us = (int64_t)get_number(&at) };
	env_r->size = get_number(&at);
	env_r->expired = get_number(&at) != 0;
	env_r->sender = get_span(&at);
	env_r->nrcpts = s->nrcpts;
	env_r->rcpts = arena_array(a, s->nrcpts ? s->nrcpts : 1u, sizeof *env_r->rcpts);
	for (uint16_t i = 0; i < s->nrcpts; i++) {
		struct queue_rcpt *r = &env_r->rcpts[i];
		const struct reason *reason;

		r->state = (enum queue_state)get_number(&at);
		r->address = get_span(&at);
		r->original = get_span(&at);
		reason = get_reason(&at);
		if (reason)
			r->reason = span_of(reason->text, reason->len);
	}
}
