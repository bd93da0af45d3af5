/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a logged-in client reaches its mailbox server, and how smtpd asks who a client is.
 *
 *	login --LOGIN frame + client fd--> auth --SESSION frame + client fd--> imapd or pop3d parent --> the user's process
 *	smtpd --LOGIN frame--> auth
 *
 * One connection carries one LOGIN frame and its REPLY: auth never waits for a client. A mechanism with several steps is taken
 * apart by login or smtpd (lib/service/sasl_talk.h), which ask once for each piece that needs the secret.
 *
 * login sends what the client gave and keeps its own copy of the descriptor; auth answers login with REPLY and, after
 * a success, login closes its copy without a word: the success reply is written by the user's process, which also gets the
 * input that login had already read. The parent of imapd (pop3d) is single-threaded, forks without exec, becomes the user in
 * the child, and hands further sessions of the same user to the same child over a socket pair. posthouse-handover(7) has the
 * frames byte by byte.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"
#include "lib/io/netaddr.h"
#include "lib/io/stream.h"
#include "lib/map/userdb.h"

enum handover_want {
	HANDOVER_WANT_LOGIN = 0,  /* decide, count and log; imap and pop3: hand the client over */
	HANDOVER_WANT_PROOF,      /* only decide, and give the server's half of the proof; a refusal is asked for again as LOGIN */
	HANDOVER_WANT_PARAMETERS, /* SCRAM: the user's salt and count of iterations; made up for an unknown user */
};

/* login, smtpd -> auth */
struct handover_login {
	enum handover_want want;
	struct span service;    /* "imap", "pop3", or "smtp": verified, but nothing is handed over */
	struct span mechanism;  /* "PLAIN", "LOGIN", "SCRAM-SHA-256", ...: decides what password and message hold */
	struct span user;       /* as the client gave it */
	struct span password; /* password, or the client's proof: CRAM-MD5 its digest in hex, SCRAM ClientProof, OAUTH*
				 the token */
	struct span message;    /* what the proof is about: CRAM-MD5 the challenge, SCRAM the AuthMessage; else empty */
	struct span tag;        /* IMAP tag of the command; POP3: "UTF8" when the client has said so, else empty */
	struct span input;      /* bytes after the command that login has already read */
	struct span session_id;
	struct netaddr remote, local;
	bool secured;           /* TLS or a local connection */
};
enum handover_code {
	HANDOVER_OK = 0,
	HANDOVER_REFUSED,  /* wrong user or password: one text for both */
	HANDOVER_TEMP,     /* try again later: [UNAVAILABLE], [SYS/TEMP] */
	HANDOVER_DISABLED, /* account locked or expired */
	HANDOVER_LIMIT,    /* mail_max_userip_connections */
	HANDOVER_TOO_SOON, /* pop3_login_delay has not passed since the last login */
};
/* auth -> login, smtpd */
struct handover_reply {
	enum handover_code code;
	struct span user;       /* OK: the user's name as the database writes it */
	uint32_t pid;           /* OK: who serves the client now; 0 for smtp */
	uint32_t delay_ms;      /* REFUSED, DISABLED: how long after the question the client may hear of it */
	struct span data;       /* OK, PROOF: ServerSignature; OK, PARAMETERS: u32 iterations, salt */
};
/* auth -> imapd, pop3d */
struct handover_session {
	struct user user;       /* who to become; mail_location already chosen if the user has one of his own */
	struct span tag, input, session_id, mechanism;
	struct netaddr remote, local;
	bool secured;
};

/* posthouse(8) -> the parent of imapd and pop3d: who is there? kick: and these sessions are to end. */
struct handover_who {
	bool kick;
	struct span user;       /* kick: his sessions; or, when empty, */
	struct netaddr remote;  /* those of all users who have one from this address */
};
/* The answer is one frame for each session, and one without a user at the end. */
struct handover_seen {
	struct span user;
	uint32_t pid;           /* of the user's process */
	int64_t since;          /* wall seconds */
	struct netaddr remote;
	bool secured;
};

