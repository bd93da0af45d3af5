/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The index of a folder: its table, kept in a file from one process to the next, so that opening a mailbox costs what has changed
 * since. It is disposable, and never believed: whatever of it is damaged is left out, the mailbox is compared with the rest as if
 * this process had been away for a while.
 *
 * posthouse-index is a header and chunks, each with its checksum: records of messages, UIDs that are gone, and the state of the
 * folder. A state chunk completes what stands before it; chunks behind the last good one do not count, so a file that was cut
 * or damaged at any place is an older index. What changes is appended; when that is more than the rest, the file is written anew.
 * Files are read, never mapped: one that is cut short under us is an error, not a signal. Nothing in it is synced.
 *
 * All under the folder's mutex.
 */
#pragma once
#include "lib/store/store-int.h"

/* Fill the table, once, before it is brought up to date for the first time. Nothing happens when there is no (good) index. */
void index_load(struct folder *f);
/* Write what has changed. Failures are logged once, and do no harm. */
void index_save(struct folder *f);
/*
 * A modification sequence is about to be given out. Until the next index_save the file says so: when this process is killed
 * before, a message may be again as the index has it, and a client has been told otherwise. Then all get new ones.
 */
void index_mark(struct folder *f);

/* --- index-chunk.c: the file's format, pure ------------------------------------------------------------------------------- */
enum index_type { INDEX_RECS = 1, INDEX_GONE, INDEX_STATE };
/* Append the header; a chunk. */
void index_put_header(struct buf *b);
void index_put_chunk(struct buf *b, enum index_type type, struct span payload);
/* Marked, in the header. */
bool index_is_marked(struct span text);
enum { INDEX_MARK_AT = 15 };
#define INDEX_MARK "!"
#define INDEX_NO_MARK "\n"
/* How much of text is good: up to the end of the last state chunk; 0: nothing. */
size_t index_good(struct span text);
/* The next chunk of *rest (what index_good found good, from INDEX_HEADER on). False at the end. */
bool index_next(struct span *rest, enum index_type *type_r, struct span *payload_r);
enum { INDEX_HEADER = 16, INDEX_CHUNK_HEADER = 12 };

/* --- index-rec.c: records ------------------------------------------------------------------------------------------------- */
/* Append r; returns its checksum, which is never 0. */
uint32_t index_put_rec(struct buf *b, const struct folder *f, const struct rec *r);
/* One record from *rest; r's strings are new. False: the rest makes no sense. */
bool index_take_rec(const struct folder *f, struct span *rest, struct rec *r_r);
/* Can this table be what a mailbox holds? Offsets, order and sizes are looked at. */
bool index_plausible(const struct folder *f);
void index_drop_rec(const struct folder *f, struct rec *r); /* its strings */
/* The state chunk: everything about the folder that is not in a record. */
void index_put_state(struct buf *b, const struct folder *f);
bool index_take_state(struct folder *f, struct span payload, size_t *n_r);
