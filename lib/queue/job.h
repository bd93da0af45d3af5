/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What qmgr and the other programs tell each other, over frames (lib/io/frame.h). Everything decoded points into the frame.
 *
 * A delivery worker (smtp, local, bounce) is a frame service; qmgr connects to it (private/TRANSPORT) and the connection is one
 * delivery slot. qmgr sends JOB: a destination and one or more messages for it. For every message of the job the worker
 * answers one RESULT (several may share a frame), in any order; when all are in, qmgr sends the next JOB (usually for the
 * same destination: keep the connection and the lock) or IDLE: the destination is empty, let go of what you hold (SMTP QUIT).
 *
 * The worker writes down what happened before it sends RESULT (outcome_report does it): DELIVERED, DEFERRED and BOUNCED go into the
 * journal; but when `last' is set and every recipient of the message in this job was delivered, it removes the message instead.
 * So the truth is on disk before qmgr knows, and a qmgr that starts anew repeats nothing. While a worker may be at work it
 * holds queue_work_begin(); a new qmgr waits for the end of all such work of its predecessor before it reads the queue.
 *
 * Whoever puts mail in the queue connects to public/qmgr and sends NEW once the message is durable, before it says 250.
 * Control requests of the tools use the same socket.
 */
#pragma once
#include "lib/base/pack.h"
#include "lib/queue/queue.h"

enum job_frame {
	JOB_FRAME_NEW = 1,  /* enqueuer -> qmgr: struct queue_envelope and place; or only id and place when it does not fit */
	JOB_FRAME_BYE,      /* enqueuer -> qmgr: orderly end (an end without it makes qmgr scan for strays) */
	JOB_FRAME_JOB,      /* qmgr -> worker */
	JOB_FRAME_IDLE,     /* qmgr -> worker */
	JOB_FRAME_RESULT,   /* worker -> qmgr */
	JOB_FRAME_CONTROL,  /* tool -> qmgr: verb and argument; answered by JOB_FRAME_ANSWER frames */
	JOB_FRAME_ANSWER,   /* qmgr -> tool: done flag, text bytes */
};

struct job_rcpt {
	uint32_t index;        /* in the envelope of its message */
	struct span address, original, orcpt;
	uint8_t notify;
};

enum { JOB_KEPT_MAX = 4096 }; /* a worker that keeps more after a job makes them durable before the next */

enum job_kind {
	JOB_DELIVER = 0,
	JOB_PROBE,          /* smtp: connect and read the banner only; no messages; answered by one RESULT with id "" */
	JOB_BOUNCE,         /* bounce: tell the sender of recipients in state BOUNCED, journal NOTIFIED */
	JOB_EXPIRE,         /* bounce: the same, and all PENDING recipients have failed now (queue time over) */
	JOB_WARN,           /* bounce: tell the sender of the delay of PENDING recipients, journal DELAY_WARNED */
	JOB_SUCCESS,        /* bounce: rcpts of the job were delivered and asked for NOTIFY=SUCCESS */
	JOB_PROBE_LONG,     /* smtp: as PROBE, but as patient as a delivery */
};
/*
 * The jobs of bounce hold one message. Those of BOUNCE, EXPIRE and WARN name no recipients: bounce takes them from the message's
 * journal. The RESULT of a bounce job has exactly one outcome, with index 0: OK, or TEMP when the notice could not be queued.
 * A worker that finds its message gone (QUEUE_GONE) answers OK for all recipients and logs nothing.
 */

struct job_message {
	char id[QUEUE_ID_MAX];
	struct queue_place place;
	struct span sender;
	struct span envid;
	uint32_t flags;        /* QUEUE_8BIT ... */
	uint64_t size;
	int64_t arrival_us;    /* wall, for delays= */
	int64_t active_us;     /* wall: when qmgr took it up, for delays= */
	bool again;            /* it may have been delivered to these recipients before, by a worker that could not say so */
	bool kept;             /* it was (struct job_result), and that worker is gone: make it durable, write it no more */
	bool last;             /* these are all recipients that are still pending, and no notice is owed */
	struct job_rcpt *rcpts;
	size_t nrcpts;
};

struct job {
	enum job_kind kind;
	struct span transport; /* "smtp", "local" */
	struct span nexthop;   /* "example.com", "[relay]:587", user name */
	struct job_message *messages;
	size_t nmessages;
};

/* What became of one recipient. */
struct job_outcome {
	uint32_t index;
	enum verdict_class class; /* OK delivered, TEMP deferred, PERM bounced */
	bool passed_on;           /* OK, and the server that has it now answers for NOTIFY=SUCCESS (RFC 3461 5.2.1) */
	struct span reason;       /* of TEMP or PERM, as in the journal, for listings; empty: to be read there. Of a probe always */
};

struct job_result {
	char id[QUEUE_ID_MAX];
	struct job_outcome *outcomes;
	size_t noutcomes;
	bool kept;             /* delivered, and in the queue until its mailbox is durable: the worker removes it then */
	bool site_down;        /* the destination as such could not be reached: probe it, hold its other mail */
	struct span reason;    /* of the failure, for the destination's state; else empty */
};

enum job_verb {
	JOB_VERB_FLUSH = 1,    /* postqueue -f: everything now */
	JOB_VERB_FLUSH_ID,     /* postqueue -i ID */
	JOB_VERB_FLUSH_SITE,   /* postqueue -s SITE */
	JOB_VERB_LIST,         /* postqueue -p, -j: ANSWER frames with pack()ed entries, see job_list_entry */
	JOB_VERB_CHANGED,      /* postsuper changed message ID on disk (hold, release, expire, delete): read it again */
	JOB_VERB_STATUS,       /* numbers for posthouse status: text */
	JOB_VERB_UNDELIVERED,  /* worker -> qmgr: a message that it kept could not be made durable; no answer */
};

struct job_control {
	enum job_verb verb;
	struct span argument;
};

/* One message of a listing: its queue name and what queue_open gives. */
enum job_list_state { JOB_LIST_INCOMING = 0, JOB_LIST_ACTIVE, JOB_LIST_DEFERRED, JOB_LIST_HOLD };

/* Encoders reset b (maximum FRAME_MAX) and write one frame; false when it does not fit. */
bool job_put_new(struct buf *b, const struct queue_envelope *env, const struct queue_place *place);
bool job_put_bye(struct buf *b);
bool job_put_job(struct buf *b, const struct job *j);
bool job_put_idle(struct buf *b);
bool job_put_result(struct buf *b, const struct job_result *r);
/* One more into a RESULT frame (an empty b starts one); false and b as before when it has no room. */
bool job_add_result(struct buf *b, const struct job_result *r);
bool job_put_control(struct buf *b, const struct job_control *c);
bool job_put_answer(struct buf *b, bool done, struct span bytes);
/* A listing entry for ANSWER bytes. */
void job_put_list_entry(struct buf *b, enum job_list_state state, const struct queue_envelope *env);
bool job_get_list_entry(struct unpack *u, struct arena *a, enum job_list_state *state_r, struct queue_envelope *env_r);

/* Decoders: frame as received; false when malformed. Arrays in a, spans into the frame. */
enum job_frame job_type(struct span frame); /* 0 when empty */
bool job_get_new(struct span frame, struct arena *a, struct queue_envelope *env_r, struct queue_place *place_r,
		 bool *has_envelope_r);
bool job_get_job(struct span frame, struct arena *a, struct job *j_r);
bool job_get_results(struct span frame, struct arena *a, struct job_result **list_r, size_t *n_r);
bool job_get_control(struct span frame, struct job_control *c_r);
bool job_get_answer(struct span frame, bool *done_r, struct span *bytes_r);

/*
 * The enqueuer's side of NEW: one connection per process, opened when needed, shared by its threads, re-opened once after a
 * failure. False: qmgr could not be told now; the message is safe and will be found by qmgr's scan; no reason to refuse it.
 */
bool job_announce(const struct queue_envelope *env, const struct queue_place *place);
void job_announce_end(void); /* says BYE; at exit */
