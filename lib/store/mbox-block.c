/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "lib/store/mbox-format.h"
#include "lib/store/store.h"

static const struct {
	char letter;
	uint32_t flag;
} letters[] = {
	{ 'R', STORE_SEEN },    { 'A', STORE_ANSWERED }, { 'F', STORE_FLAGGED },
	{ 'D', STORE_DELETED }, { 'T', STORE_DRAFT },
};

void mbox_status_parse(struct span s, uint32_t *flags, bool *old)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == 'O')
			*old = true;
		for (size_t j = 0; j < sizeof letters / sizeof *letters; j++)
			if (s.ptr[i] == letters[j].letter)
				*flags |= letters[j].flag;
	}
}

static const char *const field_names[] = {
	[MBOX_FIELD_POSTHOUSE] = "X-Posthouse:", [MBOX_FIELD_UID] = "X-UID:",           [MBOX_FIELD_STATUS] = "Status:",
	[MBOX_FIELD_XSTATUS] = "X-Status:",      [MBOX_FIELD_KEYWORDS] = "X-Keywords:", [MBOX_FIELD_BASE] = "X-IMAPbase:",
	[MBOX_FIELD_IMAP] = "X-IMAP:",
};

enum mbox_field mbox_field_of(struct span line, struct span *value_r)
{
	if (line.len == 0 || (ascii_lower(line.ptr[0]) != 'x' && ascii_lower(line.ptr[0]) != 's'))
		return MBOX_FIELD_NONE;
	for (int f = MBOX_FIELD_POSTHOUSE; f <= MBOX_FIELD_IMAP; f++)
		if (span_istarts(line, field_names[f])) {
			*value_r = span_skip(line, strlen(field_names[f]));
			return (enum mbox_field)f;
		}
	return MBOX_FIELD_NONE;
}

/*                              X-Posthouse: K16 L12 C8\n    X-UID: 10\n    Status: 2\n  X-Status: 4\n  X-Keywords: \n */
enum {
	LINE_ID = 13 + 16 + 1 + 12 + 1 + 8 + 1,
	LINE_UID = 18,
	LINE_STATUS = 11,
	LINE_XSTATUS = 15,
	KEYWORDS_NAME = 12,
	BASE_NAME = 12,
	BASE_NUMBERS = 21
};
enum { FIXED = LINE_ID + LINE_UID + LINE_STATUS + LINE_XSTATUS };

size_t mbox_block_length_at(void)
{
	return 13 + 16 + 1;
}

size_t mbox_block_uid_at(void)
{
	return LINE_ID;
}

size_t mbox_block_base_at(const struct mbox_block *m)
{
	return FIXED + KEYWORDS_NAME + m->keyword_room + 1;
}

size_t mbox_block_size(const struct mbox_block *m)
{
	size_t n = FIXED + KEYWORDS_NAME + m->keyword_room + 1;

	return m->has_base ? n + BASE_NAME + BASE_NUMBERS + 1 + m->base_room + 1 : n;
}

/* words, cut at a word to fit, then spaces up to width, then LF */
static void add_padded(struct buf *b, struct span words, size_t width)
{
	if (words.len > width) {
		words.len = width;
		while (words.len > 0 && words.ptr[words.len] != ' ')
			words.len--;
	}
	for (size_t i = 0; i < words.len; i++)
		buf_addc(b, words.ptr[i]);
	for (size_t i = words.len; i < width; i++)
		buf_addc(b, ' ');
	buf_addc(b, '\n');
}

