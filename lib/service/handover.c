/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/handover.h"

#include <string.h>

#include "lib/base/pack.h"
#include "lib/io/frame.h"

/* First byte of a frame; a frame of another kind or version is refused whole. */
enum { KIND_LOGIN = 'L', KIND_ANSWER = 'A', KIND_SESSION = 'S', KIND_REPLY = 'R', KIND_WHO = 'W', KIND_SEEN = 'E', VERSION = 2 };

static void put_head(struct buf *b, uint8_t kind)
{
	pack_u8(b, kind);
	pack_u8(b, VERSION);
}

static void get_head(struct unpack *u, uint8_t kind)
{
	if (unpack_u8(u) != kind || unpack_u8(u) != VERSION)
		u->bad = true;
}

/* A byte string of at most max bytes; more counts as an overflow of the frame. */
static void put_text(struct buf *b, struct span s, size_t max)
{
	if (s.len > max)
		b->overflow = true;
	else
		pack_span(b, s);
}

static struct span get_text(struct unpack *u, size_t max)
{
	struct span s = unpack_span(u);

	if (s.len > max)
		u->bad = true;
	return u->bad ? SPAN_NONE : s;
}

static bool get_bool(struct unpack *u)
{
	uint8_t v = unpack_u8(u);

	if (v > 1)
		u->bad = true;
	return v == 1;
}

/* A string that ends up as a C string: NULL is not the same as empty, and no NUL inside. */
static void put_cstr(struct buf *b, const char *s, size_t max)
{
	pack_u8(b, s != NULL);
	put_text(b, span_cstr(s), max);
}

static const char *get_cstr(struct unpack *u, struct arena *a, size_t max)
{
	bool present = get_bool(u);
	struct span s = get_text(u, max);

	if (u->bad || (s.len > 0 && (!present || memchr(s.ptr, '\0', s.len)))) {
		u->bad = true;
		return NULL;
	}
	return present ? arena_cstr(a, s) : NULL;
}

static void put_addr(struct buf *b, const struct netaddr *n)
{
	pack_u32(b, n->family);
	pack_u32(b, n->port);
	pack_span(b, span_of((const char *)n->bytes, sizeof n->bytes));
}

static void get_addr(struct unpack *u, struct netaddr *n_r)
{
	uint32_t family = unpack_u32(u), port = unpack_u32(u);
	struct span bytes = unpack_span(u);

	memset(n_r, 0, sizeof *n_r);
	if (bytes.len != sizeof n_r->bytes || port > UINT16_MAX ||
	    (family != 0 && family != AF_UNIX && family != AF_INET && family != AF_INET6)) {
		u->bad = true;
		return;
	}
	n_r->family = (sa_family_t)family;
	n_r->port = (uint16_t)port;
	memcpy(n_r->bytes, bytes.ptr, sizeof n_r->bytes);
}

bool handover_put_login(struct buf *b, const struct handover_login *l)
{
	put_head(b, KIND_LOGIN);
	pack_u8(b, (uint8_t)l->want);
	put_text(b, l->service, HANDOVER_NAME_MAX);
	put_text(b, l->mechanism, HANDOVER_NAME_MAX);
	put_text(b, l->user, HANDOVER_USER_MAX);
	put_text(b, l->password, HANDOVER_PASSWORD_MAX);
	put_text(b, l->message, HANDOVER_MESSAGE_MAX);
	put_text(b, l->tag, HANDOVER_TAG_MAX);
	put_text(b, l->input, HANDOVER_INPUT_MAX);
	put_text(b, l->session_id, HANDOVER_NAME_MAX);
	put_addr(b, &l->remote);
	put_addr(b, &l->local);
	pack_u8(b, l->secured);
	return !b->overflow;
}

bool handover_get_login(struct span frame, struct handover_login *l_r)
{
	struct unpack u = { .rest = frame };
	uint8_t want;

	get_head(&u, KIND_LOGIN);
	want = unpack_u8(&u);
	l_r->want = want <= HANDOVER_WANT_PARAMETERS ? (enum handover_want)want : HANDOVER_WANT_LOGIN;
	l_r->service = get_text(&u, HANDOVER_NAME_MAX);
	l_r->mechanism = get_text(&u, HANDOVER_NAME_MAX);
	l_r->user = get_text(&u, HANDOVER_USER_MAX);
	l_r->password = get_text(&u, HANDOVER_PASSWORD_MAX);
	l_r->message = get_text(&u, HANDOVER_MESSAGE_MAX);
	l_r->tag = get_text(&u, HANDOVER_TAG_MAX);
	l_r->input = get_text(&u, HANDOVER_INPUT_MAX);
	l_r->session_id = get_text(&u, HANDOVER_NAME_MAX);
	get_addr(&u, &l_r->remote);
	get_addr(&u, &l_r->local);
	l_r->secured = get_bool(&u);
	return unpack_done(&u) && want <= HANDOVER_WANT_PARAMETERS;
}

bool handover_put_reply(struct buf *b, const struct handover_reply *r)
{
	put_head(b, KIND_REPLY);
	pack_u8(b, (uint8_t)r->code);
	put_text(b, r->user, HANDOVER_USER_MAX);
	pack_u32(b, r->pid);
	pack_u32(b, r->delay_ms);
	put_text(b, r->data, HANDOVER_DATA_MAX);
	return !b->overflow;
}

