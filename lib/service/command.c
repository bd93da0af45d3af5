/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/io/wait.h"

/* --- the child ---------------------------------------------------------------------------------------------------- */

static void child_die(const char *what)
{
	dprintf(STDERR_FILENO, "%s: %s", what, strerrordesc_np(errno));
	_exit(EX_TEMPFAIL);
}

static void child_run(const struct command *c, int in, int out) __attribute__((noreturn));
static void child_run(const struct command *c, int in, int out)
{
	struct sigaction plain = { .sa_handler = SIG_DFL };
	sigset_t none;

	setpgid(0, 0);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
		_exit(EX_TEMPFAIL);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	for (int signo = 1; signo < NSIG; signo++)
		sigaction(signo, &plain, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(077);
	if (c->root && (chroot(c->root) < 0 || chdir("/") < 0))
		child_die(c->root);
	if (!rights_become_for_good(c->rights))
		child_die("cannot become the user");
	if (c->directory && chdir(c->directory) < 0)
		child_die(c->directory);
	execve(c->argv[0], c->argv, c->environment);
	child_die(c->argv[0]);
	_exit(EX_TEMPFAIL);
}

/* --- the parent --------------------------------------------------------------------------------------------------- */

struct running {
	pid_t pid;
	int pidfd, in, out; /* our ends, non-blocking; in is -1 when all is written or the command reads no more */
	struct span chunk;  /* being written */
	const struct command *command;
	struct buf *output;
	bool read_failed;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool start(struct running *run)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 };

	run->pidfd = run->in = run->out = -1;
	run->pid = -1;
	if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0)
		run->pid = fork();
	if (run->pid == 0)
		child_run(run->command, in[0], out[1]);
	close_fd(&in[0]);
	close_fd(&out[1]);
	run->in = in[1];
	run->out = out[0];
	if (run->pid < 0)
		return false;
	setpgid(run->pid, run->pid); /* whoever comes first, so that the group exists before it has to be killed */
	run->pidfd = pidfd_open(run->pid, 0);
	return run->pidfd >= 0 && io_set_nonblock(run->in) == 0 && io_set_nonblock(run->out) == 0;
}

/* One write; a command that stops reading early has seen what it wanted. */
static void feed(struct running *run)
{
	ssize_t n;

	if (run->chunk.len == 0 && !run->command->next(run->command->arg, &run->chunk)) {
		run->read_failed = true;
		run->chunk = SPAN_NONE;
	}
	if (run->chunk.len == 0) {
		close_fd(&run->in);
		return;
	}
	n = write(run->in, run->chunk.ptr, run->chunk.len);
	if (n > 0)
		run->chunk = span_skip(run->chunk, (size_t)n);
	else if (errno != EAGAIN && errno != EINTR)
		close_fd(&run->in);
}

static void take_output(struct running *run)
{
	char piece[4096];
	ssize_t n = read(run->out, piece, sizeof piece);

	if (n > 0)
		buf_add_span(run->output, span_head(span_of(piece, (size_t)n), COMMAND_OUTPUT_MAX - run->output->len));
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_fd(&run->out);
}

/* Feed and listen until it exits, our own reading fails, or the time is over (false). */
static bool attend(struct running *run, int64_t deadline_ms)
{
	for (;;) {
		int64_t left = deadline_ms - clock_mono_ms();
		struct pollfd fds[3] = {
			{ .fd = run->pidfd, .events = POLLIN },
			{ .fd = run->in, .events = POLLOUT },
			{ .fd = run->out, .events = POLLIN },
		};

		if (left <= 0 || run->read_failed)
			return false;
		if (poll(fds, 3, left > 60000 ? 60000 : (int)left) < 0 && errno != EINTR)
			return false;
		if (fds[2].revents)
			take_output(run);
		if (fds[0].revents) {
			while (run->out >= 0 && poll(&fds[2], 1, 0) > 0)
				take_output(run);
			return true;
		}
		if (fds[1].revents)
			feed(run);
	}
}

static void stop_running(struct running *run, bool kill_it, int *status_r)
{
	if (kill_it && kill(-run->pid, SIGKILL) < 0)
		kill(run->pid, SIGKILL);
	while (waitpid(run->pid, status_r, 0) < 0 && errno == EINTR)
		;
	close_fd(&run->pidfd);
	close_fd(&run->in);
	close_fd(&run->out);
}

enum command_end command_run(const struct command *c, int *status_r, struct buf *output)
{
	struct running run = { .command = c, .output = output };
	bool started = start(&run), ended;
	int saved = errno;

	ended = started && attend(&run, c->deadline_ms);
	if (run.pid > 0)
		stop_running(&run, !ended, status_r);
	errno = saved;
	if (!started)
		return COMMAND_NOT_STARTED;
	if (run.read_failed)
		return COMMAND_NOT_FED;
	return ended ? COMMAND_ENDED : COMMAND_TIMED_OUT;
}

struct span command_said(struct arena *a, const struct buf *output)
{
	struct span text = span_trim(buf_span(output));
	char *copy = arena_cstr(a, text);

	for (size_t i = 0; i < text.len; i++)
		if (ascii_iscntrl(copy[i]))
			copy[i] = ' ';
	return span_of(copy, text.len);
}
