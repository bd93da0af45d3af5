/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The supervisor. Everything it knows hangs off one struct: services of master.cf, their listening sockets, their
 *children.
 *
 *	service.c   when is a child started, what when it dies
 *	child.c     starting one, notes from it, orders to it
 *	listen.c    the pool of listening sockets
 *	reload.c    reading the configuration and changing over to it
 *	stop.c      the end: orders, signals, adopted orphans
 *	tls.c       certificates for the programs that may not read them, ticket keys
 *	control.c   requests of posthouse(1)
 *	notify.c    systemd
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/list.h"
#include "lib/conf/mastercf.h"
#include "lib/io/loop.h"
#include "lib/service/backoff.h"
#include "lib/service/endpoint.h"
#include "lib/service/link.h"

struct service_state;

struct listener {
	struct list_node node;     /* master.listeners */
	struct loop_source source; /* watched while the service has no room and may grow */
	struct endpoint at;
	struct service_state *service; /* NULL: inherited from systemd and not asked for yet */
	bool wanted;                   /* while reloading: in the new configuration */
	bool fresh;                    /* while reloading: opened for it */
	bool suspended;                /* while reloading: shut down because a new one needs its port */
};

struct child {
	struct list_node node;   /* service_state.children */
	struct loop_source link; /* SERVICE_FD_MASTER of the child */
	struct service_state *service;
	struct board *board;
	pid_t pid;
	unsigned generation;
	int64_t started_ms;
	bool ready, full;
	bool draining; /* of an old generation, or leaving by itself: takes no new sessions */
};

struct service_state {
	struct list_node node;                /* master.services */
	const struct mastercf_service *entry; /* in the arena of the current configuration */
	char *name;
	enum mastercf_type type;
	struct listener **listeners;
	size_t nlisteners;
	struct list children;
	unsigned generation;
	bool retired; /* no longer in master.cf: goes with its last child */
	bool used;    /* a child was started once; for wakeup "60?" */
	struct backoff backoff;
	struct loop_timer throttle, wakeup, stress;
	bool throttled;
	bool stressed;           /* its children were told so */
	int64_t stress_warn_ms;  /* not before: one warning is enough */
	uint32_t restarts;
	uint64_t total_gone; /* sessions of children that are gone */
};

enum master_phase { MASTER_RUNNING, MASTER_STOPPING, MASTER_KILLING };

struct master {
	struct loop *loop;
	const char *config_dir; /* absolute */
	struct arena arena;     /* of the configuration in use */
	struct list services, listeners;
	unsigned generation;
	enum master_phase phase;
	int log_fd; /* -1: syslog */
	int lock_fd;
	bool foreground;
};
extern struct master master;

/* service.c */
struct service_state *service_find(const char *name, enum mastercf_type type);
void service_settle(struct service_state *s); /* watch its listeners or not, as its children allow */
void service_replace(struct service_state *s); /* one is leaving that was busy: do not wait for somebody to wait */
void service_listener_ready(struct loop_source *src, uint32_t events);
void service_child_ended(struct child *c, int status);
void service_set_wakeup(struct service_state *s, bool now);
unsigned service_count(const struct service_state *s, bool draining);
void service_greet(struct service_state *s, struct child *c); /* what a new child must know beside its command line */
void service_forget(struct service_state *s); /* without children and listeners: free it */

/* child.c */
struct child *child_start(struct service_state *s); /* NULL: logged why */
struct child *child_by_pid(pid_t pid);
void child_order(struct child *c, enum link_order order, int fd);
void child_drain(struct child *c);
void child_free(struct child *c);
void child_each(void (*each)(struct child *c, void *arg), void *arg);
void children_reap(void);

/* listen.c: all false/NULL results come with an "error: " line in messages */
void listen_inherit(void); /* sockets from systemd */
bool listen_claim(const struct endpoint *e, const struct mastercf_service *s,
		  struct buf *messages);                                                            /* if it is there */
bool listen_open(const struct endpoint *e, const struct mastercf_service *s, struct buf *messages); /* if it is not */
struct listener *listen_lookup(const struct endpoint *e);
void listen_begin(void);
void listen_commit(void); /* close what is no longer wanted */
void listen_rollback(void);
void listen_close_all(void);

/* reload.c */
bool config_start(struct buf *messages);  /* the first time */
bool config_reload(struct buf *messages); /* false: the old configuration stays */
void config_restart_service(struct service_state *s);
bool log_reopen(void); /* by the configuration: file, standard output or syslog */
void log_problems(const struct buf *messages);
bool log_rotate(void); /* the same, and give it to all children */

/* tls.c */
void tls_prepare(void); /* a configuration is in use: make what its programs need, and watch the files */
void tls_set_missing(const char *names); /* services that are not run therefore */
void tls_log_missing(void);
bool tls_is_missing(const struct mastercf_service *s); /* it is all about TLS, and there is no certificate */

/* stop.c */
void stop_begin(const char *why);
void stop_now(void);
void stop_check(void); /* after a death: is everybody gone? */

/* control.c */
void control_open(void);
void control_close(void);

/* notify.c */
void notify_init(void);
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
