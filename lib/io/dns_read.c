/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reader of DNS answers (RFC 1035 4.1), declared in dns.h. Every offset is checked against the packet; a
 * compression pointer must lead to before the name that holds it, so following pointers ends.
 */
#include <string.h>

#include "lib/io/dns.h"

enum { HEADER_BYTES = 12, CLASS_IN = 1, RCODE_NXDOMAIN = 3, LABEL_MAX = 63, WIRE_NAME_MAX = 255 };

struct reader {
	const unsigned char *at;
	size_t len, pos;
	bool bad; /* ran past the end or met nonsense; stays set */
};

static unsigned get_u8(struct reader *r)
{
	if (r->bad || r->pos >= r->len) {
		r->bad = true;
		return 0;
	}
	return r->at[r->pos++];
}

static unsigned get_u16(struct reader *r)
{
	unsigned high = get_u8(r);

	return high << 8 | get_u8(r);
}

static uint32_t get_u32(struct reader *r)
{
	uint32_t high = get_u16(r);

	return high << 16 | get_u16(r);
}

struct name {
	char text[DNS_NAME_MAX + 1]; /* no last dot; "" for the root */
	size_t len;
	bool plain;     /* host name characters only */
	bool printable; /* no blanks, controls, 8-bit bytes, nor what the text form gives a meaning */
};

static struct span name_span(const struct name *n)
{
	return span_of(n->text, n->len);
}

/* Copy one label of len bytes; false past the limits. */
static bool take_label(struct reader *r, struct name *n, unsigned len)
{
	if (n->len + (n->len > 0) + len > DNS_NAME_MAX - 2) /* as on the wire: 255 with length bytes and the root */
		return false;
	if (n->len)
		n->text[n->len++] = '.';
	for (unsigned i = 0; i < len; i++) {
		char c = (char)get_u8(r);

		n->plain = n->plain && (ascii_isalnum(c) || c == '-' || c == '_');
		n->printable = n->printable && c > ' ' && c < 127 && c != '.' && c != '\\' && c != '"';
		n->text[n->len++] = c;
	}
	return !r->bad;
}

/* Read a possibly compressed name; r ends up behind it. */
static void get_name(struct reader *r, struct name *n)
{
	struct reader walk = *r;
	size_t floor = r->pos; /* pointers must lead to before this */
	bool jumped = false;

	n->len = 0;
	n->plain = n->printable = true;
	for (;;) {
		unsigned len = get_u8(&walk);

		if ((len & 0xC0) == 0xC0) {
			size_t target = (len & 0x3F) << 8 | get_u8(&walk);

			if (!jumped)
				r->pos = walk.pos;
			jumped = true;
			walk.bad = walk.bad || target >= floor;
			walk.pos = floor = target;
		} else if (len > LABEL_MAX || (len && !take_label(&walk, n, len))) {
			walk.bad = true;
		}
		if (walk.bad || len == 0)
			break;
	}
	r->bad = r->bad || walk.bad;
	if (!jumped)
		r->pos = walk.pos;
}

struct rr {
	struct name owner;
	unsigned type, class;
	uint32_t ttl;
	struct reader data; /* at is the packet, len the end of the record's data */
};

static bool next_rr(struct reader *r, struct rr *rr)
{
	size_t length;

	get_name(r, &rr->owner);
	rr->type = get_u16(r);
	rr->class = get_u16(r);
	rr->ttl = get_u32(r);
	if (rr->ttl & 0x80000000) /* RFC 2181 section 8 */
		rr->ttl = 0;
	length = get_u16(r);
	if (r->bad || length > r->len - r->pos)
		return false;
	rr->data = (struct reader){ .at = r->at, .len = r->pos + length, .pos = r->pos };
	r->pos += length;
	return true;
}

/* Strings, each with its length in front; a text that was cut into several is one again. */
static bool read_strings(struct arena *a, struct reader *r, struct span *text_r)
{
	size_t room = r->len - r->pos;
	char *text = arena_alloc(a, room + 1);
	size_t len = 0;

	while (r->pos < r->len) {
		size_t n = r->at[r->pos++];

		if (n > r->len - r->pos)
			return false;
		memcpy(text + len, r->at + r->pos, n);
		r->pos += n;
		len += n;
	}
	*text_r = span_of(text, len);
	return true;
}

