/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A mailbox server without mailboxes, for tests of the way to it: master.cf runs it in the place of imapd. A session is greeted
 * with what was handed over, then every line comes back; "quit" ends the session, "crash" the process,
 * "log" writes a line to the log.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/service/handover.h"
#include "lib/service/service.h"

static void greet(struct stream *io, const struct handover_session *s)
{
	char remote[NETADDR_TEXT_MAX];
	char cwd[4096], groups[256] = "";
	gid_t list[16];
	int n = getgroups(16, list);

	for (int i = 0; i < n; i++)
		snprintf(groups + strlen(groups), sizeof groups - strlen(groups), "%s%d", i ? "," : "", (int)list[i]);
	if (getcwd(cwd, sizeof cwd) == NULL)
		snprintf(cwd, sizeof cwd, "?");
	stream_printf(io, "%.*s OK user=%.*s uid=%d gid=%d groups=%s pid=%d home=%s ", SPAN_ARG(s->tag), SPAN_ARG(s->user.name),
		      (int)getuid(), (int)getgid(), groups, (int)getpid(), cwd);
	stream_printf(io, "method=%.*s rip=%s secured=%d input=%zu session=%.*s\r\n", SPAN_ARG(s->mechanism),
		      netaddr_text(&s->remote, remote), s->secured, s->input.len, SPAN_ARG(s->session_id));
}

static void serve(const struct handover_session *s, int fd)
{
	struct stream *io = stream_open(fd);
	enum io_status st = stream_unread(io, s->input) ? IO_OK : IO_ERROR;
	struct span line;

	greet(io, s);
	while (st == IO_OK && (st = stream_line(io, 1000, &line, NULL)) == IO_OK) {
		if (span_is(line, "quit"))
			break;
		if (span_is(line, "log"))
			log_info("a line of the user's process");
		if (span_is(line, "crash")) {
			signal(SIGSEGV, SIG_DFL); /* a sanitizer would make an exit of it */
			raise(SIGSEGV);
		}
		stream_printf(io, "echo %.*s\r\n", SPAN_ARG(line));
	}
	stream_puts(io, st == IO_STOPPING ? "* BYE stopping\r\n" : "* BYE\r\n");
	if (stream_flush(io) != IO_OK)
		st = IO_ERROR;
	stream_close(io);
}

static void run(const int *listeners, int nlisteners)
{
	static const struct userproc up = { .protocol = "imap", .serve = serve, .one_process_per_user = true };

	userproc_run(listeners, nlisteners, &up);
}

int main(int argc, char **argv)
{
	static const struct service s = { .program = "userecho", .shape = SERVICE_RUN, .identity = SERVICE_AS_ROOT, .run = run };

	return service_main(argc, argv, &s);
}
