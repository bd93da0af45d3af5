/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside lib/store. A struct folder is what this process knows of one mailbox's files: a table of messages by ascending UID, kept
 * current by refresh. There is one per path in a process, shared by all struct mailbox (views) of it, under its own mutex.
 */
#pragma once
#include <pthread.h>
#include <sys/stat.h>

#include "lib/base/list.h"
#include "lib/store/mboxlock.h"
#include "lib/store/store.h"
#include "lib/store/piece.h"

/* What has not reached the files yet */
enum { DIRTY_UID = 1, DIRTY_FLAGS = 2, DIRTY_OLD = 4 };

struct mbox_pos {
	uint64_t off, end;     /* From_ line; the next one, or the end of the file */
	uint32_t from_hash;    /* of the From_ line */
	uint32_t from_len;     /* with its line end */
	uint32_t block_size;   /* of our block behind it; 0: none */
	uint32_t keyword_room, base_room;
	bool has_base;
	bool unsynced;         /* the UID stands in the file, but perhaps not on the disk */
};

struct maildir_pos {
	char *name;            /* file name, owned */
	uint32_t base_len;     /* of it, up to the flags */
	bool in_new;
	uint64_t bytes;        /* of the file, when this process has looked; 0: not known */
	char *extra;           /* fields of its line in the uidlist that are not ours, owned, or NULL */
};

struct rec {
	struct store_msg m;    /* flags without STORE_RECENT */
	bool old;              /* not recent any more */
	uint8_t dirty;
	uint32_t saved_sum;    /* of the record as the index has it; 0: not there */
	uint32_t cache_len;    /* of its entry in the cache; 0: none */
	uint64_t cache_off;
	union {
		struct mbox_pos mbox;
		struct maildir_pos maildir;
	};
};

/* What a file looked like when it was read. */
struct ident {
	dev_t dev;
	ino_t ino;
	int64_t size, mtime_s, mtime_ns;
	int64_t ctime_s, ctime_ns; /* some programs put the old mtime back */
	bool exists;
};

struct folder;
struct append_msg;
struct store_append;

struct folder_ops {
	/* Bring the table up to date; write what can be written in place. */
	enum store_status (*refresh)(struct folder *f);
	/* Decode message r into out. STORE_EXPUNGED: look it up again, the table has changed. */
	enum store_status (*read)(struct folder *f, const struct rec *r, struct buf *out);
	/* Write everything that is dirty. durable: and make it so. */
	enum store_status (*flush)(struct folder *f, bool durable);
	/* Remove the messages with these UIDs (ascending). Durable. */
	enum store_status (*expunge)(struct folder *f, const uint32_t *uids, size_t n);
	/* Add the messages of ap; uids_r has room for all. Durable. */
	enum store_status (*append)(struct folder *f, struct store_append *ap, uint32_t *uids_r);
	/* A client changed r's flags or keywords (r->dirty is set). */
	enum store_status (*flagged)(struct folder *f, struct rec *r);
	/* A session was told of recent messages: they are old now (DIRTY_OLD is set). The table stays as it is. */
	void (*told)(struct folder *f);
	enum store_status (*size)(struct folder *f, struct rec *r);
	/* Nothing will be read for a while: give back memory that only makes reading faster. */
	void (*rest)(struct folder *f);
	/* What the files call the mailbox beside its UIDVALIDITY: letters and digits, in a; or nothing. */
	struct span (*guid)(const struct folder *f, struct arena *a);
	/* Paths to watch for changes; up to two. */
	unsigned (*watch)(const struct folder *f, const char *paths_r[2]);
	void (*free)(struct folder *f);
};

/* The folder's index, and what this process knows of the file. */
struct index {
	char *dir;              /* where its files are; NULL: none are kept */
	bool loaded, failed, other_boot;
	bool marked;            /* the file says that somebody gives out modification sequences that are not in it */
	bool changed;           /* something that is not part of the table's generation: entries of the cache, sizes */
	dev_t dev;
	ino_t ino;
	uint64_t end, whole;    /* of the file; of it when it was last written as a whole */
	uint32_t *uids;         /* of the records in it */
	size_t nuids;
	uint64_t generation;    /* of the table as it is there */
	uint32_t state_sum;
};

struct cache {
	int fd;                 /* -1: there is none */
	uint64_t id, size, live; /* of the file; octets of entries that are in use */
	struct piece piece;    /* of the file */
	struct buf pending;     /* entries for its end */
};

struct mbox;    /* what the mbox format keeps beside the table */
struct maildir;

struct folder {
	struct list_node node;
	int refs;
	uint64_t stamp;             /* of the last use */
	bool dead;                  /* deleted or renamed: not to be found again */
	pthread_mutex_t mu;
	const struct folder_ops *ops;
	char *path;                 /* the mbox file, or the Maildir without a final slash */
	char *ctl;                  /* directory for our own files about this mbox */
	char *validity_file;        /* the user's last UIDVALIDITY */
	struct rec *recs;           /* ascending UIDs */
	size_t n, cap;
	uint32_t uidvalidity, uidnext;
	uint64_t generation;        /* changes with the table */
	uint64_t modseq;            /* the highest; 0: none yet */
	struct index index;
	struct cache cache;
	char *keywords[STORE_KEYWORDS_MAX];
	unsigned nkeywords, keywords_max;
	char **retired;             /* keyword names that somebody may still look at */
	size_t nretired;
	bool is_inbox;
	bool dirty;                 /* some rec is */
	bool unwritable;            /* the files cannot be written */
	struct mbox *mbox;
	struct maildir *maildir;
};

