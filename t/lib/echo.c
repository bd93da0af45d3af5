/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A service for testing master and the worker skeleton: answers each line with the same line. -T: SINGLE instead of threads;
 * -B when: fails on purpose (start: before readiness, session: in the first session). -I login, -I root: who to run as.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/service/service.h"

static const char *fail_when = "";

static void option(const char *name, const char *value)
{
	if (name[0] == 'B')
		fail_when = value;
}

static void after_jail(void)
{
	if (strcmp(fail_when, "start") == 0)
		log_fatal("told to fail");
}

static void session(const struct service_session *s)
{
	struct stream *st = stream_open(s->fd);
	enum io_status status;
	struct span line;

	stream_set_timeout(st, 60000);
	stream_printf(st, "hello from %d\r\n", (int)getpid());
	if (strcmp(fail_when, "session") == 0)
		abort();
	while ((status = stream_line(st, 1000, &line, NULL)) == IO_OK && !span_is(line, "quit"))
		stream_printf(st, SPAN_FMT "\r\n", SPAN_ARG(line));
	stream_printf(st, "bye: %s\r\n", status == IO_OK ? "quit" : io_status_str(status));
	stream_flush(st);
	stream_close(st);
}

int main(int argc, char **argv)
{
	struct service s = {
		.program = "echo",
		.shape = SERVICE_THREADS,
		.identity = SERVICE_AS_MAIL_OWNER,
		.option = option,
		.after_jail = after_jail,
		.session = session,
		.option_letters = "B:I:T",
	};

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "-T") == 0)
			s.shape = SERVICE_SINGLE;
		else if (strcmp(argv[i], "-Ilogin") == 0)
			s.identity = SERVICE_AS_LOGIN;
		else if (strcmp(argv[i], "-Iroot") == 0)
			s.identity = SERVICE_AS_ROOT;
	return service_main(argc, argv, &s);
}