bool handover_get_reply(struct span frame, struct handover_reply *r_r)
{
	struct unpack u = { .rest = frame };
	uint8_t code;

	get_head(&u, KIND_REPLY);
	code = unpack_u8(&u);
	r_r->code = code <= HANDOVER_TOO_SOON ? (enum handover_code)code : HANDOVER_TEMP;
	r_r->user = get_text(&u, HANDOVER_USER_MAX);
	r_r->pid = unpack_u32(&u);
	r_r->delay_ms = unpack_u32(&u);
	r_r->data = get_text(&u, HANDOVER_DATA_MAX);
	return unpack_done(&u) && code <= HANDOVER_TOO_SOON;
}

bool handover_put_answer(struct buf *b, enum handover_code code, struct span user, uint32_t pid)
{
	put_head(b, KIND_ANSWER);
	pack_u8(b, (uint8_t)code);
	put_text(b, user, HANDOVER_USER_MAX);
	pack_u32(b, pid);
	return !b->overflow;
}

bool handover_get_answer(struct span frame, enum handover_code *code_r, struct span *user_r, uint32_t *pid_r)
{
	struct unpack u = { .rest = frame };
	uint8_t code;

	get_head(&u, KIND_ANSWER);
	code = unpack_u8(&u);
	*user_r = get_text(&u, HANDOVER_USER_MAX);
	*pid_r = unpack_u32(&u);
	*code_r = code <= HANDOVER_TOO_SOON ? (enum handover_code)code : HANDOVER_TEMP;
	return unpack_done(&u) && code <= HANDOVER_TOO_SOON;
}

bool handover_put_session(struct buf *b, const struct handover_session *s)
{
	put_head(b, KIND_SESSION);
	put_text(b, s->user.name, HANDOVER_USER_MAX);
	pack_u32(b, s->user.uid);
	pack_u32(b, s->user.gid);
	put_cstr(b, s->user.home, HANDOVER_PATH_MAX);
	put_cstr(b, s->user.shell, HANDOVER_PATH_MAX);
	put_cstr(b, s->user.mail_location, HANDOVER_PATH_MAX);
	put_text(b, s->tag, HANDOVER_TAG_MAX);
	put_text(b, s->input, HANDOVER_INPUT_MAX);
	put_text(b, s->session_id, HANDOVER_NAME_MAX);
	put_text(b, s->mechanism, HANDOVER_NAME_MAX);
	put_addr(b, &s->remote);
	put_addr(b, &s->local);
	pack_u8(b, s->secured);
	return !b->overflow;
}

bool handover_get_session(struct span frame, struct arena *a, struct handover_session *s_r)
{
	struct unpack u = { .rest = frame };

	get_head(&u, KIND_SESSION);
	s_r->user.name = arena_span(a, get_text(&u, HANDOVER_USER_MAX));
	s_r->user.uid = unpack_u32(&u);
	s_r->user.gid = unpack_u32(&u);
	s_r->user.home = get_cstr(&u, a, HANDOVER_PATH_MAX);
	s_r->user.shell = get_cstr(&u, a, HANDOVER_PATH_MAX);
	s_r->user.mail_location = get_cstr(&u, a, HANDOVER_PATH_MAX);
	s_r->tag = arena_span(a, get_text(&u, HANDOVER_TAG_MAX));
	s_r->input = arena_span(a, get_text(&u, HANDOVER_INPUT_MAX));
	s_r->session_id = arena_span(a, get_text(&u, HANDOVER_NAME_MAX));
	s_r->mechanism = arena_span(a, get_text(&u, HANDOVER_NAME_MAX));
	get_addr(&u, &s_r->remote);
	get_addr(&u, &s_r->local);
	s_r->secured = get_bool(&u);
	return unpack_done(&u) && s_r->user.name.len > 0 && !memchr(s_r->user.name.ptr, '\0', s_r->user.name.len);
}

bool handover_put_who(struct buf *b, const struct handover_who *w)
{
	put_head(b, KIND_WHO);
	pack_u8(b, w->kick);
	put_text(b, w->user, HANDOVER_USER_MAX);
	put_addr(b, &w->remote);
	return !b->overflow;
}

bool handover_get_who(struct span frame, struct handover_who *w_r)
{
	struct unpack u = { .rest = frame };

	get_head(&u, KIND_WHO);
	w_r->kick = get_bool(&u);
	w_r->user = get_text(&u, HANDOVER_USER_MAX);
	get_addr(&u, &w_r->remote);
	return unpack_done(&u);
}

bool handover_put_seen(struct buf *b, const struct handover_seen *s)
{
	put_head(b, KIND_SEEN);
	put_text(b, s->user, HANDOVER_USER_MAX);
	pack_u32(b, s->pid);
	pack_u64(b, (uint64_t)s->since);
	put_addr(b, &s->remote);
	pack_u8(b, s->secured);
	return !b->overflow;
}

bool handover_get_seen(struct span frame, struct handover_seen *s_r)
{
	struct unpack u = { .rest = frame };

	get_head(&u, KIND_SEEN);
	s_r->user = get_text(&u, HANDOVER_USER_MAX);
	s_r->pid = unpack_u32(&u);
	s_r->since = (int64_t)unpack_u64(&u);
	get_addr(&u, &s_r->remote);
	s_r->secured = get_bool(&u);
	return unpack_done(&u);
}

_Static_assert(3 * HANDOVER_PATH_MAX + HANDOVER_INPUT_MAX + HANDOVER_TAG_MAX + HANDOVER_USER_MAX + 1024 < FRAME_MAX,
	       "a full SESSION frame fits");
_Static_assert(HANDOVER_PASSWORD_MAX + HANDOVER_MESSAGE_MAX + HANDOVER_INPUT_MAX + HANDOVER_TAG_MAX +
		       HANDOVER_USER_MAX + 1024 <
		   FRAME_MAX,
	       "a full LOGIN frame fits");
