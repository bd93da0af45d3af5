/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/store/piece.h"

#include <errno.h>

#include "lib/store/fs.h"

bool piece_has(const struct piece *p, uint64_t off, size_t n, struct span *text_r)
{
	if (off < p->off || n > p->text.len || off - p->off > p->text.len - n)
		return false;
	*text_r = span_head(span_skip(buf_span(&p->text), (size_t)(off - p->off)), n);
	return true;
}

bool piece_read(struct piece *p, int fd, uint64_t off, size_t n, size_t ahead)
{
	char *to;
	ssize_t got;

	if (p->text.max < n + ahead) {
		buf_free(&p->text);
		buf_init(&p->text, n + ahead);
	}
	buf_reset(&p->text);
	p->off = off;
	to = buf_reserve(&p->text, n + ahead);
	errno = 0;
	got = fs_pread_all(fd, to, n + ahead, off);
	if (got < (ssize_t)n)
		return false;
	buf_commit(&p->text, (size_t)got);
	return true;
}

void piece_free(struct piece *p)
{
	buf_free(&p->text);
}
