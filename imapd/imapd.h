/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * imapd: one user's mail, served to any number of his sessions at once, each a thread.
 *
 * The files: session.c runs a session, command.c holds the table of verbs, cmd-VERB.c one command each, box.c what
 * sessions share, view.c what a session has been told, reply.c how it is told.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/list.h"
#include "lib/io/stream.h"
#include "lib/proto/imap_parse.h"
#include "lib/proto/imap_seq.h"
#include "lib/service/handover.h"
#include "lib/store/store.h"

struct box;

enum {
	OUT_MAX = 16 * 1024 * 1024, /* one response without message content (ENVELOPE, BODYSTRUCTURE) */
	BAD_COMMANDS_MAX = 20,      /* in a row, then the session ends */
};

/* A message as the session knows it. */
enum {
	VIEW_GONE = 1 << 30, /* expunged; the client has not been told */
	VIEW_TELL = 1 << 29, /* flags changed; the client has not been told */
	VIEW_FLAGS = 0xff,   /* STORE_SEEN ... */
};
struct view_msg {
	uint32_t uid;
	uint32_t flags;
	uint64_t keywords;
	uint64_t modseq;
};

struct view {
	struct view_msg *msg; /* ascending by uid; sequence number i is msg[i - 1] */
	uint32_t n, cap;
	uint32_t told_exists, told_recent;
	uint32_t ngone;
	uint32_t uidvalidity;
	uint64_t generation; /* of the box, when it was last compared */
	char *keyword[STORE_KEYWORDS_MAX];
	unsigned nkeywords, told_keywords;
};

struct session_stats {
	uint64_t deleted, expunged, hdr_count, hdr_bytes, body_count, body_bytes;
};

struct session {
	const struct handover_session *hs;
	struct stream *io;
	struct imap_reader reader;
	struct arena arena; /* of the command */
	struct arena msg;   /* of the message being looked at */
	struct buf out;     /* of the response being built */
	struct buf final;   /* the tagged reply, sent after what the command changed has been told */
	struct span tag;
	const char *verb;     /* for error texts: "FETCH", "UID FETCH" */
	bool by_uid;          /* UID FETCH, UID STORE, ... */
	bool no_sync;         /* the command left no mailbox to tell about, or already told */
	bool utf8;            /* ENABLE UTF8=ACCEPT or IMAP4rev2: names are UTF-8 */
	bool utf8_accept, rev2;
	bool condstore, qresync; /* RFC 7162: the client wants to know modification sequences; and VANISHED in place of EXPUNGE */
	bool unknown_cte;     /* FETCH BINARY met a transfer encoding that it cannot undo */
	bool over;            /* end after the reply */
	const char *why_over; /* for the log */
	unsigned bad;         /* commands in a row that were bad */

	struct box *box;    /* the selected mailbox, or NULL */
	struct mailbox *mb; /* its store object, shared: only under box_lock */
	bool read_only;
	struct view view;
	uint32_t *saved; /* UIDs of the last search with SAVE, ascending: "$" */
	uint32_t nsaved;
	struct list_node on_box;
	int wake_fd; /* eventfd: another session changed the box; -1 until the first IDLE */
	bool idling; /* under box_lock */
	bool parked; /* it waits without a thread; session_resume is next */
	int64_t rest_until_ms;
	struct idle *idle; /* an IDLE that is not over, or NULL */
	struct session_stats stats;
};

/* --- session.c --- */
void session_serve(const struct handover_session *hs, int fd);
void session_end(struct session *s, const char *why); /* why: a literal; no more commands are read */
enum io_status session_read_command(struct session *s, enum imap_read_status *st_r);
/* Wait without a thread, see service_park. True: return to session.c at once. */
bool session_park(struct session *s, int fd, int64_t deadline_ms);