/*
 * Limits of what a frame may carry; a field past its limit makes put and get return false. The sum stays below FRAME_MAX.
 */
enum {
	HANDOVER_NAME_MAX = 64,     /* service, mechanism, session_id */
	HANDOVER_USER_MAX = 512,
	HANDOVER_PASSWORD_MAX = 8192,
	HANDOVER_MESSAGE_MAX = 8192,
	HANDOVER_DATA_MAX = 512,
	HANDOVER_TAG_MAX = 1024,
	HANDOVER_INPUT_MAX = STREAM_IN_BYTES,
	HANDOVER_PATH_MAX = 4096,   /* home, shell, mail_location */
};

/*
 * put: append to b (its maximum should be FRAME_MAX); false: a field is past its limit or b is full. get: false for anything
 * that put would not have written; spans of handover_login and user_r point into frame, those of handover_session are copies in a.
 * The ANSWER frame goes from the parent of imapd and pop3d to auth: pid is the user's process, 0 unless code is HANDOVER_OK.
 */
bool handover_put_login(struct buf *b, const struct handover_login *l) __attribute__((warn_unused_result));
bool handover_get_login(struct span frame, struct handover_login *l_r) __attribute__((warn_unused_result));
bool handover_put_reply(struct buf *b, const struct handover_reply *r) __attribute__((warn_unused_result));
bool handover_get_reply(struct span frame, struct handover_reply *r_r) __attribute__((warn_unused_result));
bool handover_put_answer(struct buf *b, enum handover_code code, struct span user, uint32_t pid)
	__attribute__((warn_unused_result));
bool handover_get_answer(struct span frame, enum handover_code *code_r, struct span *user_r, uint32_t *pid_r)
	__attribute__((warn_unused_result));
bool handover_put_session(struct buf *b, const struct handover_session *s) __attribute__((warn_unused_result));
bool handover_put_who(struct buf *b, const struct handover_who *w) __attribute__((warn_unused_result));
bool handover_get_who(struct span frame, struct handover_who *w_r) __attribute__((warn_unused_result));
bool handover_put_seen(struct buf *b, const struct handover_seen *s) __attribute__((warn_unused_result));
bool handover_get_seen(struct span frame, struct handover_seen *s_r) __attribute__((warn_unused_result));
bool handover_get_session(struct span frame, struct arena *a, struct handover_session *s_r) __attribute__((warn_unused_result));

/*
 * run() of imapd's and pop3d's parent: takes SESSION frames from auth on listener, forks and feeds the users' processes.
 *
 * serve runs in the user's process, already as the user (working directory: home), in a thread of its own per session; fd is the
 * client (non-blocking, close-on-exec) and serve closes it. s lives until serve returns. serve starts by stream_unread(s->input)
 * and writes the reply to the login command itself. A wait that ends with IO_STOPPING means: say goodbye and return within
 * seconds. service_stopping() and service_draining() say nothing in the user's process: sessions in progress outlive a reload.
 *
 * A session that has nothing to do may give up its thread: see service_park (service.h).
 *
 * start runs once in each new process, in its main thread, before the first serve; u lives as long as the process.
 * one_process_per_user: sessions of one user share a process, which stays for a while; else every session gets one.
 * login_delay_ms: least time between two logins of one user; 0: none.
 * stack_bytes: of a session's thread; 0: 256 KiB.
 */
struct userproc {
	const char *protocol; /* "imap": for log lines */
	void (*start)(const struct user *u); /* may be NULL */
	void (*serve)(const struct handover_session *s, int fd);
	void (*finish)(void); /* once, in the main thread, after the last serve, before the process ends; may be NULL */
	bool one_process_per_user;
	int64_t login_delay_ms;
	size_t stack_bytes;
};
void userproc_run(const int *listeners, int nlisteners, const struct userproc *up);
