/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A growing byte buffer that states its maximum. What would pass the maximum is refused whole: the call returns false,
 * nothing is added and `overflow` stays set until buf_reset, so a run of calls needs one check at its end.
 * buf_init'ed buffers own their bytes; buf_free gives them back. The bytes are always followed by a NUL (not counted).
 */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/span.h"

struct buf {
	char *ptr;
	size_t len;
	size_t cap; /* allocated, the NUL not counted */
	size_t max; /* len never passes it */
	bool overflow;
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_free(struct buf *b); /* may be called twice; wipes nothing */
void buf_wipe(struct buf *b); /* overwrite the contents, then buf_free: for secrets */
void buf_reset(struct buf *b); /* empty it, keep the memory */

bool buf_add(struct buf *b, const void *ptr, size_t len);
bool buf_add_span(struct buf *b, struct span s);
bool buf_adds(struct buf *b, const char *s);
bool buf_addc(struct buf *b, char c);
bool buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool buf_addv(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* Make room for len more bytes and return where they go, or NULL past the maximum; then say how many were written. */
char *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);
/* Drop the first n bytes (n <= len), moving the rest down. */
void buf_consume(struct buf *b, size_t n);
void buf_truncate(struct buf *b, size_t len);

struct span buf_span(const struct buf *b);
const char *buf_cstr(struct buf *b); /* NUL-terminated view, "" when empty */
