/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Folder names and file names. On disk names are in modified UTF-7 (RFC 3501 5.1.3), as Dovecot 2.3 has them; levels
 * are directories for mbox and ".a.b" for Maildir++. A dot that would mean something to the layout is written "&AC4-".
 */
#include <string.h>

#include "lib/base/utf8.h"
#include "lib/store/store-int.h"

enum { PART_MAX = 240, DEPTH_MAX = 16 };

bool names_is_inbox(struct span name)
{
	return span_iis(name, "INBOX");
}

static bool part_ok(struct span part, bool first)
{
	if (part.len == 0 || part.len > PART_MAX || span_is(part, ".") || span_is(part, ".."))
		return false;
	if (first && part.ptr[0] == '~')
		return false;
	for (size_t i = 0; i < part.len; i++)
		if (ascii_iscntrl(part.ptr[i]))
			return false;
	return true;
}

bool names_normal(struct arena *a, struct span name, struct span *name_r)
{
	struct span rest;
	char *copy;
	int depth = 0;

	if (span_ends(name, "/"))
		name.len--;
	if (name.len == 0 || name.len > STORE_NAME_MAX || !utf8_valid(name))
		return false;
	for (rest = name; depth == 0 || rest.len > 0; depth++) {
		if (depth == DEPTH_MAX || !part_ok(span_cut(&rest, '/'), depth == 0))
			return false;
	}
	if (name.ptr[name.len - 1] == '/')
		return false;
	copy = arena_cstr(a, name);
	if (names_is_inbox(span_head(name, 5)) && (name.len == 5 || name.ptr[5] == '/'))
		memcpy(copy, "INBOX", 5);
	*name_r = span_of(copy, name.len);
	return true;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static uint32_t next_char(struct span *s)
{
	size_t n = utf8_char(s->ptr, s->len);
	unsigned char c = (unsigned char)s->ptr[0];
	uint32_t u;

	if (n <= 1) {
		*s = span_skip(*s, 1);
		return c;
	}
	u = c & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++)
		u = u << 6 | ((unsigned char)s->ptr[i] & 0x3f);
	*s = span_skip(*s, n);
	return u;
}

/* 16 bits into the base64 of a run */
struct run {
	struct buf *out;
	uint32_t bits;
	int nbits;
	bool open;
};

static void run_put(struct run *r, uint32_t unit)
{
	if (!r->open)
		buf_addc(r->out, '&');
	r->open = true;
	r->bits = r->bits << 16 | unit;
	for (r->nbits += 16; r->nbits >= 6; r->nbits -= 6)
		buf_addc(r->out, alphabet[r->bits >> (r->nbits - 6) & 63]);
}

static void run_end(struct run *r)
{
	if (!r->open)
		return;
	if (r->nbits > 0)
		buf_addc(r->out, alphabet[r->bits << (6 - r->nbits) & 63]);
	buf_addc(r->out, '-');
	*r = (struct run){ .out = r->out };
}

/* escape_dot: every dot; else a leading one. */
static void encode_part(struct buf *out, struct span part, bool escape_dot)
{
	struct run run = { .out = out };
	bool start = true;

	while (part.len > 0) {
		uint32_t u = next_char(&part);

		if (u >= 0x20 && u < 0x7f && !(u == '.' && (escape_dot || start))) {
			run_end(&run);
			buf_addc(out, (char)u);
			if (u == '&')
				buf_addc(out, '-');
		} else if (u >= 0x10000) {
			run_put(&run, 0xd800 + ((u - 0x10000) >> 10));
			run_put(&run, 0xdc00 + ((u - 0x10000) & 0x3ff));
		} else {
			run_put(&run, u);
		}
		start = false;
	}
	run_end(&run);
}

