/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside the mbox backend. */
#pragma once
#include "lib/store/fs.h"
#include "lib/store/mbox-format.h"
#include "lib/store/store-int.h"

/* --- mbox-scan.c: the scanner, pure ----------------------------------------------------------------------------------- */
/*
 * Offset of the first separator in text at or after pos, or -1. begins: text starts at the start of the file or behind an
 * empty line. *line_r: the From_ line with its end; the line must be complete in text unless eof.
 */
ptrdiff_t mbox_find_from(struct span text, size_t pos, bool begins, bool eof, struct span *line_r, int64_t *date_r);

/* What the fields of a message say. Spans point into the text. */
struct mbox_meta {
	struct mbox_block block; /* as the block, or the scattered fields of other programs, have it */
	size_t block_size;       /* 0: no block of ours */
	bool pseudo;             /* c-client's message about the folder */
	bool unfinished;         /* a delivery of ours that was never completed */
};
/* text: a message without its From_ line. */
void mbox_meta_parse(struct span text, struct mbox_meta *m_r);

/* --- mbox-state.c: what must survive and does not stand in the mbox ------------------------------------------------------ */
enum { MBOX_RUNS_MAX = 32 };

/* Messages in a row whose UIDs are given but not written into the file. */
struct mbox_run {
	uint64_t first_off, last_off;
	uint32_t uid, count;
	uint32_t hash;           /* over the From_ lines */
};

struct mbox_state {
	uint64_t sequence;       /* 0: there is none */
	uint32_t uidvalidity, uidnext;
	struct mbox_run runs[MBOX_RUNS_MAX];
	uint32_t nruns;
};
/* Never fails: what is missing or damaged is no state. */
void mbox_state_load(const char *ctl, struct mbox_state *s_r);
/* Durable on return. */
int mbox_state_save(const char *ctl, struct mbox_state *s);
bool mbox_state_parse(struct span text, struct mbox_state *s_r);
void mbox_state_make(struct buf *b, const struct mbox_state *s);

/* --- the folder's own ---------------------------------------------------------------------------------------------------- */
/* A piece of the file that is not a message for clients. */
struct mbox_hidden {
	uint64_t off, end;
	bool keep;               /* the folder's own message; else it goes at the next rewriting */
};

struct mbox {
	struct ident ident;      /* of the file when the table was right */
	struct mbox_hidden *hidden;
	size_t nhidden;
	struct mbox_state state;
	uint32_t base_validity, base_lastuid; /* as X-IMAPbase in the file has them; 0: none */
	unsigned base_keywords;  /* how many keywords are in it */
	struct piece piece;      /* of the file as piece_ident says */
	struct ident piece_ident;
	size_t ahead;            /* how much was read beyond what was asked for */
	uint64_t grown_from;     /* size up to which the file is as the table has it, when the next look comes; 0: not known */
	bool pseudo;             /* it stands in c-client's message about the folder */
	bool want_rewrite;       /* something dirty has no room */
	bool must_rewrite;       /* and a client asked for it */
	bool ctl_failed;         /* logged */
};

/* mbox-sync.c */
/* Where our own files about the mbox of a folder are: INDEX/a/.imap/b for folder a/b, as Dovecot has it; free it. */
char *mbox_ctl_path(const struct store *s, const char *rel);
enum store_status mbox_refresh(struct folder *f);
/* The same with the lock held; write_lock: changes may be written. */
enum store_status mbox_refresh_locked(struct folder *f, struct mboxlock *l, bool write_lock);
/* Lock for changing. STORE_NOTFOUND: no file (create: made). Replays a journal. */
enum store_status mbox_lock(struct folder *f, struct mboxlock *l, bool create);
void mbox_note_ident(struct folder *f, int fd);
/* With the lock held since the table was right, the file got more at its end, and nothing else: no need to look at the rest. */
void mbox_only_grew(struct folder *f, int fd, uint64_t old_size);
/* Add the messages from offset on to the table. */
enum store_status mbox_scan(struct folder *f, int fd, uint64_t from, uint64_t size);
/* mbox-read.c: see struct folder_ops */
enum store_status mbox_read(struct folder *f, const struct rec *r, struct buf *out);
void mbox_rest(struct folder *f);
/* mbox-uid.c */
void mbox_assign_uids(struct folder *f);
void mbox_save_state(struct folder *f);
void mbox_synced(struct folder *f); /* fdatasync was successful: what stands in the file stands on the disk */
bool mbox_fits(struct folder *f, const struct rec *r); /* can be written in place */
/* mbox-write.c: in place */
enum store_status mbox_write_in_place(struct folder *f, int fd);
/* The block for r, of its size or of the usual one; keyword names in kw, which it points into. */
void mbox_block_of(struct folder *f, const struct rec *r, struct buf *kw, struct mbox_block *b_r);
void mbox_base_of(struct folder *f, struct buf *kw, struct mbox_block *b_r); /* adds the X-IMAPbase values */
/* mbox-rewrite.c */
enum store_status mbox_rewrite(struct folder *f, struct mboxlock *l, const uint32_t *drop, size_t ndrop);
/* mbox-journal.c */
struct mbox_journal;
/* Replace [start, size) of the file by what is written between begin and commit. */
struct mbox_journal *mbox_journal_begin(const char *ctl, uint64_t start);
int mbox_journal_write(struct mbox_journal *j, struct span s);
uint64_t mbox_journal_written(const struct mbox_journal *j);
int mbox_journal_commit(struct mbox_journal *j, int fd); /* frees j */
void mbox_journal_abort(struct mbox_journal *j);
/* Finish what was interrupted. 0: nothing (left) to do; 1: the file was changed; -1 and errno. */
int mbox_journal_replay(const char *ctl, int fd, const char *path);
/* mbox-append.c */
enum store_status mbox_append(struct folder *f, struct store_append *ap, uint32_t *uids_r);
