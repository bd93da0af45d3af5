/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * |commands and mailbox_command: run with the right user's rights, in an environment made from scratch, with the letter
 * on standard input. The command line is the administrator's or the user's own text; what comes from outside reaches
 * the command only through the environment, reduced to harmless characters. Whatever still runs when the time is over
 * is killed with its whole process group.
 */
#include "local/local.h"

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
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/wait.h"
#include "lib/proto/addr.h"
#include "lib/proto/date.h"
#include "lib/proto/dsn.h"

enum { OUTPUT_MAX = 700, ENVIRONMENT_MAX = 64, ARGUMENTS_MAX = 100 };

/* --- environment -------------------------------------------------------------------------------------------------- */

struct environment {
	struct arena *a;
	char *items[ENVIRONMENT_MAX + 1];
	size_t count;
};

static void put_trusted(struct environment *e, const char *name, const char *value)
{
	if (e->count < ENVIRONMENT_MAX && value)
		e->items[e->count++] = arena_printf(e->a, "%s=%s", name, value);
}

/* A value from outside: what is not on the list of harmless characters becomes an underscore. */
static void put_foreign(struct environment *e, const char *name, struct span value)
{
	char *text = arena_cstr(e->a, value);

	for (size_t i = 0; i < value.len; i++)
		if (!expand_char_safe(text[i]))
			text[i] = '_';
	put_trusted(e, name, text);
}

/* export_environment: NAME keeps ours, NAME=value sets it. */
static void put_exported(struct environment *e)
{
	struct span rest = span_cstr(conf->export_environment), word;

	while (span_word(&rest, ", \t\r\n", &word)) {
		struct span name = word;
		const char *value;

		name = span_cut(&name, '=');
		value = name.len < word.len ? arena_cstr(e->a, span_skip(word, name.len + 1))
					    : getenv(arena_cstr(e->a, name));
		put_trusted(e, arena_cstr(e->a, name), value);
	}
}

/* "name[1.2.3.4]" of the envelope. */
static void put_client(struct environment *e, struct span client)
{
	struct span address = client, name = span_cut(&address, '[');

	put_foreign(e, "CLIENT_HOSTNAME", name);
	put_foreign(e, "CLIENT_ADDRESS", span_cut(&address, ']'));
}

static void make_environment(struct environment *e, const struct letter *l, const struct job_rcpt *r,
			     const struct action *act)
{
	struct addr to = addr_split(act->address);
	const struct queue_envelope *env = queue_envelope(l->message);
	const char *user = act->user.len > 0 ? arena_cstr(e->a, act->user) : act->rights.name;
	struct span base, ext = act->ext;

	if (ext.len == 0)
		(void)addr_split_ext(to.local, span_cstr(conf->recipient_delimiter), &base, &ext);
	put_exported(e);
	put_trusted(e, "PATH", "/usr/bin:/bin");
	put_trusted(e, "HOME", act->rights.home);
	put_trusted(e, "SHELL", act->rights.shell);
	put_trusted(e, "USER", user);
	put_trusted(e, "LOGNAME", user);
	put_foreign(e, "SENDER", act->sender.ptr ? act->sender : l->m->sender);
	put_foreign(e, "RECIPIENT", act->address);
	put_foreign(e, "ORIGINAL_RECIPIENT", r->original.len > 0 ? r->original : r->address);
	put_foreign(e, "LOCAL", to.local);
	put_foreign(e, "DOMAIN", to.domain);
	put_foreign(e, "EXTENSION", ext);
	put_foreign(e, "ENVID", l->m->envid);
	put_client(e, env->client);
	put_foreign(e, "SASL_USERNAME", env->sasl_user);
}

/* --- the child ---------------------------------------------------------------------------------------------------- */

/* A line of plain words that begins with a path is run without a shell. */
static bool needs_shell(const char *command)
{
	if (command[0] != '/')
		return true;
	for (const char *p = command; *p; p++)
		if (!ascii_isalnum(*p) && !strchr(" \t-_=+:,./@%", *p))
			return true;
	return false;
}

static void split_words(struct arena *a, const char *command, char *argv[ARGUMENTS_MAX + 1])
{
	struct span rest = span_cstr(command), word;
	size_t n = 0;

	while (n < ARGUMENTS_MAX && span_word(&rest, " \t", &word))
		argv[n++] = arena_cstr(a, word);
	argv[n] = NULL;
}

struct child {
	const char *directory; /* NULL: stay */
	char *argv[ARGUMENTS_MAX + 1];
	char **environment;
	struct rights rights;
	int in, out; /* its ends of the pipes */
};

static void child_die(const char *what)
{
	dprintf(STDERR_FILENO, "%s: %s", what, strerrordesc_np(errno));
	_exit(EX_TEMPFAIL);
}

