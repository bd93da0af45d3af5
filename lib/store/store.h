/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A user's mail: folders of messages, over mbox or Maildir, behind one interface.
 *
 * Threads: a struct store and a struct mailbox are each used under the caller's lock (imapd's sessions of one user share them).
 * Every mailbox operation first takes the file locks it needs and lets go of them before it returns.
 * The mailbox is the truth; indexes are disposable. Names of folders are UTF-8 with '/' between levels as seen by this interface
 * ("INBOX", "syn/sub"); the backend encodes them for the file system and refuses what could leave the root ("..", empty parts,
 * NUL, control bytes, leading '~'). INBOX is case-insensitive.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"
#include "lib/map/userdb.h"

enum store_status {
	STORE_OK = 0,
	STORE_NOTFOUND,  /* no such folder (or not for this user: the same answer) */
	STORE_EXISTS,
	STORE_BADNAME,   /* not an acceptable name */
	STORE_REFUSED,   /* not allowed: INBOX deleted, folder with children that cannot hold mail, ... */
	STORE_EXPUNGED,  /* the message is not there any more */
	STORE_NOSPACE,   /* disk or quota full */
	STORE_LOCKED,    /* lock not had within mbox_lock_timeout */
	STORE_TOOBIG,
	STORE_ERROR,     /* a system call failed; logged with the file's name */
};
const char *store_status_str(enum store_status s);

/* System flags (RFC 3501 2.3.2) */
enum {
	STORE_SEEN = 1, STORE_ANSWERED = 2, STORE_FLAGGED = 4, STORE_DELETED = 8, STORE_DRAFT = 16,
	STORE_RECENT = 32, /* set by the store; never stored by clients */
};
enum { STORE_KEYWORDS_MAX = 64, STORE_NAME_MAX = 1000 };

struct store;    /* one user's mail */
struct mailbox;  /* one open folder */

/* Start-up, before threads: mailbox_delivery_lock, mbox_lock_timeout, stale_lock_time. methods: kept, not copied. */
void store_set_locking(const char *methods, int64_t timeout_ms, int64_t stale_ms);
/* mail_location expanded for u ("mbox:~/mail:INBOX=/var/mail/%u"); NULL or "": found out. Never touches files outside.
 * *why_r: for the log and the client, when not OK (literal or in a). */
enum store_status store_open(struct arena *a, const struct user *u, const char *mail_location, struct store **s_r,
			     const char **why_r);
void store_close(struct store *s);
/* Expand %u %n %d %h %1n %Ln ... of Dovecot 2.3 in a location for this user. */
const char *store_expand(struct arena *a, const char *location, const struct user *u);

/* --- folders ----------------------------------------------------------------------------------------------------- */
struct store_folder {
	struct span name;
	bool selectable;      /* can hold messages */
	bool has_children;
	bool no_inferiors;    /* cannot have children */
	bool subscribed;
	bool exists;          /* false: only in the subscription list */
	const char *special_use; /* "\\Sent" or NULL */
};
/* All folders and subscriptions, sorted, INBOX first. */
enum store_status store_list(struct store *s, struct arena *a, struct store_folder **list_r, size_t *n_r);
enum store_status store_create(struct store *s, struct span name);  /* and missing parents; a final '/' is dropped */
enum store_status store_delete(struct store *s, struct span name);
enum store_status store_rename(struct store *s, struct span from, struct span to); /* INBOX: moves its messages, RFC 3501 6.3.5 */
enum store_status store_subscribe(struct store *s, struct span name, bool on);

struct store_counts {
	uint32_t messages, recent, unseen, deleted /* not filled in by store_status_of */, uidnext, uidvalidity;
	uint64_t size;
	uint64_t modseq;
};
enum store_status store_status_of(struct store *s, struct span name,
				  struct store_counts *c_r); /* STATUS, without opening for use */

/*
 * MAILBOXID, RFC 8474: of the mailbox and not of its name, made of what its files say (UIDVALIDITY, and of a Maildir the GUID in
 * its uidlist), so that it moves with them. In a.
 */
enum store_status store_id_of(struct store *s, struct span name, struct arena *a, struct span *id_r);

/* --- posthouse index ---------------------------------------------------------------------------------------------- */
/* For a process that has no mailbox open. Make the index anew, from the files alone. */
enum store_status store_index_rebuild(struct store *s, struct span name);
struct store_index_report {
	bool found;        /* there is one */
	bool damaged;      /* some of its octets are not as they were written */
	uint32_t messages; /* of the mailbox */
	uint32_t wrong;    /* of which a process that uses the index would say something that the files do not */
};
enum store_status store_index_verify(struct store *s, struct span name, struct store_index_report *r_r);

/* --- a mailbox --------------------------------------------------------------------------------------------------- */
struct store_msg {
	uint32_t uid;
	uint32_t flags;       /* STORE_SEEN ... */
	uint64_t keywords;    /* bit i: mailbox_keyword(mb, i) */
	int64_t internal_date; /* wall seconds */
	int32_t zone_minutes;  /* offset east of UTC of internal_date, as far as known */
	uint64_t size;        /* octets with CRLF line ends (RFC822.SIZE); 0 = not known yet: mailbox_size */
	uint64_t modseq;      /* RFC 7162: when flags or keywords changed last, or it came */
	int64_t save_date;    /* RFC 8514: when it came into this folder, wall seconds; 0: not known */
};

enum store_status store_select(struct store *s, struct span name, bool read_only, struct mailbox **mb_r);
void mailbox_close(struct mailbox *mb); /* lazy writes are done first */

