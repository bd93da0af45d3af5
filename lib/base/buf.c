/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/must.h"

void buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf){ .max = max_bytes };
}

void buf_free(struct buf *b)
{
	free(b->ptr);
	b->ptr = NULL;
	b->len = b->cap = 0;
}

void buf_wipe(struct buf *b)
{
	if (b->ptr)
		mem_wipe(b->ptr, b->cap);
	buf_free(b);
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->overflow = false;
	if (b->ptr)
		b->ptr[0] = '\0';
}

/* Double until it fits, so that appending is O(1) over the life of the buffer. */
static void grow(struct buf *b, size_t need)
{
	size_t cap = b->cap ? b->cap : 64;

	while (cap < need)
		cap *= 2;
	if (cap > b->max)
		cap = b->max;
	b->ptr = mem_realloc_array(b->ptr, cap + 1, 1);
	b->cap = cap;
}

char *buf_reserve(struct buf *b, size_t len)
{
	if (len > b->max - b->len) {
		b->overflow = true;
		return NULL;
	}
	if (b->ptr == NULL || b->len + len > b->cap)
		grow(b, b->len + len);
	return b->ptr + b->len;
}

void buf_commit(struct buf *b, size_t len)
{
	must(len <= b->cap - b->len);
	b->len += len;
	b->ptr[b->len] = '\0';
}

bool buf_add(struct buf *b, const void *ptr, size_t len)
{
	char *to = buf_reserve(b, len);

	if (to == NULL)
		return false;
	if (len)
		memcpy(to, ptr, len);
	buf_commit(b, len);
	return true;
}

bool buf_add_span(struct buf *b, struct span s)
{
	return buf_add(b, s.ptr, s.len);
}

bool buf_adds(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

bool buf_addc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

bool buf_addv(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	char *to;
	int len;

	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	must(len >= 0);
	to = buf_reserve(b, (size_t)len);
	if (to == NULL)
		return false;
	vsnprintf(to, (size_t)len + 1, fmt, ap);
	buf_commit(b, (size_t)len);
	return true;
}

bool buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	ok = buf_addv(b, fmt, ap);
	va_end(ap);
	return ok;
}

void buf_consume(struct buf *b, size_t n)
{
	must(n <= b->len);
	if (n == 0)
		return;
	memmove(b->ptr, b->ptr + n, b->len - n);
	b->len -= n;
	b->ptr[b->len] = '\0';
}

void buf_truncate(struct buf *b, size_t len)
{
	must(len <= b->len);
	b->len = len;
	if (b->ptr)
		b->ptr[len] = '\0';
}

struct span buf_span(const struct buf *b)
{
	return span_of(b->ptr, b->len);
}

const char *buf_cstr(struct buf *b)
{
	return b->ptr ? b->ptr : "";
}
