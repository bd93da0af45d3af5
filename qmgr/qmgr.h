/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmgr's memory: a cache of what is on disk, rebuilt by a scan at any time. One thread, one event loop.
 *
 *	message  one queue file. Asleep it is a few hundred bytes and a timer; awake it has its envelope and its tasks.
 *	task     the recipients of one awake message that go to one destination, or one notice to be written
 *	dest     a destination: (transport, next hop), or for local mail the recipient. Holds tasks in turn, knows whether
 *	         the site is down, and which sleeping messages wait for it
 *	transport a service of master.cf (smtp, local, bounce): its agents, and the destinations that have work
 *	agent    one connection to a worker: a delivery slot
 *
 *	message state      on disk it is                      what ends it
 *	ASLEEP             whole, some recipients pending     timer, site back, flush: -> AWAKE
 *	HELD               the same, with HOLD in its journal  release: -> ASLEEP, due at once
 *	AWAKE              the same                            all tasks done -> ASLEEP, or removed
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/htab.h"
#include "lib/base/list.h"
#include "lib/io/loop.h"
#include "lib/queue/job.h"

struct dest;
struct transport;
struct agent;
struct summary;

/* See ready.c. */
enum ready_line { READY_NEW, READY_PROMPT, READY_PATIENT };

enum message_state { MESSAGE_ASLEEP, MESSAGE_HELD, MESSAGE_AWAKE };

struct message {
	char id[QUEUE_ID_MAX];
	struct queue_place place;
	struct awake *awake;        /* NULL when not awake */
	struct summary *summary;    /* asleep or held: what a listing says of it; NULL: to be read from disk */
	enum message_state state;
	bool reread;                /* changed on disk while awake: look again when its tasks are done */
	bool flush;                 /* every recipient is due at the next wake, whatever its pause */
	bool released;              /* a site it waited for is back */
	enum ready_line line;       /* that it stands in, or came from when it was woken */
	bool looked_at;             /* since it was found or changed: what is tried again yields to new mail */
	bool fresh;                 /* never attempted: wake without a pause */
	bool found;                 /* by the scan, or it could have been: an agent of before may have delivered it */
	bool kept;                  /* delivered by an agent that ended before it had made it durable */
	uint8_t crashes;            /* agents that died over it */
	struct loop_timer timer;    /* next wake */
	struct list_node in_ready;  /* on the list of those that wait for a place among the awake */
	struct list_node in_unsettled; /* asleep, to be moved out of the log */
	struct list waits;          /* struct wait: the sites that its recipients wait for */
};

struct wait {
	struct list_node in_message, in_dest;
	struct message *message;
	struct dest *dest;
};

/* What an awake message has besides. */
struct awake {
	struct arena arena;          /* envelope, tasks */
	struct queue_envelope env;
	int64_t active_us;           /* wall */
	unsigned tasks;              /* not finished yet */
	bool again;                  /* struct job_message */
	bool removed;                /* its worker delivered the last recipient and removed the file */
	bool notice_failed;          /* a notice could not be written in this round */
	bool reasons_unknown;        /* env lacks some: they are in the journal alone */
};

struct task {
	struct list_node in_dest;    /* in turn, or with an agent */
	struct message *message;
	struct dest *dest;
	enum job_kind kind;
	uint32_t *rcpts;             /* indexes in the envelope */
	uint32_t nrcpts, room;
	uint32_t next;               /* the first that was not handed out yet */
	uint32_t in_flight;          /* handed out, not answered */
};

enum dest_state { DEST_UP, DEST_DOWN };

