/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Putting mail into a mailbox file or Maildir from outside a session: what local does, as the recipient (the caller has
 * switched its effective identity). Opening follows hazards S17: regular file, one link, owner = recipient, no symlinks.
 * One batch = one lock and one fsync for several letters to the same mailbox.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"
#include "lib/base/verdict.h"

struct deliver_batch;

struct deliver_target {
	const char *path;       /* "/var/mail/alice" (mbox) or ".../Maildir/" (final slash: Maildir) */
	uid_t uid;              /* owner that the file must have (privileged mode) */
	gid_t gid;
	bool check_owner;       /* false in unprivileged mode */
	bool create_dirs;       /* virtual mailboxes: make missing parent directories */
	int64_t size_limit;     /* mailbox_size_limit, 0 none (mbox only) */
	const char *lock_methods; /* mailbox_delivery_lock */
	bool allow_special;     /* /dev/null and the like: /file aliases only */
	int64_t lock_deadline_ms; /* clock_mono_ms() value; 0: 20 s from now (deliver_lock_attempts times deliver_lock_delay) */
};

/*
 * As root, before becoming the recipient: make the mailbox file that is missing in a spool directory where only root may create,
 * owned by uid and gid, mode 0660 when the directory's group is gid, else 0600. 0 also when it is there already (whatever
 * it is: deliver_begin judges that); -1 and errno.
 */
int deliver_create_spool(const char *path, uid_t uid, gid_t gid);

/* Open and lock. v: why not. */
struct deliver_batch *deliver_begin(struct arena *a, const struct deliver_target *t, struct verdict *v_r);
struct deliver_letter {
	struct span sender;  /* for the From_ line */
	struct span headers; /* LF lines in front of the content: Return-Path, Delivered-To, ... */
	struct span key;     /* stable name of this letter for this recipient: queue id, recipient index. Empty: never looked for */
	bool again;          /* it may be there from an earlier attempt: look for its key, and count it as delivered when it is */
	bool kept;           /* it was there, whole, and the power has not failed since: when it is not, its owner took it out */
	/* The content: true with a chunk (empty at the end), false on a read error. */
	bool (*next)(void *arg, struct span *chunk_r);
	void *arg;
};

/* Add one letter. A failure leaves what was there before the letter; earlier letters of the batch stay. */
struct verdict deliver_add(struct deliver_batch *b, struct arena *a, const struct deliver_letter *l);
/* Make everything added durable and unlock. The letters count as delivered only if this is OK. Frees b. */
struct verdict deliver_commit(struct deliver_batch *b, struct arena *a);
/* Which file it is. */
struct deliver_file {
	dev_t dev;
	ino_t ino;
};
/*
 * The same, but an mbox that was there before is not made durable.
 */
struct deliver_wait {
	bool wait;                /* fdatasync the file before the letters may be forgotten elsewhere; false: durable already */
	struct deliver_file file;
	int fd;                   /* of the file, the caller's now; -1 when keep(file) said that it is not wanted */
};
/* Closing the descriptor drops the kernel's lock of a batch of this process on the same file: close it while there is none. */
struct verdict deliver_release(struct deliver_batch *b, struct arena *a, bool (*keep)(const struct deliver_file *file),
			       struct deliver_wait *w_r);
