/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting a child, notes from it, orders to it. */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/io/frame.h"
#include "lib/service/logto.h"
#include "lib/service/service.h"

enum { PARKED_FD = 256, ARGV_FIXED = 12 };

/* --- in the new process ------------------------------------------------------------------------------------------- */

/* Descriptors are first moved out of the way, then to their numbers: a source may be where another's target is. */
static bool place_descriptors(const struct service_state *s, int link_fd, int board_fd)
{
	int from[SERVICE_FD_LISTEN + 64], n = 0;
	int null_fd = open("/dev/null", O_RDWR);
	int log_fd = master.log_fd >= 0 ? master.log_fd : null_fd;

	from[n++] = null_fd;
	from[n++] = log_fd;
	from[n++] = master.log_fd >= 0 ? log_fd : master.foreground ? STDERR_FILENO : null_fd;
	from[n++] = link_fd;
	from[n++] = board_fd;
	from[n++] = log_fd;
	for (size_t i = 0; i < s->nlisteners; i++)
		from[n++] = s->listeners[i]->source.fd;
	for (int i = 0; i < n; i++)
		if ((from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, PARKED_FD)) < 0)
			return false;
	for (int i = 0; i < n; i++)
		if (dup2(from[i], i) < 0)
			return false;
	return true;
}

static void reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A daemon's environment is its administrator's shell by accident: as root, only what is meant for it goes on. */
static void clean_environment(void)
{
	static const char *const kept[] = { "TZ", "LANG", "LC_ALL", "MAIL_CONFIG", "PATH" };
	char *values[sizeof kept / sizeof *kept];

	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	if (conf_unprivileged(conf))
		return;
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		values[i] = getenv(kept[i]) ? mem_strdup(getenv(kept[i])) : NULL;
	clearenv();
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		if (values[i])
			setenv(kept[i], values[i], 1);
	setenv("PATH", "/usr/bin:/usr/sbin:/bin:/sbin", 1);
}

static char **arguments(struct arena *a, const struct service_state *s)
{
	const struct mastercf_service *e = s->entry;
	char **argv = arena_array(a, ARGV_FIXED + 2 * e->noverrides + e->nargs + 1, sizeof *argv);
	size_t n = 0;

	argv[n++] = arena_strdup(a, e->program);
	argv[n++] = (char *)(uintptr_t) "-n";
	argv[n++] = s->name;
	argv[n++] = (char *)(uintptr_t) "-c";
	argv[n++] = arena_printf(a, "%s/run", conf->queue_directory);
	argv[n++] = (char *)(uintptr_t) "-g";
	argv[n++] = arena_printf(a, "%u", s->generation);
	if (e->chroot)
		argv[n++] = (char *)(uintptr_t) "-r";
	argv[n++] = (char *)(uintptr_t) "-s";
	argv[n++] = arena_printf(a, "%zu", s->nlisteners);
	argv[n++] = (char *)(uintptr_t) "-o";
	argv[n++] = arena_printf(a, "config_directory=%s", master.config_dir);
	for (size_t i = 0; i < e->noverrides; i++) {
		argv[n++] = (char *)(uintptr_t) "-o";
		argv[n++] = arena_strdup(a, e->overrides[i]);
	}
	for (size_t i = 0; i < e->nargs; i++)
		argv[n++] = arena_strdup(a, e->args[i]);
	return argv;
}

static void run_program(const struct service_state *s, int link_fd, int board_fd)
{
	struct arena a = ARENA_INIT;
	char *path = arena_printf(&a, "%s/%s", conf->daemon_directory, s->entry->program);
	int saved;

	reset_signals();
	setpgid(0, 0); /* so that a signal reaches what it has started as well */
	if (place_descriptors(s, link_fd, board_fd)) {
		char **argv = arguments(&a, s);

		clean_environment();
		execv(path, argv);
	}
	saved = errno;
	logto_use(conf, "master", SERVICE_FD_LOG); /* the log's own descriptor may be another socket by now */
	errno = saved;
	log_error("cannot run %s: %m", path);
	_exit(127);
}

/* --- in master ---------------------------------------------------------------------------------------------------- */

static void read_note(struct child *c, char note)
{
	switch (note) {
	case LINK_READY:
		c->ready = true;
		break;
	case LINK_FULL:
		c->full = true;
		break;
	case LINK_FREE:
		c->full = false;
		break;
	case LINK_LEAVING:
		c->draining = true;
		service_replace(c->service);
		break;
	}
}

static void link_ready(struct loop_source *src, uint32_t events)
{
	struct child *c = list_entry(src, struct child, link);
	char notes[16];
	ssize_t n;

	(void)events;
	while ((n = recv(src->fd, notes, 1, MSG_DONTWAIT)) > 0)
		read_note(c, notes[0]);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) /* its end is told by SIGCHLD */
		loop_del(master.loop, src);
	service_settle(c->service);
}

struct child *child_start(struct service_state *s)
{
	struct child *c = mem_zalloc(sizeof *c);
	int pair[2] = { -1, -1 };
	int board_fd = board_create(&c->board);

	if (board_fd < 0 || frame_pair(pair) < 0 || (c->pid = fork()) < 0) {
		log_warn("cannot start %s: %m", s->entry->program);
		if (board_fd >= 0)
			close(board_fd);
		close(pair[0]);
		close(pair[1]);
		board_detach(c->board);
		free(c);
		return NULL;
	}
	if (c->pid == 0)
		run_program(s, pair[1], board_fd);
	close(board_fd);
	close(pair[1]);
	c->service = s;
	c->generation = s->generation;
	c->started_ms = clock_mono_ms();
	c->link.fd = pair[0];
	c->link.ready = link_ready;
	loop_add(master.loop, &c->link, EPOLLIN);
	list_append(&s->children, &c->node);
	service_greet(s, c);
	return c;
}

void child_free(struct child *c)
{
	loop_del(master.loop, &c->link);
	close(c->link.fd);
	board_detach(c->board);
	list_remove(&c->node);
	free(c);
}

void child_each(void (*each)(struct child *c, void *arg), void *arg)
{
	list_for_each_safe(snode, &master.services) {
		struct service_state *s = list_entry(snode, struct service_state, node);

		list_for_each_safe(cnode, &s->children)
			each(list_entry(cnode, struct child, node), arg);
	}
}

struct child *child_by_pid(pid_t pid)
{
	list_for_each(snode, &master.services) {
		struct service_state *s = list_entry(snode, struct service_state, node);

		list_for_each(cnode, &s->children)
			if (list_entry(cnode, struct child, node)->pid == pid)
				return list_entry(cnode, struct child, node);
	}
	return NULL;
}

void child_order(struct child *c, enum link_order order, int fd)
{
	char byte = (char)order;

	/* A child that is ending does not need its orders; a full socket means that hundreds are unread. */
	if (frame_send(c->link.fd, span_of(&byte, 1), fd, 0) == IO_TIMEOUT)
		log_warn("process %d takes no orders", (int)c->pid);
}

void child_drain(struct child *c)
{
	if (!c->draining)
		child_order(c, LINK_DRAIN, -1);
	c->draining = true;
}

void children_reap(void)
{
	struct child *c;
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		c = child_by_pid(pid);
		if (c) /* else an orphan that was left to us */
			service_child_ended(c, status);
	}
	stop_check();
}