static void child_run(const struct child *c) __attribute__((noreturn));
static void child_run(const struct child *c)
{
	struct sigaction plain = { .sa_handler = SIG_DFL };
	sigset_t none;

	setpgid(0, 0);
	if (dup2(c->in, STDIN_FILENO) < 0 || dup2(c->out, STDOUT_FILENO) < 0 || dup2(c->out, STDERR_FILENO) < 0)
		_exit(EX_TEMPFAIL);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	for (int signo = 1; signo < NSIG; signo++)
		sigaction(signo, &plain, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(077);
	if (!rights_become_for_good(&c->rights))
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
	struct span head;   /* From_ line and trace headers, then the content */
	struct span chunk;  /* being written */
	struct letter *letter;
	struct buf output; /* its first OUTPUT_MAX bytes */
	bool read_failed;  /* our own reading of the queue file */
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool start(struct running *run, struct child *child)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 };

	run->pidfd = run->in = run->out = -1;
	run->pid = -1;
	if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0) {
		child->in = in[0];
		child->out = out[1];
		run->pid = fork();
	}
	if (run->pid == 0)
		child_run(child);
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

	if (run->chunk.len == 0) {
		if (run->head.len > 0) {
			run->chunk = run->head;
			run->head = SPAN_NONE;
		} else if (!letter_next(run->letter, &run->chunk)) {
			run->read_failed = true;
			run->chunk = SPAN_NONE;
		}
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
		buf_add_span(&run->output, span_head(span_of(piece, (size_t)n), OUTPUT_MAX - run->output.len));
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

/* What the command said, on one line, for the reason. */
static const char *output_text(struct arena *a, struct running *run)
{
	struct span text = span_trim(buf_span(&run->output));
	char *copy;

	if (text.len == 0)
		return "";
	copy = arena_cstr(a, text);
	for (size_t i = 0; i < text.len; i++)
		if (ascii_iscntrl(copy[i]))
			copy[i] = ' ';
	return arena_printf(a, ". Command output: %s", copy);
}

static struct verdict judge(struct arena *a, const char *command, int status, const char *output)
{
	const struct dsn_exit *exit_code;

	if (WIFSIGNALED(status))
		return verdict_make(a, "4.3.0", "command died of signal %d: \"%.200s\"%s", WTERMSIG(status), command,
				    output);
	exit_code = dsn_from_exit(WEXITSTATUS(status));
	if (WEXITSTATUS(status) == 0)
		return verdict_make(a, "2.0.0", "delivered to command: %.200s", command);
	if (exit_code->status == WEXITSTATUS(status))
		return verdict_make(a, exit_code->dsn, "%s%s", exit_code->text, output);
	return verdict_make(a, exit_code->dsn, "command ended with status %d: \"%.200s\"%s", WEXITSTATUS(status),
			    command, output);
}

static struct span letter_head(struct arena *a, const struct letter *l, const struct job_rcpt *r,
			       const struct action *act)
{
	struct span sender = act->sender.ptr ? act->sender : l->m->sender;
	struct span original = r->original.len > 0 ? r->original : r->address;
	struct span delivered = letter_prepends("command") ? act->delivered : SPAN_NONE;
	struct span headers = letter_headers(a, sender, original, delivered);
	char date[DATE_TEXT_MAX];
	char *from = arena_cstr(a, sender.len > 0 ? addr_quote(a, sender) : SPAN("MAILER-DAEMON"));

	for (char *p = from; *p; p++)
		if (ascii_iscntrl(*p) || *p == ' ')
			*p = '?';
	return span_cstr(
	    arena_printf(a, "From %s  %s\n" SPAN_FMT, from, date_mbox(clock_wall(), date), SPAN_ARG(headers)));
}

static void prepare_child(struct arena *a, struct child *child, struct environment *env, const struct action *act)
{
	*child = (struct child){ .rights = act->rights, .environment = env->items };
	child->directory = *conf->command_execution_directory ? conf->command_execution_directory : NULL;
	if (needs_shell(act->text)) {
		child->argv[0] = arena_strdup(a, "/bin/sh");
		child->argv[1] = arena_strdup(a, "-c");
		child->argv[2] = arena_strdup(a, act->text);
	} else {
		split_words(a, act->text, child->argv);
	}
}

struct verdict command_deliver(struct arena *a, struct letter *l, const struct job_rcpt *r, const struct action *act)
{
	struct environment env = { .a = a };
	struct child child;
	struct running run = { .head = letter_head(a, l, r, act), .letter = l };
	struct verdict v;
	bool started, ended;
	int status = 0;

	make_environment(&env, l, r, act);
	prepare_child(a, &child, &env, act);
	letter_rewind(l);
	buf_init(&run.output, OUTPUT_MAX);
	started = start(&run, &child);
	if (!started)
		v = verdict_errno(a, "cannot start a command", errno);
	ended = started && attend(&run, clock_deadline(conf->command_time_limit_ms));
	if (run.pid > 0)
		stop_running(&run, !ended, &status);
	if (started && run.read_failed)
		v = verdict_make(a, "4.3.0", "cannot read the queue file");
	else if (started && !ended)
		v = verdict_make(a, "4.3.0", "command time limit exceeded: \"%.200s\"%s", act->text,
				 output_text(a, &run));
	else if (started)
		v = judge(a, act->text, status, output_text(a, &run));
	buf_free(&run.output);
	return v;
}