struct dest {
	struct transport *transport;
	struct span key;             /* in the transport's table */
	struct span nexthop;         /* what the agent is told */
	enum dest_state state;
	struct list tasks;           /* with recipients to hand out, in turn */
	struct list retries;         /* the same, of messages that yield to new mail */
	struct list_node in_yielding; /* has retries alone, and they must wait for new mail (ready.c) */
	unsigned ntasks;             /* on both lists */
	unsigned owed;               /* ready_turn_of_retry */
	struct list_node in_ready;   /* on its transport's list: has tasks, is up, has room */
	unsigned window, busy;       /* agents allowed, agents at work */
	struct agent *home;          /* a mailbox: the agent that knows it best, because it had it last */
	struct list_node at_home;    /* agent.at_home */
	struct list waiters;         /* struct wait */
	struct task *newest;         /* of the message sorted last (see mark) */
	uint64_t mark;
	struct loop_timer probe;     /* DOWN: next look at the site; UP and unused: forget it */
	unsigned probes;
	bool probing;
	int64_t probed_ms;           /* when the last one began */
	int64_t down_since_ms;
	int64_t rest_until_ms;       /* <transport>_destination_rate_delay: no job before */
	int64_t gather_until_ms;     /* a mailbox rests longer while letters for it go on coming, but not longer than this */
	unsigned gathered;           /* tasks when that was last looked at */
	struct loop_timer rest;
	int64_t recovered_us;        /* wall time of the last return from DOWN */
	char reason[QUEUE_REASON_MAX + 1];
};

struct transport {
	char name[64];
	struct htab dests;
	struct list ready;           /* dests */
	struct list idle_agents;
	unsigned agents, agents_max;
	unsigned batch;              /* messages in one job */
	unsigned rcpt_limit, dest_limit, initial;
	int64_t gather_ms;           /* mailbox_batch_delay */
	int64_t dest_delay_ms, delay_ms; /* pauses after each delivery: to one destination, of the transport */
	int64_t rest_until_ms;
	unsigned busy;               /* agents at work */
	struct loop_timer rest;
	bool down;                   /* its socket cannot be connected */
	unsigned failures;
	struct loop_timer retry;
};

extern struct loop *qmgr_loop;

/* --- message.c --- */
struct message *message_find(struct span id);
/* Known from NEW (env given: woken at once) or from the scan (env NULL: read from disk). NULL when it is known already. */
struct message *message_add(const char *id, const struct queue_place *place, const struct queue_envelope *env);
void message_wake_now(struct message *m, bool flush);
void message_changed(struct message *m);
void message_task_done(struct task *t);
/* One recipient of a task was dealt with: what an agent reported. reason: of a failure; empty: not known here. */
void message_outcome(struct message *m, uint32_t rcpt, enum verdict_class class, struct span reason);
bool message_is_probe(const struct message *m); /* while awake */
/* Delivered to a server that tells the sender itself, when the sender asked for that. */
void message_passed_on(struct message *m, uint32_t rcpt);
/* qmgr itself decides that a recipient is deferred (site down) or bounced: logged and journaled here. */
void message_verdict(struct message *m, uint32_t rcpt, struct verdict v);
/* The same, written down at once in any case: an attempt was made, or none will be. It may be OK, too. */
void message_settle(struct message *m, uint32_t rcpt, struct verdict v);
void message_notice_failed(struct message *m);
void message_wake(struct message *m); /* now; from the line of those that are ready */
void message_each(void (*each)(struct span id, void *message, void *arg), void *arg);
void message_flush_all(void);  /* bit by bit, in message_flush_some */
bool message_flush_some(void); /* true: call again */
void message_settle_some(void);
bool message_unsettled(void);
size_t message_count(void);
size_t message_awake_count(void);
size_t message_old_count(void); /* of these, those that were not in the line of new mail */
bool message_too_many_probes(void); /* more are awake than address_verify_pending_request_limit */