char *names_to_path(struct arena *a, enum store_kind kind, struct span name)
{
	struct span normal, rest;
	struct buf out;
	char *path = NULL;
	bool ok = true;

	if (!names_normal(a, name, &normal))
		return NULL;
	if (names_is_inbox(normal))
		return arena_strdup(a, "");
	buf_init(&out, 4096);
	for (rest = normal; rest.len > 0;) {
		size_t before = out.len;

		if (kind == STORE_MAILDIR || out.len > 0)
			buf_addc(&out, kind == STORE_MAILDIR ? '.' : '/');
		encode_part(&out, span_cut(&rest, '/'), kind == STORE_MAILDIR);
		ok = ok && out.len - before <= 250;
		if (kind == STORE_MBOX && span_iends(buf_span(&out), ".sbd"))
			ok = false; /* the children of another folder */
	}
	if (kind == STORE_MAILDIR ? out.len > 250 : span_iends(buf_span(&out), ".lock"))
		ok = false;
	if (ok && !out.overflow)
		path = arena_cstr(a, buf_span(&out));
	buf_free(&out);
	return path;
}

static void put_utf8(struct buf *out, uint32_t u)
{
	if (u < 0x80) {
		buf_addc(out, (char)u);
	} else if (u < 0x800) {
		buf_addc(out, (char)(0xc0 | u >> 6));
		buf_addc(out, (char)(0x80 | (u & 63)));
	} else if (u < 0x10000) {
		buf_addc(out, (char)(0xe0 | u >> 12));
		buf_addc(out, (char)(0x80 | (u >> 6 & 63)));
		buf_addc(out, (char)(0x80 | (u & 63)));
	} else {
		buf_addc(out, (char)(0xf0 | u >> 18));
		buf_addc(out, (char)(0x80 | (u >> 12 & 63)));
		buf_addc(out, (char)(0x80 | (u >> 6 & 63)));
		buf_addc(out, (char)(0x80 | (u & 63)));
	}
}

/* The base64 of one run, without & and -. */
static bool decode_run(struct buf *out, struct span s)
{
	uint32_t bits = 0, high = 0;
	int nbits = 0;

	for (size_t i = 0; i < s.len; i++) {
		const char *at = s.ptr[i] ? strchr(alphabet, s.ptr[i]) : NULL;
		uint32_t unit;

		if (at == NULL)
			return false;
		bits = bits << 6 | (uint32_t)(at - alphabet);
		nbits += 6;
		if (nbits < 16)
			continue;
		nbits -= 16;
		unit = bits >> nbits & 0xffff;
		if (unit >= 0xd800 && unit < 0xdc00) {
			high = unit;
		} else if (unit >= 0xdc00 && unit < 0xe000) {
			if (high == 0)
				return false;
			put_utf8(out, 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
			high = 0;
		} else {
			put_utf8(out, unit);
		}
	}
	return high == 0 && nbits < 6;
}

static bool decode_part(struct buf *out, struct span s)
{
	while (s.len > 0) {
		ptrdiff_t amp = span_chr(s, '&'), end;

		buf_add_span(out, span_head(s, amp < 0 ? s.len : (size_t)amp));
		if (amp < 0)
			break;
		s = span_skip(s, (size_t)amp + 1);
		end = span_chr(s, '-');
		if (end < 0)
			return false;
		if (end == 0)
			buf_addc(out, '&');
		else if (!decode_run(out, span_head(s, (size_t)end)))
			return false;
		s = span_skip(s, (size_t)end + 1);
	}
	return true;
}

struct span names_from_disk(struct arena *a, enum store_kind kind, struct span disk)
{
	struct span rest = disk, name = SPAN_NONE;
	struct buf out;
	bool ok = disk.len > 0;
	char *again;

	buf_init(&out, 4096);
	while (ok && rest.len > 0) {
		if (out.len > 0)
			buf_addc(&out, '/');
		ok = decode_part(&out, span_cut(&rest, kind == STORE_MAILDIR ? '.' : '/'));
	}
	/* only what leads back here: no two files under one name, and none that cannot be opened */
	if (ok && !out.overflow) {
		again = names_to_path(a, kind, buf_span(&out));
		if (again != NULL && *again == '.' && kind == STORE_MAILDIR)
			again++;
		if (again != NULL && span_is(disk, again))
			name = arena_span(a, buf_span(&out));
	}
	buf_free(&out);
	return name;
}