/* --- command.c --- */
enum command_flags {
	CMD_SELECTED = 1, /* needs a selected mailbox */
	CMD_WRITE = 2,    /* not in a read-only one */
	CMD_UID = 4,      /* "UID VERB" exists too */
	CMD_SYNC = 8,     /* news is told before the reply */
	CMD_KEEP = 16,    /* ... but no expunges, because the client used sequence numbers */
};
struct command {
	const char *verb;
	void (*run)(struct session *s, struct imap_scan *args);
	unsigned flags;
};
void command_run(struct session *s, struct span text);
void command_finish(struct session *s, unsigned flags); /* tell the news, send s->final */

void cmd_append(struct session *s, struct imap_scan *a);
/* The reader stands at a literal of an APPEND: does the whole command. False: the connection failed. */
bool append_run(struct session *s);
bool append_wants(struct session *s);
void cmd_capability(struct session *s, struct imap_scan *a);
void cmd_check(struct session *s, struct imap_scan *a);
void cmd_close(struct session *s, struct imap_scan *a);
void cmd_copy(struct session *s, struct imap_scan *a);
void cmd_create(struct session *s, struct imap_scan *a);
void cmd_delete(struct session *s, struct imap_scan *a);
void cmd_enable(struct session *s, struct imap_scan *a);
void cmd_examine(struct session *s, struct imap_scan *a);
void cmd_expunge(struct session *s, struct imap_scan *a);
void cmd_fetch(struct session *s, struct imap_scan *a);
void cmd_id(struct session *s, struct imap_scan *a);
void cmd_idle(struct session *s, struct imap_scan *a);
void idle_go_on(struct session *s); /* after session_park; parked again, or there is a reply */
void cmd_list(struct session *s, struct imap_scan *a);
void cmd_logout(struct session *s, struct imap_scan *a);
void cmd_lsub(struct session *s, struct imap_scan *a);
void cmd_move(struct session *s, struct imap_scan *a);
void cmd_namespace(struct session *s, struct imap_scan *a);
void cmd_noop(struct session *s, struct imap_scan *a);
void cmd_rename(struct session *s, struct imap_scan *a);
void cmd_search(struct session *s, struct imap_scan *a);
void cmd_select(struct session *s, struct imap_scan *a);
void cmd_sort(struct session *s, struct imap_scan *a);
void cmd_status(struct session *s, struct imap_scan *a);
void cmd_store(struct session *s, struct imap_scan *a);
void cmd_subscribe(struct session *s, struct imap_scan *a);
void cmd_thread(struct session *s, struct imap_scan *a);
void cmd_unselect(struct session *s, struct imap_scan *a);
void cmd_unsubscribe(struct session *s, struct imap_scan *a);