/* --- ready.c --- */
void ready_add(struct message *m, enum ready_line line); /* asleep; it stays in the better line */
bool ready_place_for_new(void); /* may what is announced now be woken at once? */
bool ready_new_waits(void); /* there is new mail without a place */
void ready_count_new(void);
bool ready_may_retry(void); /* may one of those that yield be handed out now? */
void ready_count_retry(void);
/* Something that yields and something that does not wait for the same: whose turn is it? owed: of the former, 0 at first. */
bool ready_turn_of_retry(unsigned *owed);
void ready_yield(struct dest *d); /* dest_update_ready is called for it when one may */
bool ready_pump(void); /* wake some of those that are ready, as far as qmgr_message_active_limit allows; true: call again */

/* --- summary.c --- */
/* NULL: too long, or summaries take enough memory already. */
struct summary *summary_make(const struct queue_envelope *env);
void summary_free(struct summary *s); /* NULL: nothing */
/* What a listing shows, all but the id: the recipients that are not done with. Arrays in a, strings in s. */
void summary_get(const struct summary *s, struct arena *a, struct queue_envelope *env_r);

/* --- kept.c --- */
struct kept_list { /* of one agent */
	struct list ids;
	unsigned n;
};

void kept_add(struct kept_list *l, const char *id); /* the agent has delivered it, and removes it later */
void kept_release(struct kept_list *l);             /* the agent is gone */
bool kept_by_agent(const char *id);                 /* one that lives: not to be handed out */
bool kept_take(const char *id);                     /* was it by one that is gone? Asked once. */
void kept_drop(const char *id);

/* --- dest.c --- */
struct dest *dest_get(struct transport *t, struct span key, struct span nexthop);
void dest_add_task(struct dest *d, struct task *t);
/* The task whose turn it is, taken off the list; NULL when there is none. Given back when it has more: first, or at the end. */
struct task *dest_take_task(struct dest *d);
void dest_give_back_task(struct dest *d, struct task *t, bool first);
/* After a delivery: for its rate delay, or to gather a batch. Its timer calls dest_update_ready. */
bool dest_rests(struct dest *d);
void dest_update_ready(struct dest *d);
bool dest_has_turn(const struct dest *d); /* a task that dest_take_task gives */
void dest_succeeded(struct dest *d);
void dest_failed(struct dest *d, struct span reason);
void dest_wait(struct dest *d, struct message *m);
void dest_probe_result(struct dest *d, bool down, struct span reason);
void dest_probe_now(struct dest *d);
bool dest_probe_is_long(const struct dest *d); /* the one that is due */
/* Its tasks cannot be handed out now: give them back, deferred with this reason. */
void dest_suspend_tasks(struct dest *d);
void dest_release_waiters(struct dest *d);

/* --- transport.c --- */
struct transport *transport_get(struct span name);
/* Its socket could not be connected for so long that its mail sleeps until it can be: it would fill the places of the awake. */
bool transport_unavailable(const struct transport *t);
void transport_run(struct transport *t); /* hand out work as far as agents and destinations allow */
void transport_run_all(void);
void transport_probe(struct transport *t, struct dest *d);
void transport_each(void (*each)(struct span name, void *transport, void *arg), void *arg);

/* --- services.c --- */
void services_read(void); /* before the jail */
const char *services_settles(const char *transport); /* "error", "retry", "discard"; NULL: mail goes to an agent */
bool services_runs(const char *transport, const char *program); /* without a line in master.cf: by its name */
unsigned services_agents(const char *transport, unsigned limit); /* at most limit */

/* --- scan.c --- */
void scan_start(int64_t delay_ms); /* look for messages that are not known; merges with a scan that is due */
bool scan_complete(void);          /* what is on disk is in memory, or was announced since */
bool scan_may_have_found(const char *id); /* what is announced only now */
bool scan_step(void);              /* some more of a running scan; false when none is running */

/* --- intake.c --- */
void intake_listen(int listener);

/* --- control.c --- */
/* Answer on fd; argument as in struct job_control. privileged: the peer is root or mail_owner. */
/* False: the connection is another process's now and to be closed here; if that does not come to the end, the client sees it. */
bool control_request(int fd, const struct job_control *c, bool privileged);
