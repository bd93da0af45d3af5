/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Borrowed bytes: a pointer and a length, never dependent on a NUL. A span owns nothing; it lives as long as what it
 * points into. An empty span may have any ptr, NULL included. Case-insensitive forms fold ASCII only.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
	const char *ptr;
	size_t len;
};

#define SPAN(lit) ((struct span){ (lit), sizeof(lit) - 1 }) /* of a string literal */
#define SPAN_NONE ((struct span){ NULL, 0 })
#define SPAN_FMT "%.*s" /* printf("<" SPAN_FMT ">", SPAN_ARG(s)); stops at a NUL */
#define SPAN_ARG(s) (int)(s).len, (s).len ? (s).ptr : ""

struct span span_of(const char *ptr, size_t len);
struct span span_cstr(const char *s); /* NULL gives an empty span */

bool span_eq(struct span a, struct span b);
bool span_ieq(struct span a, struct span b);
bool span_is(struct span a, const char *s);  /* equal to a C string */
bool span_iis(struct span a, const char *s); /* the same, ignoring case */
int span_cmp(struct span a, struct span b);  /* memcmp order, shorter first */
bool span_starts(struct span s, const char *prefix);
bool span_istarts(struct span s, const char *prefix);
bool span_ends(struct span s, const char *suffix);
bool span_iends(struct span s, const char *suffix);

/* Offset of the first (last) c, or -1. */
ptrdiff_t span_chr(struct span s, char c);
ptrdiff_t span_rchr(struct span s, char c);
/* Offset of the first occurrence of needle, or -1; span_ifind ignores case. An empty needle is found at 0. */
ptrdiff_t span_find(struct span s, struct span needle);
ptrdiff_t span_ifind(struct span s, struct span needle);

/* What remains after skipping n bytes (all of it: empty), and the first n bytes (at most what is there). */
struct span span_skip(struct span s, size_t n);
struct span span_head(struct span s, size_t n);
struct span span_trim(struct span s); /* without space, tab, CR, LF at either end */
/* Take the bytes before the first sep off *rest and step over it; without a sep, all of it. */
struct span span_cut(struct span *rest, char sep);
/* Next word of *rest delimited by any of the bytes in seps; false when only delimiters are left. */
bool span_word(struct span *rest, const char *seps, struct span *word_r);

/* The whole of s as an unsigned decimal number of at most max; false when it is not one (empty, sign, other bytes). */
bool span_u64(struct span s, uint64_t max, uint64_t *value_r) __attribute__((warn_unused_result));

/* ASCII classes, independent of locale; c may be any value of char. */
bool ascii_isalpha(char c);
bool ascii_isdigit(char c);
bool ascii_isalnum(char c);
bool ascii_isspace(char c); /* space, tab, CR, LF, VT, FF */
bool ascii_iscntrl(char c); /* 0-31 and 127 */
char ascii_lower(char c);
char ascii_upper(char c);