enum store_kind { STORE_MBOX, STORE_MAILDIR };

struct store {
	enum store_kind kind;
	char *root;                 /* directory of the folders, or the Maildir; no final slash */
	char *inbox;                /* mbox file, or the Maildir of INBOX */
	char *index;                /* root, or INDEX= or CONTROL= */
	char *index_root;           /* where indexes are: root or INDEX=; NULL: nowhere */
	char *subscriptions;        /* file */
	char *validity_file;
	char *user;
};

/* --- names.c ------------------------------------------------------------------------------------------------------ */
/* Relative path of a folder below the root: mbox "syn/sub", Maildir ".syn.sub" ("" for INBOX). NULL: not acceptable. In a. */
char *names_to_path(struct arena *a, enum store_kind kind, struct span name);
/* One directory entry back to UTF-8; an empty span when it is not a name. Maildir: without the leading dot. */
struct span names_from_disk(struct arena *a, enum store_kind kind, struct span disk);
bool names_is_inbox(struct span name);
/* names_to_path as it is on the disk now: of an mbox, a parent that is a file has its children in NAME.sbd. */
char *folder_path(struct store *s, struct arena *a, struct span name);
/* "INBOX" in capitals, without a final slash; empty parts and the like refused. */
bool names_normal(struct arena *a, struct span name, struct span *name_r);

/* --- folder.c ------------------------------------------------------------------------------------------------------ */
/* The folder of this (normal) name; exists or not. Referenced: folder_put. NULL: bad name. */
struct folder *folder_get(struct store *s, struct span name);
void folder_put(struct folder *f);
/* Deleted or moved away: views keep what they have, new opens start afresh. */
void folder_forget(struct store *s, struct span name);
struct rec *folder_add(struct folder *f);                        /* a zeroed record at the end */
struct rec *folder_find(struct folder *f, uint32_t uid);         /* NULL: not there */
void folder_clear(struct folder *f);                             /* drop the table */
uint64_t folder_touch(struct folder *f);                         /* the next modification sequence */
/* The table from record first on was read anew: what was known of the messages in old (ascending) that are there is taken over. */
void folder_carry(struct folder *f, size_t first, const struct rec *old, size_t nold);
int folder_keyword(struct folder *f, struct span name, bool add); /* bit or -1 */
uint64_t folder_keyword_words(struct folder *f, struct span words);
void folder_keyword_names(const struct folder *f, uint64_t bits, struct buf *out); /* separated by spaces */
enum store_status folder_errno(const struct folder *f, const char *what, int err); /* logs; as a status */

extern const struct folder_ops mbox_ops, maildir_ops;
void mbox_init(struct folder *f);
void maildir_init(struct folder *f);

/* --- ident.c ------------------------------------------------------------------------------------------------------- */
struct ident ident_of(const struct stat *st);
bool ident_same(const struct ident *a, const struct ident *b);

/* --- settings ------------------------------------------------------------------------------------------------------ */
const char *store_lock_methods(void);
int64_t store_lock_deadline(void);

/* --- uidvalidity.c --------------------------------------------------------------------------------------------------- */
/* A UIDVALIDITY that was never given out for this user. */
uint32_t uidvalidity_new(const char *file);
void uidvalidity_note(const char *file, uint32_t used);

/* --- subscriptions.c ------------------------------------------------------------------------------------------------- */
enum store_status subscriptions_read(struct store *s, struct arena *a, struct span **names_r, size_t *n_r);

/* --- folders of the two layouts --------------------------------------------------------------------------------------- */
struct folder_list {
	struct arena *a;
	struct store_folder *v;
	size_t n, cap;
};
struct store_folder *folder_list_add(struct folder_list *l, struct span name);
enum store_status mbox_list(struct store *s, struct folder_list *l);
enum store_status maildir_list(struct store *s, struct folder_list *l);
/* Does a folder of this name exist, and can it hold mail? */
enum store_status store_exists(struct store *s, struct span name, bool *selectable_r);
/* The folder that a client calls name, for folder_put; BADNAME, NOTFOUND (also when it cannot hold mail), or what is wrong. */
enum store_status folder_named(struct store *s, struct span name, struct folder **f_r);

/* --- append.c --------------------------------------------------------------------------------------------------------- */
struct append_msg {
	uint64_t off, len;     /* in the spool file, encoded as the backend stores it */
	uint32_t crc;          /* of that */
	uint64_t lines;
	uint32_t flags;
	int64_t date;
	int32_t zone;
	struct span *keywords;
	size_t nkeywords;
};
unsigned append_count(const struct store_append *ap);
const struct append_msg *append_get(const struct store_append *ap, size_t i);
/* Copy message i to fd at offset at (at < 0: write at the current position). 0, or -1 and errno. */
int append_copy(const struct store_append *ap, size_t i, int fd, int64_t at);
