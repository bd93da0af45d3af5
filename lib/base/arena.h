/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An arena: memory that is given back all at once. One per lifetime (process, session, command). Allocation never
 * fails; whoever fills an arena from outside bounds what it reads first. Not safe for two threads at once.
 */
#pragma once
#include <stdarg.h>
#include <stddef.h>

#include "lib/base/span.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunk; /* the one being filled; older ones hang behind it */
	size_t used;               /* bytes handed out since the last reset */
};

#define ARENA_INIT ((struct arena){ NULL, 0 })

void *arena_alloc(struct arena *a, size_t size) __attribute__((warn_unused_result)); /* zeroed, aligned for any type */
void *arena_array(struct arena *a, size_t n, size_t size) __attribute__((warn_unused_result));
struct span arena_span(struct arena *a, struct span s);      /* a copy, followed by a NUL */
char *arena_cstr(struct arena *a, struct span s);            /* the same as a C string */
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct span arena_lower(struct arena *a, struct span s);     /* copy, ASCII lower case */
void arena_reset(struct arena *a); /* forget everything, keep one chunk for the next round */
void arena_free(struct arena *a);
