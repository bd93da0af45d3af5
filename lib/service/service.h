/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The skeleton of every program that master runs: options, descriptors, configuration, log, privilege drop, readiness, accept,
 * sessions, drain and exit. main() fills in a struct service and returns service_main().
 *
 * Working directory: queue_directory. Descriptors from master: SERVICE_FD_*. Command line: PROGRAM -n SERVICE_NAME -c CONFIG_DIR
 * -g GENERATION [-r] [-s LISTENERS] [-o name=value]... [program's own arguments]. -r: chroot to queue_directory (the chroot
 * column of master.cf). Own option letters must not be among n c g r s o.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/io/netaddr.h"
#include "lib/io/stream.h"

enum {
	SERVICE_FD_MASTER = 3, /* SOCK_SEQPACKET to master: state changes up, orders down; end of file = master is gone */
	SERVICE_FD_BOARD = 4,  /* memfd: the score board, one slot per worker */
	SERVICE_FD_LOG = 5,    /* log file or standard output, when the log is not syslog */
	SERVICE_FD_LISTEN = 6, /* first listening socket */
};

enum service_identity {
	SERVICE_AS_MAIL_OWNER, /* mail_owner */
	SERVICE_AS_LOGIN,      /* default_login_user, chroot to queue_directory/login */
	SERVICE_AS_ROOT,       /* stays root: local, auth, the parents of imapd and pop3d */
};

enum service_shape {
	SERVICE_THREADS, /* one thread per session, up to conf->sessions at a time */
	SERVICE_SINGLE,  /* one session at a time, in the main thread: local, auth, bounce */
	SERVICE_RUN,     /* run() is called once and owns the process: qmgr, the parents of imapd and pop3d */
};

struct service_session {
	int fd;                /* accepted socket, non-blocking; the session closes it (e.g. by stream_close) */
	struct netaddr peer;   /* client; family AF_UNIX for a local one */
	struct netaddr local;  /* our end */
	int listener;          /* which listening socket, from 0 */
};

struct service {
	const char *program;           /* "smtpd" */
	enum service_shape shape;
	enum service_identity identity;
	/* Hooks, in this order; each may be NULL. */
	void (*option)(const char *name, const char *value);  /* an own argument "-x value" of master.cf: name "x" */
	void (*before_jail)(void);     /* still root, main thread: open what needs the file system */
	void (*after_jail)(void);      /* dropped; main thread; before readiness is reported */
	void (*session)(const struct service_session *s);     /* THREADS, SINGLE */
	void (*run)(const int *listeners, int nlisteners);    /* RUN: return to exit */
	int64_t (*tick)(void);         /* THREADS: main thread, now and then; returns when to be called next (clock_mono_ms) */
	void (*at_exit)(void);         /* last sessions are over */
	void (*words)(char *const *words, size_t n); /* own arguments that are no options; from the first on, all are words */
	const char *option_letters;    /* getopt letters of own options, e.g. "P:" */
	size_t stack_bytes;            /* of a session thread; 0: 128 KiB */
	bool exclusive;                /* never two of them: start-up waits until the one before has left (qmgr) */
};

int service_main(int argc, char **argv, const struct service *s);

const char *service_name(void);   /* of master.cf: "smtp", "submission" */
bool service_chrooted(void);      /* or will be, by the chroot column of master.cf */
bool service_stopping(void);      /* stop was ordered (or master is gone): end soon */
bool service_draining(void);      /* a reload was ordered: take no new sessions, finish the running ones */

/*
 * The last call of a session that is to wait for long and needs no thread for that; in a worker of THREADS and in a process of
 * userproc_run. True: return at once. When fd (in place of which an epoll set may stand) is readable, when deadline_ms has passed
 * (CLOCK_NEVER: none) or when the process is to stop, go_on(arg) runs in another thread as the session; it may also come for none
 * of these reasons, and may park again. False: not here, wait in place.
 */
bool service_park(int fd, int64_t deadline_ms, void (*go_on)(void *arg), void *arg) __attribute__((warn_unused_result));

/*
 * For a session that serves request after request on one connection (of qmgr): wait for the next. IO_OK: there is input or the
 * end of it; IO_STOPPING: this worker is to leave (stop, or drain after a reload or restart) and nothing has come: close.
 */
enum io_status service_wait_request(int fd, int64_t deadline_ms);

/* Frame connection to another service: "private/local", "public/qmgr", relative to queue_directory. -1 and errno.
 * From login, in its jail, only "private/auth" (any directory part is dropped). */
int service_connect(const char *path, int64_t deadline_ms);

/* RUN programs: tell master how busy this worker is; pollable descriptor for master's orders; handle one order when readable. */
void service_set_busy(uint32_t busy_sessions, uint32_t total_sessions_delta);
int service_order_fd(void);
enum service_order { SERVICE_ORDER_NONE, SERVICE_ORDER_DRAIN, SERVICE_ORDER_STOP, SERVICE_ORDER_WAKEUP };
enum service_order service_read_order(void); /* end of file reads as STOP */
