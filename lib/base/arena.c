/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/must.h"

enum { FIRST_BYTES = 1000, CHUNK_BYTES = 4000, ALIGN = 16 };

struct arena_chunk {
	struct arena_chunk *older;
	size_t size, used;
	_Alignas(ALIGN) char bytes[];
};

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_chunk *c = a->chunk;
	size_t need;
	void *p;

	must(size < SIZE_MAX / 2);
	need = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (c == NULL || need > c->size - c->used) {
		size_t usual = c ? CHUNK_BYTES : FIRST_BYTES; /* many arenas hold little for long */
		size_t room = need > usual ? need : usual;

		c = mem_alloc(sizeof *c + room);
		c->older = a->chunk;
		c->size = room;
		c->used = 0;
		a->chunk = c;
	}
	p = c->bytes + c->used;
	c->used += need;
	a->used += need;
	return memset(p, 0, size);
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
	size_t bytes;

	must(!__builtin_mul_overflow(n, size, &bytes));
	return arena_alloc(a, bytes);
}

char *arena_cstr(struct arena *a, struct span s)
{
	char *copy = arena_alloc(a, s.len + 1);

	if (s.len)
		memcpy(copy, s.ptr, s.len);
	return copy;
}

struct span arena_span(struct arena *a, struct span s)
{
	return span_of(arena_cstr(a, s), s.len);
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_cstr(a, span_cstr(s));
}

struct span arena_lower(struct arena *a, struct span s)
{
	char *copy = arena_cstr(a, s);

	for (size_t i = 0; i < s.len; i++)
		copy[i] = ascii_lower(copy[i]);
	return span_of(copy, s.len);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *text;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	must(len >= 0);
	text = arena_alloc(a, (size_t)len + 1);
	va_start(ap, fmt);
	vsnprintf(text, (size_t)len + 1, fmt, ap);
	va_end(ap);
	return text;
}

static void free_from(struct arena_chunk *c)
{
	while (c) {
		struct arena_chunk *older = c->older;

		free(c);
		c = older;
	}
}

void arena_reset(struct arena *a)
{
	a->used = 0;
	if (a->chunk == NULL)
		return;
	free_from(a->chunk->older);
	a->chunk->older = NULL;
	a->chunk->used = 0;
	if (a->chunk->size > 16 * CHUNK_BYTES)
		arena_free(a);
}

void arena_free(struct arena *a)
{
	free_from(a->chunk);
	*a = ARENA_INIT;
}
