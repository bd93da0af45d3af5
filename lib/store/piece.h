/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A piece of a file held in memory, because what is read next mostly stands behind what was read last. It is what the file was when
 * the piece was read: whoever uses it knows by other means that the file has not changed since.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/span.h"

struct piece {
	struct buf text;
	uint64_t off;     /* of the file */
};

/* n bytes of the file from off on, when it holds them all. */
bool piece_has(const struct piece *p, uint64_t off, size_t n, struct span *text_r);
/* Read n bytes and up to ahead more from off on into it. False: not n (errno; 0: the file ends before); it is empty then. */
bool piece_read(struct piece *p, int fd, uint64_t off, size_t n, size_t ahead);
void piece_free(struct piece *p); /* its memory; it can be used again */
