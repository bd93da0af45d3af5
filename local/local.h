/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of local(8) and what they hand each other.
 *
 *	job.c       a JOB of qmgr: every message, every recipient; results
 *	expand.c    a recipient becomes a plan: aliases, .forward, :include:, mailbox choice
 *	virtual.c   the same for the transport `virtual': tables instead of users
 *	mailbox.c   letters into one mailbox, one lock and one fsync per batch
 *	later.c     letters whose mailbox is made durable once per interval, for all of them
 *	command.c   |commands: rights, environment, time limit, exit status
 *	forward.c   addresses elsewhere: a new queue message
 *	letter.c    the message at hand: trace header, loop guard, content
 *	rights.c    whose rights a delivery has; becoming that user and root again
 *
 * Single-threaded: the process changes its effective identity.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"
#include "lib/base/verdict.h"
#include "lib/map/userdb.h"
#include "lib/queue/job.h"

/* --- rights.c ----------------------------------------------------------------------------------------------------- */

/* Whose rights a delivery has. In unprivileged mode they are always those of the process. */
struct rights {
	uid_t uid;
	gid_t gid;
	const char *name, *home, *shell; /* for a command's environment */
};

bool rights_privileged(void); /* the process may change identity */
struct rights rights_of_user(struct arena *a, const struct user *u);
/* The owner of a file that names commands and files: default_privs when that is root. False: no such account, logged.
 */
bool rights_of_owner(struct arena *a, uid_t owner, struct rights *r);
bool rights_default(struct arena *a, struct rights *r);
/* Take on effective identity (group: instead of r's own, (gid_t)-1 for that). False: could not, errno; nothing has
 * changed. */
bool rights_become(const struct rights *r, gid_t group) __attribute__((warn_unused_result));
bool rights_become_mail_owner(void) __attribute__((warn_unused_result)); /* to write into the queue */
void rights_restore(void);                                               /* root again, as before; dies if it cannot */
/* In a child, before exec: for good, saved ids too. */
bool rights_become_for_good(const struct rights *r) __attribute__((warn_unused_result));

/* --- letter.c ----------------------------------------------------------------------------------------------------- */

enum { LETTER_HEADER_MAX = 256 * 1024, LETTER_TRACE_MAX = 100 }; /* bytes searched for, number of Delivered-To: */

struct letter {
	const struct job_message *m;
	struct queue_message *message;
	int64_t start_us;
	struct span delivered_to[LETTER_TRACE_MAX]; /* the addresses of its Delivered-To: fields */
	size_t ndelivered_to;
	size_t hops;     /* number of its Received: fields */
	uint64_t offset; /* letter_next: how far it has come */
};

/* Open the message and read its header. Anything but QUEUE_OK: logged; nothing to close. */
enum queue_status letter_open(struct letter *l, struct arena *a, const struct job_message *m);
void letter_close(struct letter *l);
/* Has it been delivered to this address before? */
bool letter_looped(const struct letter *l, struct span address);
/* Does prepend_delivered_header name this kind of delivery: "command", "file", "forward"? */
bool letter_prepends(const char *kind);
/* Return-Path:, X-Original-To: and, when delivered is not empty, Delivered-To:. In a. */
struct span letter_headers(struct arena *a, struct span sender, struct span original, struct span delivered);
/* Content in chunks from the beginning, for deliver_add and others: letter_rewind, then next(l, &chunk) until it is
 * empty. */
void letter_rewind(struct letter *l);
bool letter_next(void *letter, struct span *chunk_r);

/* --- expand.c, virtual.c ------------------------------------------------------------------------------------------ */

enum action_kind {
	ACTION_FAIL,    /* nothing can be done: verdict says why (may be OK: to be dropped) */
	ACTION_MAILBOX, /* into path (final slash: Maildir), with rights */
	ACTION_FILE,    /* the same for a /file of an alias: no owner check, special files allowed */
	ACTION_COMMAND, /* text run with rights */
	ACTION_FORWARD, /* address is somewhere else: re-inject */
};

struct action {
	struct action *next;
	enum action_kind kind;
	struct span address;   /* what the recipient has become: user@domain; logged as to=<> */
	struct span delivered; /* goes into Delivered-To: and is looked for there */
	struct span sender;    /* owner-alias@domain; ptr NULL: the message's own */
	struct span user, ext; /* local part without extension, extension */
	const char *text;      /* path or command line */
	struct rights rights;
	struct verdict verdict;
	bool virtual_box; /* make directories, virtual_mailbox_limit */
};

struct plan {
	struct action *first, *last;
	size_t count;
};

/* Add an action. */
struct action *plan_add(struct arena *a, struct plan *p, enum action_kind kind);
/* What is to be done for a recipient. Everything in a. */
void expand_recipient(struct arena *a, struct span address, struct plan *p);
void virtual_recipient(struct arena *a, struct span address, struct plan *p);

/* $user, $home, $shell, $recipient, $extension, $domain, $local, $recipient_delimiter in a parameter of main.cf. NULL:
 * bad syntax or an unsafe value. */
struct expand_names {
	struct span user, ext, domain, recipient;
	const char *home, *shell;
};
const char *expand_parameter(struct arena *a, const char *parameter, const struct expand_names *n);
/* Characters that remote data may have in file names and environments: no shell or path syntax. */
bool expand_char_safe(char c);

/* --- mailbox.c ---------------------------------------------------------------------------------------------------- */

struct mailbox; /* a mailbox that is open and locked */

/* Open act's mailbox. NULL: v says why. */
struct mailbox *mailbox_open(struct arena *a, const struct action *act, struct verdict *v);
bool mailbox_is(const struct mailbox *b, const struct action *act); /* the same mailbox and owner */
struct verdict mailbox_add(struct mailbox *b, struct arena *a, struct letter *l, const struct job_rcpt *r,
			   const struct action *act);
/* Make durable, unlock, free. The letters count only when this is OK; on OK the text says what was delivered to. */
struct verdict mailbox_close(struct mailbox *b, struct arena *a);
/* Unlock and free, without making an mbox durable: *fd_r as in deliver_release, *path_r in a. */
struct verdict mailbox_release(struct mailbox *b, struct arena *a, int *fd_r, const char **path_r);

/* --- command.c, forward.c ----------------------------------------------------------------------------------------- */

struct verdict command_deliver(struct arena *a, struct letter *l, const struct job_rcpt *r, const struct action *act);

struct forward_to {
	struct span sender, delivered;
	const struct span *addresses;
	size_t count;
};
/* Put a copy of the letter into the queue for other addresses: OK "forwarded as QID". */
struct verdict forward_letter(struct arena *a, struct letter *l, const struct job_rcpt *r, const struct forward_to *to);

/* --- job.c -------------------------------------------------------------------------------------------------------- */

/* Do everything a JOB frame asks for and answer on fd. False: the connection is of no more use. */
bool job_run(int fd, struct span frame);
