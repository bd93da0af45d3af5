/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the sessions of one user share: his store, and one box per folder that is in use. Locks, in the order in which
 * they are taken: a box, then the store. No lock is held while waiting for a client, and never two boxes at once.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/list.h"
#include "lib/store/store.h"

struct session;

struct box {
	struct list_node on_table;
	char *name;
	unsigned refs;
	bool dead;             /* deleted or renamed: new sessions get a new box */
	pthread_mutex_t lock;  /* for what follows */
	struct mailbox *mb[2]; /* [1]: read-only */
	unsigned users[2];
	uint64_t generation;     /* moves on with every change of messages or flags */
	uint32_t recent_claimed; /* \Recent up to this UID belongs to some session already */
	struct list sessions;
};

/* Once per process. STORE_OK, or why not (*why_r for the log). Later calls give the same answer. */
enum store_status boxes_open(const struct user *u, const char **why_r);

struct store *store_lock(void);
void store_unlock(void);

/* The box of a folder, new when it has none. Never NULL; the folder need not exist. */
struct box *box_get(struct span name);
void box_put(struct box *b);
void box_lock(struct box *b);
void box_unlock(struct box *b);
/* Under box_lock: open the folder, or use what another session has open. */
enum store_status box_open(struct box *b, bool read_only, struct mailbox **mb_r);
void box_close(struct box *b, bool read_only);
/* Under box_lock: something changed; sessions other than self that wait in IDLE look. */
void box_changed(struct box *b, const struct session *self);
/* Under box_lock: bring mb up to date with the files. */
enum store_status box_sync(struct box *b, struct mailbox *mb, const struct session *self);
/* The folder, and those below it, have another name now, or none. */
void box_forget(struct span name);
