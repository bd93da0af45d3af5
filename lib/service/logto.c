/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/logto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "lib/base/log.h"

bool logto_facility(const char *name, int *facility_r)
{
	static const struct {
		const char *name;
		int value;
	} known[] = {
		{ "mail", LOG_MAIL },         { "daemon", LOG_DAEMON }, { "auth", LOG_AUTH },
		{ "authpriv", LOG_AUTHPRIV }, { "user", LOG_USER },     { "local0", LOG_LOCAL0 },
		{ "local1", LOG_LOCAL1 },     { "local2", LOG_LOCAL2 }, { "local3", LOG_LOCAL3 },
		{ "local4", LOG_LOCAL4 },     { "local5", LOG_LOCAL5 }, { "local6", LOG_LOCAL6 },
		{ "local7", LOG_LOCAL7 },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(name, known[i].name) == 0) {
			*facility_r = known[i].value;
			return true;
		}
	return false;
}

int logto_open_file(const struct conf *c)
{
	if (c->maillog_file[0] == '\0') {
		errno = 0;
		return -1;
	}
	if (strcmp(c->maillog_file, "/dev/stdout") == 0) /* it may be a socket, which cannot be opened by name */
		return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	return open(c->maillog_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

void logto_use(const struct conf *c, const char *program, int fd)
{
	char tag[128];
	int facility = LOG_MAIL;

	snprintf(tag, sizeof tag, "%s/%s", c->syslog_name, program);
	if (!logto_facility(c->syslog_facility, &facility))
		log_warn("syslog_facility: no facility is called %s; using mail", c->syslog_facility);
	if (c->maillog_file[0] && fd >= 0)
		log_open(tag, LOG_TO_FD, fd, facility);
	else
		log_open(tag, LOG_TO_SYSLOG, -1, facility);
}