bool mbox_block_make(struct buf *b, const struct mbox_block *m)
{
	char status[3] = "  ", xstatus[5] = "    ";
	int n = 0, x = 0;

	if (m->flags & STORE_SEEN)
		status[n++] = 'R';
	if (m->old)
		status[n++] = 'O';
	for (size_t i = 1; i < sizeof letters / sizeof *letters; i++)
		if (m->flags & letters[i].flag)
			xstatus[x++] = letters[i].letter;
	buf_addf(b, "X-Posthouse: %016llx %012llu %08x\nX-UID: %010u\nStatus: %s\nX-Status: %s\nX-Keywords: ",
		 (unsigned long long)m->key, (unsigned long long)m->length % 1000000000000ULL, m->crc, m->uid, status, xstatus);
	add_padded(b, m->keywords, m->keyword_room);
	if (m->has_base) {
		buf_addf(b, "X-IMAPbase: %010u %010u ", m->uidvalidity, m->lastuid);
		add_padded(b, m->base_keywords, m->base_room);
	}
	return !b->overflow;
}

static bool hex(struct span s, uint64_t *n_r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = ascii_lower(s.ptr[i]);

		if (!ascii_isdigit(c) && (c < 'a' || c > 'f'))
			return false;
		n = n << 4 | (uint64_t)(ascii_isdigit(c) ? c - '0' : c - 'a' + 10);
	}
	*n_r = n;
	return true;
}

static struct span trim_right(struct span s)
{
	while (s.len > 0 && s.ptr[s.len - 1] == ' ')
		s.len--;
	return s;
}

/* The next line of *rest: name, then a value of any width; false when it is another line or has no end. */
static bool take(struct span *rest, const char *name, struct span *value_r)
{
	size_t n = strlen(name);
	ptrdiff_t end;

	if (!span_starts(*rest, name))
		return false;
	end = span_chr(span_head(*rest, MBOX_BLOCK_MAX), '\n');
	if (end < (ptrdiff_t)n)
		return false;
	*value_r = span_of(rest->ptr + n, (size_t)end - n);
	*rest = span_skip(*rest, (size_t)end + 1);
	return true;
}

static bool parse_id(struct span v, struct mbox_block *m)
{
	uint64_t crc;

	if (v.len != 16 + 1 + 12 + 1 + 8 || !hex(span_head(v, 16), &m->key) || !hex(span_skip(v, 30), &crc))
		return false;
	m->crc = (uint32_t)crc;
	return span_u64(span_head(span_skip(v, 17), 12), UINT64_MAX, &m->length);
}

static void parse_base(struct span v, struct mbox_block *m)
{
	uint64_t validity = 0, last = 0;

	if (v.len < BASE_NUMBERS + 1)
		return;
	if (!span_u64(span_head(v, 10), UINT32_MAX, &validity) || !span_u64(span_head(span_skip(v, 11), 10), UINT32_MAX, &last))
		validity = last = 0;
	m->has_base = true;
	m->uidvalidity = (uint32_t)validity;
	m->lastuid = (uint32_t)last;
	m->base_room = (uint32_t)(v.len - BASE_NUMBERS - 1);
	m->base_keywords = trim_right(span_skip(v, BASE_NUMBERS + 1));
}

size_t mbox_block_parse(struct span s, struct mbox_block *m)
{
	struct span rest = span_head(s, MBOX_BLOCK_MAX), v, before;
	uint64_t uid;

	*m = (struct mbox_block){ 0 };
	if (!take(&rest, "X-Posthouse: ", &v) || !parse_id(v, m))
		return 0;
	if (!take(&rest, "X-UID: ", &v) || v.len != 10 || !span_u64(v, UINT32_MAX, &uid))
		return 0;
	m->uid = (uint32_t)uid;
	if (!take(&rest, "Status: ", &v) || v.len != 2)
		return 0;
	mbox_status_parse(v, &m->flags, &m->old);
	if (!take(&rest, "X-Status: ", &v) || v.len != 4)
		return 0;
	mbox_status_parse(v, &m->flags, &m->old);
	if (!take(&rest, "X-Keywords: ", &v))
		return 0;
	m->keyword_room = (uint32_t)v.len;
	m->keywords = trim_right(v);
	before = rest;
	if (take(&rest, "X-IMAPbase: ", &v))
		parse_base(v, m);
	if (!m->has_base)
		rest = before;
	return (size_t)(rest.ptr - s.ptr);
}
