/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * master.cf: which services run. Columns as in Postfix's master(5): service type private unpriv chroot wakeup maxproc
 * command + args; `-' is the default; a line that begins with white space continues the one before.
 * Types: inet (TCP: "smtp", "2025", "127.0.0.1:smtp", "[::1]:25"), unix (SOCK_SEQPACKET frames, internal),
 * unix-stream (SOCK_STREAM, for sendmail(1) and LMTP clients).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/conf/conf.h"

enum { MASTERCF_MAXPROC_DEFAULT = -1 };

enum mastercf_type { MASTERCF_INET, MASTERCF_UNIX, MASTERCF_UNIX_STREAM };

struct mastercf_service {
	const char *name; /* "smtp", "127.0.0.1:2025" */
	enum mastercf_type type;
	bool is_private; /* unix: private/NAME, else public/NAME */
	bool unpriv, chroot;
	int wakeup_s;        /* 0: never */
	bool wakeup_if_used; /* "60?" */
	int maxproc;         /* 0: no limit */
	const char *program; /* "smtpd" */
	const char **args;   /* other than -o; nargs */
	size_t nargs;
	const char **overrides; /* "name=value" of each -o; noverrides */
	size_t noverrides;
	int line;
};

struct mastercf {
	struct mastercf_service *services;
	size_t count;
};

/* Read dir/master.cf into a. Errors as in conf_load. maxproc `-' is conf's default_process_limit (100 before conf is
 * set). */
enum conf_status mastercf_load(const char *dir, struct arena *a, struct mastercf *out, struct buf *messages)
    __attribute__((warn_unused_result));
/* The same from text; file: the name for messages. False: messages has errors. Pure: maxproc `-' stays
 * MASTERCF_MAXPROC_DEFAULT. */
bool mastercf_parse(const char *file, struct span text, struct arena *a, struct mastercf *out, struct buf *messages)
    __attribute__((warn_unused_result));
/* Postfix's error and discard: no program is run for them, qmgr does it (qmgr/settled.c). */
bool mastercf_is_settled(const struct mastercf_service *s);
const char *mastercf_type_str(enum mastercf_type type); /* as written: "inet", "unix", "unix-stream" */
