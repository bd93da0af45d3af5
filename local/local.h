/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of local(8) and what they hand each other.
 *
 *	job.c       a JOB of qmgr: every message, every recipient; results
 *	expand.c    a recipient becomes a plan: aliases, .forward, :include:, mailbox choice
 *	virtual.c   the same for the transport `virtual': tables instead of users
 *	mailbox.c   letters into one mailbox, one lock and one fsync per batch
 *	later.c     letters whose mailbox is made durable once per interval, for all of them
 *	command.c   |commands: rights, environment, exit status
 *	forward.c   addresses elsewhere: a new queue message
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
#include "lib/service/letter.h"
#include "lib/service/rights.h"
#include "lib/store/deliver.h"

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

/* Open act's mailbox, and be its owner from here to mailbox_close or mailbox_release. NULL: v says why. */
struct mailbox *mailbox_open(struct arena *a, const struct action *act, struct verdict *v);
bool mailbox_is(const struct mailbox *b, const struct action *act); /* the same mailbox and owner */
struct verdict mailbox_add(struct mailbox *b, struct arena *a, struct letter *l, const struct job_rcpt *r,
			   const struct action *act);
/* Make durable, unlock, free. The letters count only when this is OK; on OK the text says what was delivered to. */
struct verdict mailbox_close(struct mailbox *b, struct arena *a);
/* Unlock and free, without making an mbox durable: *w_r as in deliver_release, *path_r in a. */
struct verdict mailbox_release(struct mailbox *b, struct arena *a, struct deliver_wait *w_r, const char **path_r);

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
