/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a logged-in client reaches its mailbox server.
 *
 *	login --LOGIN frame + client fd--> auth --SESSION frame + client fd--> imapd or pop3d parent --> the user's process
 *
 * login sends what the client gave and keeps its own copy of the descriptor; auth answers login with ANSWER and, after
 * a success, login closes its copy without a word: the success reply is written by the user's process, which also gets the
 * input that login had already read. The parent of imapd (pop3d) is single-threaded, forks without exec, becomes the user in
 * the child, and hands further sessions of the same user to the same child over a socket pair.
 */
#pragma once
#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"
#include "lib/io/netaddr.h"
#include "lib/map/userdb.h"

/* login -> auth */
struct handover_login {
	struct span service;    /* "imap" or "pop3" (later also "smtp": verify only) */
	struct span mechanism;  /* "PLAIN", "LOGIN", ...: how the client sent it, for the log */
	struct span user;       /* as the client gave it */
	struct span password;
	struct span tag;        /* IMAP tag of the command, empty for POP3 */
	struct span input;      /* bytes after the command that login has already read */
	struct span session_id;
	struct netaddr remote, local;
	bool secured;           /* TLS or a local connection */
};
/* auth -> login */
enum handover_code {
	HANDOVER_OK = 0,
	HANDOVER_REFUSED,  /* wrong user or password: one text for both */
	HANDOVER_TEMP,     /* try again later: [UNAVAILABLE], [SYS/TEMP] */
	HANDOVER_DISABLED, /* account locked or expired */
	HANDOVER_LIMIT,    /* mail_max_userip_connections */
};
/* auth -> imapd, pop3d */
struct handover_session {
	struct user user;       /* who to become; mail_location already chosen if the user has one of his own */
	struct span tag, input, session_id, mechanism;
	struct netaddr remote, local;
	bool secured;
};

bool handover_put_login(struct buf *b, const struct handover_login *l);
bool handover_get_login(struct span frame, struct handover_login *l_r);
bool handover_put_answer(struct buf *b, enum handover_code code, struct span user, uint32_t pid);
bool handover_get_answer(struct span frame, enum handover_code *code_r, struct span *user_r, uint32_t *pid_r);
bool handover_put_session(struct buf *b, const struct handover_session *s);
bool handover_get_session(struct span frame, struct arena *a, struct handover_session *s_r);

/*
 * run() of imapd's and pop3d's parent: takes SESSION frames from auth on listener, forks and feeds the users' processes.
 * serve runs in the user's process, already as the user, in a thread of its own per session; fd is the client (non-blocking).
 * one_process_per_user: sessions of one user share a process (imapd); else every session gets one (pop3d).
 */
struct userproc {
	void (*start)(const struct user *u); /* once in each new process, as the user; may be NULL */
	void (*serve)(const struct handover_session *s, int fd);
	bool one_process_per_user;
};
void userproc_run(const int *listeners, int nlisteners, const struct userproc *up);
