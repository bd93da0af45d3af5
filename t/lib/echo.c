/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A service for testing master and the worker skeleton: answers each line with the same line; `orphan' leaves a process
 * behind that does not mind SIGTERM. -T: SINGLE instead of threads; -X: exclusive; -R: RUN; -B when: fails on purpose
 * (start: before readiness, session: in the first session). -I login, -I root: who to run as.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
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

/* In a session of its own, out of its parent's process group: only a reaper of orphans finds it. */
static pid_t leave_orphan(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		setsid();
		signal(SIGTERM, SIG_IGN);
		for (;;)
			pause();
	}
	return pid;
}

/* What a process that was taken over would try. */
static const char *try_exec(void)
{
	char *const argv[] = { (char *)(uintptr_t) "true", NULL };
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		execv("/bin/true", argv);
		_exit(errno == EPERM ? 1 : 2);
	}
	waitpid(pid, &status, 0);
	return status == 0 ? "exec works" : WEXITSTATUS(status) == 1 ? "exec is forbidden" : "exec fails";
}

static const char *try_socket(int family)
{
	int fd = socket(family, SOCK_STREAM, 0);

	if (fd < 0)
		return "socket is forbidden";
	close(fd);
	return "socket works";
}

static void answer(struct stream *st, struct span line)
{
	if (span_is(line, "exec"))
		stream_printf(st, "%s\r\n", try_exec());
	else if (span_is(line, "inet") || span_is(line, "unix"))
		stream_printf(st, "%s\r\n", try_socket(span_is(line, "inet") ? AF_INET : AF_UNIX));
	else if (span_is(line, "orphan"))
		stream_printf(st, "orphan %d\r\n", (int)leave_orphan());
	else
		stream_printf(st, SPAN_FMT "\r\n", SPAN_ARG(line));
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
		answer(st, line);
	stream_printf(st, "bye: %s\r\n", status == IO_OK ? "quit" : io_status_str(status));
	stream_flush(st);
	stream_close(st);
}

/* RUN: logs its orders, serves nobody. */
static void run(const int *listeners, int nlisteners)
{
	struct pollfd order = { .fd = service_order_fd(), .events = POLLIN };

	(void)listeners;
	(void)nlisteners;
	log_info("running");
	while (poll(&order, 1, -1) >= 0)
		switch (service_read_order()) {
		case SERVICE_ORDER_WAKEUP:
			log_info("woken");
			break;
		case SERVICE_ORDER_DRAIN:
		case SERVICE_ORDER_STOP:
			log_info("leaving");
			return;
		case SERVICE_ORDER_NONE:
			break;
		}
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
		.option_letters = "B:I:TXR",
		.run = run,
	};

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "-T") == 0)
			s.shape = SERVICE_SINGLE;
		else if (strcmp(argv[i], "-R") == 0)
			s.shape = SERVICE_RUN;
		else if (strcmp(argv[i], "-X") == 0)
			s.exclusive = true;
		else if (strcmp(argv[i], "-Ilogin") == 0)
			s.identity = SERVICE_AS_LOGIN;
		else if (strcmp(argv[i], "-Iroot") == 0)
			s.identity = SERVICE_AS_ROOT;
	return service_main(argc, argv, &s);
}