/*
 * Bring the view up to date with the files: new messages are appended, flags read again, messages that are gone are reported.
 * Sequence numbers only change in here. gone(seq, uid) is called for each vanished message, highest sequence number first, when
 * expunges may be told now (may_expunge); otherwise vanished messages stay in the view and answer STORE_EXPUNGED.
 * changed(seq): flags of this one changed under us.
 */
struct mailbox_events {
	void (*gone)(uint32_t seq, uint32_t uid, void *arg);
	void (*changed)(uint32_t seq, void *arg);
	void *arg;
};
enum store_status mailbox_sync(struct mailbox *mb, bool may_expunge, const struct mailbox_events *ev);
/* Descriptors to watch (inotify) so that a change wakes an IDLE; -1 when there is none. Readable: drain it and mailbox_sync. */
int mailbox_watch_fd(struct mailbox *mb);
void mailbox_watch_drain(struct mailbox *mb);

uint32_t mailbox_count(const struct mailbox *mb);
uint32_t mailbox_uidvalidity(const struct mailbox *mb);
uint32_t mailbox_uidnext(const struct mailbox *mb);
uint64_t mailbox_modseq(const struct mailbox *mb); /* the highest of all that is, and of what was expunged; at least 1 */
struct span mailbox_id(struct mailbox *mb, struct arena *a);
bool mailbox_read_only(const struct mailbox *mb);
bool mailbox_keywords_full(const struct mailbox *mb);
/* seq from 1 to mailbox_count. Valid until the next sync. */
const struct store_msg *mailbox_msg(struct mailbox *mb, uint32_t seq);
/* First sequence number whose UID is >= uid; mailbox_count + 1 when none. */
uint32_t mailbox_seq_of_uid(const struct mailbox *mb, uint32_t uid);
const char *mailbox_keyword(const struct mailbox *mb, unsigned bit);      /* NULL past the last */
int mailbox_keyword_bit(struct mailbox *mb, struct span keyword, bool add); /* -1: unknown, or no room for it */
enum store_status mailbox_size(struct mailbox *mb, uint32_t seq, uint64_t *size_r);

/*
 * A message's bytes. raw has LF or CRLF line ends as stored (crlf says which; mixed counts as LF and each LF that lacks its CR
 * gets one on the way out). Headers that the mbox format keeps for itself (X-UID, Status, ...) are not part of it, nor is
 * the quoting of From_ lines. Valid until store_view_done.
 */
struct store_view {
	struct span raw;
	bool crlf;
	void *hold; /* the store's */
};
enum store_status mailbox_view(struct mailbox *mb, uint32_t seq, struct store_view *v_r);
void store_view_done(struct store_view *v);
/* No message is wanted for a while: memory that only makes the next one come sooner is given back. */
void mailbox_rest(struct mailbox *mb);

/*
 * What was worked out about a message is kept with the index: items by name, the same bytes for everybody. mailbox_items: true
 * when all n are there; values in a. mailbox_items_put adds to what is there, or replaces it. Nothing depends on it.
 */
struct store_item {
	struct span name, value;
};
bool mailbox_items(struct mailbox *mb, uint32_t seq, struct store_item *items, size_t n, struct arena *a);
void mailbox_items_put(struct mailbox *mb, uint32_t seq, const struct store_item *items, size_t n);

/* --- what POP3 asks for ------------------------------------------------------------------------------------------ */
/* The id that was told for this message before, as a Maildir's uidlist has it (field P); empty: none. In a. */
struct span mailbox_saved_uidl(struct mailbox *mb, uint32_t seq, struct arena *a);
/* Keep such ids, for sequence numbers in ascending order, where there is a place for them: durable. */
enum store_status mailbox_save_uidls(struct mailbox *mb, const uint32_t *seqs, const struct span *ids, size_t n);
/* Name of the message's file without its flags; empty: it has none of its own. In a. */
struct span mailbox_file_base(struct mailbox *mb, uint32_t seq, struct arena *a);
/* One session at a time: *fd_r holds the lock until it is closed. STORE_LOCKED: somebody else has it. Nothing else is kept away. */
enum store_status store_lock_session(struct store *s, const char *protocol, int *fd_r);

/* set, add, remove */
enum store_flag_op { STORE_FLAGS_SET, STORE_FLAGS_ADD, STORE_FLAGS_DEL };
/* May be written lazily (mailbox_flush, close); visible in mailbox_msg at once. */
enum store_status mailbox_flag(struct mailbox *mb, uint32_t seq, enum store_flag_op op, uint32_t flags, uint64_t keywords);
enum store_status mailbox_flush(struct mailbox *mb); /* CHECK: lazy writes done and durable */
/* Remove the messages for which which(seq, msg, arg) is true; they are reported as in mailbox_sync. Crash-safe, durable
 * on return. */
enum store_status mailbox_expunge(struct mailbox *mb, bool (*which)(uint32_t seq, const struct store_msg *m, void *arg), void *arg,
				  const struct mailbox_events *ev);

/* --- adding messages --------------------------------------------------------------------------------------------- */
/* APPEND, COPY: one transaction of one or more messages into a folder; all or nothing, durable on commit. */
struct store_append;
enum store_status store_append_begin(struct store *s, struct span folder, struct store_append **ap_r);
/* Start a message. internal_date 0: now. keywords: names. */
enum store_status store_append_message(struct store_append *ap, uint32_t flags, const struct span *keywords, size_t nkeywords,
				       int64_t internal_date, int32_t zone_minutes);
enum store_status store_append_write(struct store_append *ap, struct span bytes); /* any line ends; stored as the backend likes */
/* uids_r: array of the UIDs given, in a, in order. */
enum store_status store_append_commit(struct store_append *ap, struct arena *a, uint32_t *uidvalidity_r,
				      uint32_t **uids_r, size_t *n_r);
void store_append_abort(struct store_append *ap);
