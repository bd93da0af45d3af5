/* SPDX-License-Identifier: BSD-2-Clause */
/* Segments of the log: opening, walking, marking. For log.c and logread.c. */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#include "lib/queue/log.h"

enum { SEGMENT_HEADER = 64, SEGMENT_ALIGN = 64, RECORD_HEADER = 32, STATE_AT = 20 };

struct segment {
	uint32_t number;
	int fd;
	uint64_t size;
	const char *map; /* read-only, shared */
	bool bad;        /* a write or sync failed: its writer leaves it alone */
	_Atomic bool cut; /* somebody made the file shorter: there are zeros in the map that are not in the file */
	struct segment *older; /* the same file, opened before it was cut */
};

struct record {
	uint64_t offset;     /* of its header */
	uint64_t generation;
	struct span message;
	bool live;
};

/* Opened once per process and kept; NULL and errno when there is none. number 1 .. LOG_SEGMENTS_MAX - 1. */
struct segment *segment_get(uint32_t number);
/* The same, opened anew when the file has another size than it had, or was removed by hand: for those who look for something that
 * is not there. */
struct segment *segment_get_fresh(uint32_t number);
/* The number that a name in log/ stands for; 0: none. */
uint32_t segment_number(const char *name);
/* Make log/NNN, zeroed and durable; NULL and errno. The caller has the lock on it. */
struct segment *segment_create(uint64_t size);

uint64_t segment_generation(const struct segment *s); /* 0: blank, or header and first record are damaged */
int segment_set_generation(const struct segment *s, uint64_t generation);
void segment_put_record_header(char to[RECORD_HEADER], uint64_t generation, size_t len, struct span message_header);
/* The record at offset, if one of this generation with a good header is there. */
bool segment_record(const struct segment *s, uint64_t generation, uint64_t offset, struct record *r);
/* The first at from or behind it. Behind one that is damaged others may follow. */
bool segment_find(const struct segment *s, uint64_t generation, uint64_t from, struct record *r);
static inline uint64_t segment_next(const struct record *r)
{
	return (r->offset + RECORD_HEADER + r->message.len + SEGMENT_ALIGN - 1) / SEGMENT_ALIGN * SEGMENT_ALIGN;
}
bool segment_all_done(const struct segment *s);
/* A mark that comes late, when the segment is in use with another generation, marks nothing. */
int segment_mark_done(const struct segment *s, uint64_t generation, uint64_t offset);
/* All records are DONE and it is locked: give its space back, or get it again. 0, or -1 and errno (ENOSPC: too little left). */
int segment_release_space(const struct segment *s);
int segment_take_space(const struct segment *s);
bool segment_is_blank(const struct segment *s); /* fresh, or its space was given back */
struct span segment_record_id(struct span message); /* empty when it is not one */