/* --- reply.c --- */
/* The tagged reply; sent by command_finish. text without the tag: "OK [READ-ONLY] Select completed." */
void reply(struct session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "BAD Error in IMAP command X: error"; counts towards BAD_COMMANDS_MAX. */
void reply_bad(struct session *s, const char *error);
/* OK done, or the NO with its response code that st deserves. */
void reply_status(struct session *s, enum store_status st, const char *done);
/* s->out goes to the client and is emptied. */
void reply_flush(struct session *s);
/* Append "\Seen $Forwarded" to s->out. */
void put_flags(struct session *s, uint32_t flags, uint64_t keywords);
/* "STATUS name (items)", and the parsing of its items; shared with LIST-STATUS. */
enum status_item {
	STATUS_MESSAGES = 1,
	STATUS_RECENT = 2,
	STATUS_UIDNEXT = 4,
	STATUS_UIDVALIDITY = 8,
	STATUS_UNSEEN = 16,
	STATUS_SIZE = 32,
	STATUS_APPENDLIMIT = 64,
	STATUS_DELETED = 128,
	STATUS_HIGHESTMODSEQ = 256,
	STATUS_MAILBOXID = 512,
};
bool status_items_parse(struct imap_scan *a, unsigned *items_r);
enum store_status status_send(struct session *s, struct span name, unsigned items);

/* --- search-return.c --- */
/* RFC 9394 "1:10", "-1:-10" (tail: counted from the end). */
struct partial_range {
	bool tail;
	uint32_t lo, hi;
};
bool scan_partial_range(struct imap_scan *a, struct partial_range *r_r);
/* Which of count results it names: n of them from first. */
void partial_cut(const struct partial_range *r, uint32_t count, uint32_t *first_r, uint32_t *n_r);
void saved_clear(struct session *s);
/* What "$" stands for: UIDs, in s->arena, resolved. */
void saved_set(struct session *s, struct imap_seqset *set_r);

/* --- view.c --- */
/* Select name: on STORE_OK the session has a view of it. */
enum store_status view_open(struct session *s, struct span name, bool read_only);
void view_close(struct session *s);
/* Compare with the box and tell what is new. */
void view_sync(struct session *s, bool may_expunge);
/* The same without telling anything: flags are read again, so that what is told next is true. */
void view_refresh(struct session *s);
/* The first position whose UID is at least uid; v->n: none. */
uint32_t view_position(const struct view *v, uint32_t uid);
/* Positions in view.msg that set (unresolved) names, in s->arena, ascending. False: names a message that is not there.
 */
bool view_indices(struct session *s, struct imap_seqset *set, uint32_t **at_r, uint32_t *n_r);
/* Parse a sequence set argument and do that; a bad one is answered. */
bool view_scan_set(struct session *s, struct imap_scan *a, uint32_t **at_r, uint32_t *n_r);
/* Under box_lock: the store's sequence number of a message of the view, 0 when it is gone. */
uint32_t view_seq(struct session *s, uint32_t at);
/* Under box_lock: take over keyword names that are new. */
void view_learn_keywords(struct session *s);
void view_tell_keywords(struct session *s);           /* FLAGS and PERMANENTFLAGS when there are new ones */
void view_send_flags(struct session *s, uint32_t at); /* "* n FETCH (UID u FLAGS (...))" */

/* --- condstore.c: RFC 7162 --- */
/* A command that says so was given: from now on MODSEQ is told with flags. */
void condstore_enable(struct session *s);
uint64_t condstore_highest(struct session *s); /* of the selected mailbox */
/* " MODSEQ (n)" to s->out, when the client wants it. */
void condstore_put(struct session *s, const struct view_msg *m);
/* "OK [HIGHESTMODSEQ n] text" after an expunge, as QRESYNC has it, or "OK text". */
void condstore_reply_expunged(struct session *s, uint64_t highest, const char *text);
/* "* VANISHED (EARLIER) set": UIDs of known (NULL: all) that are not in the mailbox, if something can be gone since modseq. */
void vanished_earlier(struct session *s, struct imap_seqset *known, uint64_t since);
/* What changed in the mailbox just selected since the client knew it with this UIDVALIDITY. */
struct resync {
	bool wanted;
	uint32_t uidvalidity;
	uint64_t modseq;
	bool some;                /* known was given: nothing else is of interest */
	struct imap_seqset known;
};
bool resync_scan(struct session *s, struct imap_scan *a, struct resync *r_r);
void resync_tell(struct session *s, struct resync *r);

/* --- shared by commands --- */
/* A mailbox name argument as UTF-8 in s->arena, INBOX in capitals. False: answered. */
bool scan_mailbox(struct session *s, struct imap_scan *a, struct span *name_r);
void put_mailbox(struct session *s, struct span name); /* to s->out, as the session has names */
/* "* LIST (...)" of one folder, for SELECT. */
void list_send_one(struct session *s, struct span name);
/* "(\Seen $x)" or "\Seen $x": names in s->arena, system flags apart. False: a->error says why. */
struct flag_list {
	uint32_t flags;
	struct span *keywords;
	size_t nkeywords;
};
bool scan_flags(struct session *s, struct imap_scan *a, struct flag_list *f_r);
/* Remove messages from the selected mailbox: those with \Deleted, and (uids not NULL, ascending) of these UIDs only. */
enum store_status expunge_run(struct session *s, const uint32_t *uids, size_t nuids, bool deleted_only);
