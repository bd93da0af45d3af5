/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: one line per call, one write or datagram per line, in Postfix's shape:
 *
 *	Mon dd hh:mm:ss host posthouse/smtpd[123]: text        (file, standard output)
 *	<22>Mon dd hh:mm:ss posthouse/smtpd[123]: text         (syslog datagram to /dev/log)
 *
 * The whole text passes one escaper: control bytes and bytes that are not part of well-formed UTF-8 become `?', so
 * nothing that came from outside can end a line or speak to a terminal. Lines end at LOG_LINE_MAX bytes.
 * Safe from any thread. Before log_open everything goes to standard error.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { LOG_LINE_MAX = 2048 };

enum log_level { LOG_LV_DEBUG, LOG_LV_INFO, LOG_LV_WARN, LOG_LV_ERROR, LOG_LV_FATAL };

enum log_to {
	LOG_TO_STDERR, /* commands: "name: text", without a date */
	LOG_TO_FD,     /* file or standard output, full prefix; fd opened by the caller with O_APPEND */
	LOG_TO_SYSLOG, /* datagrams to /dev/log, connected here so that a later chroot does not matter */
};

/* tag: "posthouse/smtpd", copied. fd: for LOG_TO_FD, borrowed for the life of the process. facility: <syslog.h> value. */
void log_open(const char *tag, enum log_to to, int fd, int facility);
void log_set_tag(const char *tag);
int log_fd(void); /* what lines go to, so that a fork that closes everything else can keep it; -1: none */
void log_set_debug(bool on); /* debug lines are dropped unless on */
/* Another program's line, forwarded under its own tag (login lines of POP3 and IMAP: "imap-login"). */
void log_as(const char *tag, enum log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));  /* "warning: ..." */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* "error: ..." */
/* "fatal: ..." and exit(1): a configuration or environment that the process cannot run in. */
void log_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn, cold));
/* "panic: ..." and abort(): a bug. */
void log_panic(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn, cold));

/*
 * Gather this thread's lines and write them together: at log_release, or when 4 KiB are full. For a stretch of work that logs
 * several lines and does not wait for anybody. A process that is killed meanwhile takes them along.
 */
void log_hold(void);
void log_release(void);

/* The escaper, for the few who need it outside a log line: in place, returns the new length (never longer). */
size_t log_escape(char *text, size_t len);
