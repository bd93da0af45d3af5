/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The line format that main.cf, master.cf and every table source share: a logical line begins with text in its first
 * column and goes on in each following line that begins with white space; blank lines and lines whose first text is `#'
 * are left out wherever they stand, also in the middle of a logical line.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/span.h"

enum {
	LINES_FILE_MAX = 64 << 20, /* largest text file read into memory */
	LINES_LINE_MAX = 1 << 20,  /* longest logical line */
};

struct lines {
	struct span rest; /* what has not been read */
	int line;         /* number of physical lines read */
};

struct lines lines_begin(struct span text);
/*
 * The next logical line, without line ends, in line_r (emptied first; buf_init'ed with at least LINES_LINE_MAX);
 * first_r: number of its first physical line. A continuation without a line before it is returned as it is, white space
 * first. False at the end of the text. line_r->overflow: the line was too long and is cut.
 */
bool lines_next(struct lines *l, struct buf *line_r, int *first_r);

/* The whole of a file, at most out->max bytes. 0, or -1 and errno (EFBIG when it is longer; EISDIR). */
int lines_read_file(const char *path, struct buf *out) __attribute__((warn_unused_result));
