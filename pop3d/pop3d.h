/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pop3d: one POP3 session on one user's INBOX, in a process that is the user. The maildrop is what was there at login: sequence
 * numbers never move, new mail is for the next session, and nothing is removed before QUIT.
 *
 * The files: main.c starts it, options.c reads parameters that are more than a value, session.c holds the dialogue, maildrop.c the
 * snapshot, uidl.c its unique ids, send.c a message on its way out.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/io/stream.h"
#include "lib/service/handover.h"
#include "lib/store/store.h"

/* --- options.c */
extern struct options {
	bool no_nuls, end_of_header; /* pop3_client_workarounds */
	bool rename_duplicates;      /* pop3_uidl_duplicates */
	bool delete_by_flag;         /* pop3_delete_type */
} options;
void options_read(void); /* dies when they make no sense */
struct figures {
	uint64_t tops, top_octets, retrs, retr_octets, deleted, messages, size, in, out;
};
void options_logout_text(struct buf *out, const struct figures *f); /* pop3_logout_format */

/* --- maildrop.c */
struct drop_msg {
	uint32_t seq;  /* in the mailbox: more than the number here, behind messages that are hidden */
	uint32_t uid;
	bool deleted;
	bool gone;     /* another session removed it */
	bool sized;
	uint64_t size; /* with CRLF line ends, when sized */
	const char *uidl; /* NULL: made when it is asked for */
};

struct maildrop {
	struct arena arena;
	struct store *store;
	struct mailbox *mb;
	struct drop_msg *msg; /* number i is msg[i - 1] */
	uint32_t count, ndeleted;
	uint32_t uidvalidity;
	bool uidls_known;
	int lock_fd; /* of pop3_lock_session; -1 */
};

/* Open the user's INBOX. Not STORE_OK: *why_r, for the log, in the arena; nothing is open. */
enum store_status maildrop_open(struct maildrop *d, const struct user *u, const char **why_r);
void maildrop_close(struct maildrop *d);
/* Number of a message that can be asked for; NULL: none, or marked as deleted. */
struct drop_msg *maildrop_msg(struct maildrop *d, uint32_t number);
uint32_t maildrop_number(const struct maildrop *d, const struct drop_msg *m);
enum store_status maildrop_size(struct maildrop *d, struct drop_msg *m, uint64_t *size_r);
/* Count and octets of what is not marked as deleted. */
enum store_status maildrop_total(struct maildrop *d, uint32_t *count_r, uint64_t *size_r);
uint64_t maildrop_known_size(const struct maildrop *d); /* of all messages, as far as it has been asked for */
void maildrop_delete(struct maildrop *d, struct drop_msg *m);
void maildrop_reset(struct maildrop *d);
/* The UPDATE state: what is marked goes, for good. */
enum store_status maildrop_commit(struct maildrop *d);
uint32_t maildrop_last_seen(const struct maildrop *d); /* number of the last message that is marked as seen, or 0 */
void maildrop_seen(struct maildrop *d, struct drop_msg *m);

/* --- uidl.c */
void maildrop_uidl(struct maildrop *d, struct drop_msg *m, struct buf *out); /* in place of what out holds */

/* --- send.c */
/* The message, or its header and the first lines of its body (all: false), dot-stuffed, with its end. Octets
 * sent in *octets_r. Not STORE_OK: nothing was sent. reply: the positive answer that goes first, without its line end. */
enum store_status send_message(struct stream *io, struct maildrop *d, struct drop_msg *m, bool all, uint32_t lines,
			       const char *reply, uint64_t *octets_r);
/* Does its header hold UTF-8? */
bool message_is_utf8(struct maildrop *d, struct drop_msg *m);

void session_serve(const struct handover_session *hs, int fd);
