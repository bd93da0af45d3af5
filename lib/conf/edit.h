/* SPDX-License-Identifier: BSD-2-Clause */
/* Changing main.cf and master.cf and keeping everything else in them as it is: comments, order, spacing. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"

enum edit_how {
	EDIT_SET, /* the first setting of a name gets the new value, later ones go; a name that is not there is added */
	EDIT_REMOVE,
	EDIT_COMMENT, /* # in front of its lines */
};

struct edit {
	struct span name, value; /* value: line ends in it become blanks */
};

/* main.cf's text, changed, in out. Pure. */
void edit_maincf(struct span text, enum edit_how how, const struct edit *edits, size_t n, struct buf *out);

/* One entry of master.cf in words: the seven columns, the program, its arguments ({ } words with their braces). */
enum { ENTRY_WORDS_MAX = 256 };
struct entry {
	struct span words[ENTRY_WORDS_MAX];
	size_t n;
};
/* A logical line; words point into it. False: fewer than 8 words, or too many. Pure. */
bool entry_parse(struct span line, struct entry *out);
/* In columns, each -o on a line of its own, a line end at the end. */
void entry_print(const struct entry *e, struct buf *out);
/* Index of the value of -o name=value among the words, or 0: there is none. value_r: what it sets. */
size_t entry_override(const struct entry *e, struct span name, struct span *value_r);

/*
 * master.cf's text with change called for each entry, in out. change gets the entry's words and writes what stands
 * there from now on (nothing: the entry goes); it returns false to leave the entry's lines as they are. Pure.
 */
void edit_mastercf(struct span text, bool (*change)(void *ctx, struct entry *e, struct span lines, struct buf *out),
		   void *ctx, struct buf *out);

/* Put text in place of path as a whole, with its owner and mode. 0, or -1 and errno; the old file stays then. */
int edit_replace_file(const char *path, struct span text) __attribute__((warn_unused_result));
