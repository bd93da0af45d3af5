/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside the Maildir backend. */
#pragma once
#include "lib/store/fs.h"
#include "lib/store/maildir-name.h"
#include "lib/store/store-int.h"

enum { MAILDIR_KEYWORDS_MAX = 26 };

/* --- maildir-uidlist.c: Dovecot's dovecot-uidlist, version 3 ---------------------------------------------------------- */
/*
 *	3 V<uidvalidity> N<next uid> [other header fields]
 *	<uid> [fields] :<file name>
 *
 * Lines may be appended; then the header's N is behind. Version 1 ("1 <uidvalidity> <next uid>", "<uid> <file name>") is read, too.
 */
struct uidlist_entry {
	uint32_t uid;
	struct span base;     /* of the file name, without flags */
	struct span extra;    /* fields */
};

struct uidlist {
	uint32_t uidvalidity, uidnext; /* 0: there is none */
	struct span header_extra;
	struct uidlist_entry *v;       /* ascending */
	size_t n;
	bool torn;                     /* the last line has no end: append a line end first */
	bool damaged;                  /* something was left out: write it anew */
};
/* Pure. Arrays in a, spans into text. Never fails: what makes no sense is left out. */
void uidlist_parse(struct arena *a, struct span text, struct uidlist *l_r);
/* The value of a field among others; empty: it is not there. */
struct span uidlist_field(struct span extra, char letter);
void uidlist_header(struct buf *out, uint32_t uidvalidity, uint32_t uidnext, struct span extra);
void uidlist_line(struct buf *out, uint32_t uid, struct span extra, struct span file);

/* --- the folder's own ---------------------------------------------------------------------------------------------------- */
struct maildir {
	struct ident new_ident, cur_ident, list_ident, keywords_ident;
	struct {         /* what stands in a uidlist that looks like this; uidvalidity 0: not known */
		struct ident ident;
		uint32_t uidvalidity, uidnext;
	} list;
	bool opened;             /* looked at since this was made */
	bool racy;               /* a directory changed so shortly before it was read that more may have happened in that tick */
	char *watch_new, *watch_cur; /* paths */
	unsigned saved_keywords; /* that stand in dovecot-keywords */
};

/* maildir-sync.c */
enum store_status maildir_refresh(struct folder *f);
char *maildir_path(const struct folder *f, const char *sub, const char *name);
/* maildir-expunge.c */
enum store_status maildir_expunge(struct folder *f, const uint32_t *uids, size_t n);
/* One that was interrupted goes on, if there is one; what goes wrong is logged. Looks at nothing but the files. */
void maildir_finish_expunge(struct folder *f);
/* maildir-keywords.c */
void maildir_load_keywords(struct folder *f);
int maildir_save_keywords(struct folder *f);
/* maildir-append.c */
enum store_status maildir_append(struct folder *f, struct store_append *ap, uint32_t *uids_r);
/* The uidlist, locked and read: text and arrays in a. maildir_peek_list: no entries, when the list is as it was the last time. */
enum store_status maildir_lock_list(struct folder *f, char **lock_r);
void maildir_unlock_list(char *lock);
enum store_status maildir_read_list(struct folder *f, struct arena *a, struct uidlist *l_r);
enum store_status maildir_peek_list(struct folder *f, struct arena *a, struct uidlist *l_r);
/* The GUID that Dovecot, or we, gave the mailbox when its list was made. */
struct span maildir_guid(const struct folder *f, struct arena *a);
/* Add lines to the file of l, durable; it is written anew when it has to be. */
enum store_status maildir_add_lines(struct folder *f, const struct uidlist *l, uint32_t uidvalidity, uint32_t uidnext,
				    struct span lines);
/* POP3's ids into field P of the lines that have none, durable. v ascends by UID. */
struct uidl_to_save {
	uint32_t uid;
	struct span id;
};
enum store_status maildir_save_uidls(struct folder *f, const struct uidl_to_save *v, size_t n);
