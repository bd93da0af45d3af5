/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "lib/store/mbox-int.h"

/* Is there an empty line (or the start of the file) in front of p? */
static bool after_empty_line(struct span text, const char *p, bool begins)
{
	const char *start = text.ptr;

	if (p == start)
		return begins;
	if (p[-1] != '\n')
		return false;
	p--;
	if (p > start && p[-1] == '\r')
		p--;
	return p == start ? begins : p[-1] == '\n';
}

ptrdiff_t mbox_find_from(struct span text, size_t pos, bool begins, bool eof, struct span *line, int64_t *date)
{
	const char *p = text.ptr + pos, *end = text.ptr + text.len;

	for (; p < end; p++) {
		const char *lf;

		if (p > text.ptr || !span_starts(text, "From ")) {
			/* step back to the line end in front of p, so that a line starting at p is found */
			const char *from = p > text.ptr ? p - 1 : p;

			p = memmem(from, (size_t)(end - from), "\nFrom ", 6);
			if (p == NULL)
				return -1;
			p++;
		}
		lf = memchr(p, '\n', (size_t)(end - p));
		if (lf == NULL && !eof)
			return -1;
		*line = span_of(p, (size_t)((lf ? lf + 1 : end) - p));
		if (after_empty_line(text, p, begins) && mbox_from_parse(*line, date))
			return p - text.ptr;
	}
	return -1;
}

static void meta_base(struct span value, struct mbox_block *b)
{
	uint64_t validity, last;
	struct span v, l;

	if (!span_word(&value, " \t\r\n", &v) || !span_word(&value, " \t\r\n", &l))
		return;
	if (!span_u64(v, UINT32_MAX, &validity) || !span_u64(l, UINT32_MAX, &last) || validity == 0)
		return;
	b->uidvalidity = (uint32_t)validity;
	b->lastuid = (uint32_t)last;
	b->base_keywords = span_trim(value);
}

static void meta_field(enum mbox_field field, struct span value, struct mbox_meta *m)
{
	uint64_t n;

	switch (field) {
	case MBOX_FIELD_UID:
		if (span_u64(span_trim(value), UINT32_MAX, &n) && m->block.uid == 0)
			m->block.uid = (uint32_t)n;
		break;
	case MBOX_FIELD_STATUS:
	case MBOX_FIELD_XSTATUS:
		mbox_status_parse(span_trim(value), &m->block.flags, &m->block.old);
		break;
	case MBOX_FIELD_KEYWORDS:
		m->block.keywords = span_trim(value);
		break;
	case MBOX_FIELD_IMAP:
		m->pseudo = true;
		meta_base(value, &m->block);
		break;
	case MBOX_FIELD_BASE:
		if (m->block.uidvalidity == 0)
			meta_base(value, &m->block);
		break;
	case MBOX_FIELD_POSTHOUSE:
	case MBOX_FIELD_NONE:
		break;
	}
}

void mbox_meta_parse(struct span text, struct mbox_meta *m)
{
	*m = (struct mbox_meta){ 0 };
	m->block_size = mbox_block_parse(text, &m->block);
	if (m->block_size > 0) {
		m->unfinished = m->block.length == 0;
		return;
	}
	m->block = (struct mbox_block){ 0 };
	while (text.len > 0) {
		ptrdiff_t lf = span_chr(text, '\n');
		struct span line = span_head(text, lf < 0 ? text.len : (size_t)lf + 1), value;

		text = span_skip(text, line.len);
		if (span_trim(line).len == 0)
			break;
		meta_field(mbox_field_of(line, &value), value, m);
	}
}
