/* SPDX-License-Identifier: BSD-2-Clause */
/* The two kinds of delivery behind deliver.h. */
#pragma once
#include "lib/base/buf.h"
#include "lib/store/deliver.h"
#include "lib/store/mbox-format.h"
#include "lib/store/mboxlock.h"

enum { DELIVER_CHUNK = 128 * 1024 };

struct repeat;

struct deliver_batch {
	struct deliver_target t; /* strings copied */
	bool maildir, special;
	bool added;
	struct buf out;
	/* mbox */
	struct mboxlock lock;
	struct deliver_file file;
	bool created;
	uint64_t start;          /* size of the file before this batch */
	uint64_t end;            /* where the next letter begins */
	struct repeat *repeat;
	/* Maildir */
	int dir, new_dir;
};

struct verdict deliver_mbox_begin(struct deliver_batch *b, struct arena *a);
struct verdict deliver_mbox_add(struct deliver_batch *b, struct arena *a, const struct deliver_letter *l);
struct verdict deliver_mbox_commit(struct deliver_batch *b, struct arena *a);
struct verdict deliver_maildir_begin(struct deliver_batch *b, struct arena *a);
struct verdict deliver_maildir_add(struct deliver_batch *b, struct arena *a, const struct deliver_letter *l);
struct verdict deliver_maildir_commit(struct deliver_batch *b, struct arena *a);

uint64_t deliver_key_hash(struct span key); /* the same in every process; never 0 */
struct verdict deliver_ok(void);

/*
 * What is at the end of an mbox, and which letters it already holds, by the keys in their blocks: a worker that was killed after
 * delivering but before that was recorded makes the queue deliver again. Remembered per process: a mailbox that nobody else has
 * touched costs no look at all, and its letters are only read when one may be there already. The caller has locked the mailbox for
 * writing.
 */
/* *unfinished_r: offset of a letter at the very end that was never completed, or -1. NULL: cannot be read, or too many at once. */
struct repeat *repeat_open(int fd, const struct deliver_file *file, uint64_t size, int64_t *unfinished_r);
enum repeat_found { REPEAT_ABSENT, REPEAT_WHOLE, REPEAT_UNKNOWN };
/*
 * Is the letter with this key there? *torn_r: offset of a copy at the very end that is not whole (then it is ABSENT), or -1.
 * UNKNOWN: not all that may hold it could be read.
 */
enum repeat_found repeat_find(struct repeat *r, int fd, uint64_t size, uint64_t key, int64_t *torn_r);
/* A letter was written: the file ended at before, and ends at size now. */
void repeat_note(struct repeat *r, uint64_t key, uint64_t before, uint64_t from_at, uint64_t block_at, uint64_t size);
void repeat_close(struct repeat *r);
