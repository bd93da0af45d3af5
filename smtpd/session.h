/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One SMTP session and its transaction. A session runs in a thread of smtpd; while it waits for its client's next command it may
 * have none, and then another. Everything here belongs to that thread.
 *
 *	state         allowed commands that move on
 *	connected     EHLO, HELO                                  -> greeted
 *	greeted       MAIL                                        -> mail
 *	mail          RCPT (accepted)                             -> rcpt
 *	rcpt          RCPT, DATA                                  -> greeted after DATA, whatever became of the message
 *
 * MAIL is also allowed in `connected' unless smtpd_helo_required. RSET, EHLO and HELO lead back to greeted from anywhere: the
 * one way out of a transaction is transaction_reset().
 */
#pragma once
#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/htab.h"
#include "lib/io/dns.h"
#include "lib/io/stream.h"
#include "lib/io/tls.h"
#include "lib/proto/smtp_cmd.h"
#include "lib/queue/queue.h"
#include "lib/service/service.h"

/* What an access table or policy service wants done with a message that is accepted. Lists: one a line. */
struct access_actions {
	bool hold, discard;
	struct span redirect, bcc, prepend, filter;
	unsigned changes; /* of what the envelope depends on */
};

/* What is kept of one message between MAIL and the end of DATA. */
struct transaction {
	struct arena arena;            /* everything below lives here */
	bool have_sender;
	struct queue_envelope env;     /* id set with the first accepted recipient */
	struct span sender_given;      /* as in MAIL FROM, internal form, for texts */
	size_t rcpt_capacity;
	size_t accepted;               /* RCPT commands answered 250 */
	int64_t overshoot;             /* those past smtpd_recipient_limit */
	struct span sasl_sender;       /* MAIL ... AUTH= */
	struct htab seen;              /* recipients already in the envelope */
	struct span recipient_given;   /* the last accepted recipient, the same */
	uint64_t size;                 /* as announced with MAIL, then as received */
	struct access_actions actions;
	const char *put_off_sender;    /* a reply that waits for RCPT (access.c), or NULL */
	const char *instance;          /* for policy services, or NULL */
	struct intake *intake;         /* between BDAT chunks, or NULL */
	bool bdat_failed;              /* the rest of the chunks is refused */
	uint64_t bdat_dropped;
};

struct smtpd_session {
	struct stream *stream;
	struct netaddr peer, local;
	struct netaddr real_peer;      /* who connected, whatever XCLIENT said since */
	struct span forward_name, forward_address, forward_port, forward_id; /* from XFORWARD, for log lines */
	char peer_text[NETADDR_TEXT_MAX];
	bool is_unix;                  /* a UNIX socket: no TLS, no AUTH, no limits by address */
	bool is_sendmail;              /* sendmail(1) on one, not another mail system that speaks LMTP */
	uid_t unix_uid;
	struct arena arena;            /* of the session */
	struct arena cmd;              /* of one command, reset after its reply */
	const char *client;            /* "name[1.2.3.4]", see client_label() */
	struct span client_name;       /* "name" or "unknown" */
	struct span reverse_name;      /* what the address is called, unconfirmed, or "unknown" */
	enum dns_status name_status, reverse_status;
	struct span helo;              /* argument of the last HELO or EHLO, empty before */
	bool esmtp;
	const struct tls_info *tls;    /* what the connection is protected by; NULL: nothing */
	bool trusted;                  /* inside mynetworks, or local */
	bool trust_unknown;            /* mynetworks could not be asked: nothing may be decided by it */
	struct span sasl_user;         /* who has authenticated; empty: nobody */
	const char *sasl_method;       /* how */
	unsigned discard;              /* discard.h: extensions that it is not offered */
	bool refused;                  /* at connect: nothing but QUIT is left */
	const char *no_cert;           /* smtpd_tls_req_ccert: the answer to any command, then it is over */
	int64_t deadline_ms;           /* of the command that is read, under smtpd_per_request_deadline */
	bool quit;                     /* close after the replies that are gathered */
	unsigned errors, junk;         /* since the last delivered message */
	enum smtp_verb last_verb;
	unsigned count_ok[SMTP_VERBS], count_all[SMTP_VERBS]; /* for the disconnect line */
	const char *put_off_client, *put_off_helo; /* replies that wait for RCPT (access.c), or NULL */
	struct rbl_cached *rbl_asked;  /* rbl.c */
	struct peers_place *place;     /* smtpd_client_connection_count_limit; or NULL */
	void (*next)(struct smtpd_session *s); /* what goes on with it, until quit */
	bool paused;                   /* it waits without a thread, and next will be the same */
	struct transaction txn;
};

/* This service speaks LMTP (RFC 2033): LHLO, and one reply for each recipient after the content. Set before sessions start. */
extern bool smtpd_lmtp;

/* The whole life of a session: banner, commands, goodbye. Closes the descriptor. */
void smtpd_session(const struct service_session *ss);

/* A reply, without CRLF; counts as an error of the client when its code is 4xx or 5xx. */
void reply(struct smtpd_session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same; a refusal is no error: RFC 5321 4.5.3.1.10 lets a client go on past the limit of recipients. */
void reply_kindly(struct smtpd_session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The reply to a whole message: LMTP says it once for each recipient that was accepted. */
void reply_message(struct smtpd_session *s, const char *text);
/* smtpd_per_request_deadline: a command has until now + smtpd_timeout, and a bit more for each piece of content. */
void request_begin(struct smtpd_session *s);
void request_progress(struct smtpd_session *s, size_t bytes);
/* As next: a command is waited for from now on. */
void await_command(struct smtpd_session *s);
/* The stream said IO_LATER: wait without a thread. True: return to session.c at once. False: not here, so wait in place. */
bool session_pause(struct smtpd_session *s);
void transaction_reset(struct smtpd_session *s);

/* Command handlers (cmd_*.c): args as parsed, replies given, s->quit set to end the session. */
void cmd_ehlo(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_helo(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_lhlo(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_mail(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_rcpt(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_data(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_bdat(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_auth(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_etrn(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_xclient(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_xforward(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_rset(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_noop(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_vrfy(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_expn(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_help(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_starttls(struct smtpd_session *s, const struct smtp_cmd *cmd);
void cmd_quit(struct smtpd_session *s, const struct smtp_cmd *cmd);

/* Is the domain of this rewritten address a host name or an address literal? Else nothing can be sent there (cmd_rcpt.c). */
bool address_has_place(struct span address);

/* Log a refusal in Postfix's shape, "QID: reject: RCPT from name[ip]: TEXT; from=<> to=<> proto= helo=<>". rcpt: internal form. */
void log_reject(const struct smtpd_session *s, const char *stage, const char *text, struct span rcpt);
/* The same line with another word: "reject_warning", "hold", "discard", ... */
void log_reject_as(const struct smtpd_session *s, const char *decision, const char *stage, const char *text, struct span rcpt);

/* May this client give these commands? What XFORWARD adds to the line "ID: client=..." (cmd_xclient.c). */
bool xclient_allowed(const struct smtpd_session *s);
bool xforward_allowed(const struct smtpd_session *s);
bool verp_allowed(const struct smtpd_session *s); /* XVERP: smtpd_authorized_verp_clients, and sendmail(1) */
const char *xforward_log(struct smtpd_session *s);

/* Behind the first BDAT of a message, accepted or not, only BDAT goes on: until LAST, RSET or a greeting. */
bool within_chunks(const struct smtpd_session *s);

/* What access tables want done with the message, into its envelope: other recipients, a filter, hold (cmd_rcpt.c). */
void apply_actions(struct smtpd_session *s);

/* "SMTP", "ESMTP": for log lines, Received: and policy services. */
const char *smtpd_protocol(const struct smtpd_session *s);

/* "name[1.2.3.4]", with smtpd_client_port_logging "name[1.2.3.4]:port": for log lines and replies. In s->arena. */
const char *client_label(struct smtpd_session *s);

/* trusted and trust_unknown, by the address of the client. */
void client_trust(struct smtpd_session *s);

/* Fill in the names of the client, from a cache that all sessions share (client_name.c). In s->arena. */
void client_names(struct smtpd_session *s);

/* Received: field of this transaction, LF line ends (received.c). */
struct span received_header(struct smtpd_session *s);

/* Is there room for another message? Checked at most once a second per process (space.c). */
bool space_left(uint64_t message_bytes);
