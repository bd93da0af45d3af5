/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the log goes, by the configuration: syslog_name, syslog_facility, maillog_file. */
#pragma once
#include <stdbool.h>

#include "lib/conf/conf.h"

/*
 * Open what maillog_file names: a close-on-exec descriptor for appending (a copy of standard output for /dev/stdout),
 * or -1: errno 0 means that the log is syslog.
 */
int logto_open_file(const struct conf *c);
/* Log from here on as "syslog_name/program": to fd when maillog_file is set, else to syslog. */
void logto_use(const struct conf *c, const char *program, int fd);
/* LOG_MAIL for "mail" and so on; false for a name that syslog does not know. */
bool logto_facility(const char *name, int *facility_r);