/* False: not what this type holds. */
static bool read_data(struct arena *a, struct rr *rr, struct dns_record *rec)
{
	struct name target;
	size_t want = rr->type == DNS_A ? 4 : 16;

	*rec = (struct dns_record){ .ttl = rr->ttl };
	if (rr->type == DNS_A || rr->type == DNS_AAAA) {
		rec->addr.family = rr->type == DNS_A ? AF_INET : AF_INET6;
		if (rr->data.len - rr->data.pos != want)
			return false;
		memcpy(rec->addr.bytes, rr->data.at + rr->data.pos, want);
		return true;
	}
	if (rr->type == DNS_TXT)
		return read_strings(a, &rr->data, &rec->name);
	if (rr->type == DNS_MX)
		rec->preference = (uint16_t)get_u16(&rr->data);
	get_name(&rr->data, &target);
	if (rr->data.bad || rr->data.pos != rr->data.len)
		return false;
	/* What lies on the way may have other bytes: 0/25.2.0.192.in-addr.arpa, RFC 2317. */
	if (rr->type == DNS_CNAME ? !target.printable : !target.plain)
		return false;
	rec->name = arena_span(a, name_span(&target));
	return true;
}

/* Everything known about the answer section while it is read. */
struct section {
	struct reader start; /* at its first record */
	unsigned count;
};

static bool owned(const struct rr *rr, struct span name, unsigned type)
{
	return rr->type == type && rr->class == CLASS_IN && span_ieq(name_span(&rr->owner), name);
}

/* Follow the CNAME of *name, when there is one. 1: followed, 0: there is none, -1: nonsense. */
static int follow_alias(struct arena *a, const struct section *s, struct span *name, uint32_t *ttl)
{
	struct reader r = s->start;
	struct dns_record rec;
	struct rr rr;

	for (unsigned i = 0; i < s->count; i++) {
		if (!next_rr(&r, &rr))
			return -1;
		if (!owned(&rr, *name, DNS_CNAME))
			continue;
		if (!read_data(a, &rr, &rec) || rec.name.len == 0)
			return -1;
		*name = rec.name;
		*ttl = rec.ttl < *ttl ? rec.ttl : *ttl;
		return 1;
	}
	return 0;
}

static enum dns_status collect(struct arena *a, const struct section *s, enum dns_type type, uint32_t ttl,
			       struct dns_answer *answer)
{
	struct reader r = s->start;
	size_t broken = 0;
	struct rr rr;

	answer->records =
	    arena_array(a, s->count < DNS_RECORDS_MAX ? s->count : DNS_RECORDS_MAX, sizeof *answer->records);
	for (unsigned i = 0; i < s->count && answer->nrecords < DNS_RECORDS_MAX; i++) {
		struct dns_record rec;

		if (!next_rr(&r, &rr))
			return DNS_BAD;
		if (!owned(&rr, answer->canonical, type))
			continue;
		if (!read_data(a, &rr, &rec)) {
			broken++;
			continue;
		}
		rec.ttl = rec.ttl < ttl ? rec.ttl : ttl;
		answer->records[answer->nrecords++] = rec;
	}
	if (answer->nrecords)
		return DNS_OK;
	return broken ? DNS_BAD : DNS_NODATA;
}

/* Header and question; false when this is not an answer at all. */
static bool read_header(struct reader *r, struct section *s, unsigned *flags_r)
{
	struct name question;
	unsigned questions;

	get_u16(r); /* id: the resolver has compared it */
	*flags_r = get_u16(r);
	questions = get_u16(r);
	s->count = get_u16(r);
	get_u32(r);
	if (r->bad || !(*flags_r & 0x8000) || questions > 1)
		return false;
	if (questions) {
		get_name(r, &question);
		get_u32(r);
	}
	s->start = *r;
	return !r->bad;
}

enum dns_status dns_read(struct arena *a, struct span packet, struct span name, enum dns_type type,
			 struct dns_answer *answer_r)
{
	struct reader r = { .at = (const unsigned char *)packet.ptr, .len = packet.len };
	struct section s = { .count = 0 };
	uint32_t ttl = UINT32_MAX;
	enum dns_status status;
	unsigned flags;
	int aliases = 0;
	int followed = 0;

	name.len -= name.len && name.ptr[name.len - 1] == '.';
	*answer_r = (struct dns_answer){ .canonical = name };
	if (packet.len < HEADER_BYTES || packet.len > DNS_ANSWER_MAX || !read_header(&r, &s, &flags))
		return DNS_BAD;
	if ((flags & 0x0F) == RCODE_NXDOMAIN)
		return DNS_NXDOMAIN;
	if (flags & 0x0F)
		return DNS_TEMP;
	while (type != DNS_CNAME && aliases <= DNS_ALIASES_MAX &&
	       (followed = follow_alias(a, &s, &answer_r->canonical, &ttl)) > 0)
		aliases++;
	if (followed < 0 || aliases > DNS_ALIASES_MAX)
		return DNS_BAD;
	answer_r->authentic = flags & 0x20;
	status = collect(a, &s, type, ttl, answer_r);
	if (status != DNS_OK)
		answer_r->nrecords = 0;
	return status;
}
