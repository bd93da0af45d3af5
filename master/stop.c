/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end. Order to stop; stop_timeout later SIGTERM; a little later SIGKILL, to whole process groups. Master is the
 *reaper of everything below it, so what a child left behind becomes ours and is ended too: nothing survives master.
 *
 *	RUNNING --stop--> STOPPING --stop_timeout--> KILLING --2 s--> SIGKILL
 */
#include "master/master.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

enum { TERM_MS = 2000 };

static struct loop_timer next_step;

static void order_stop(struct child *c, void *arg)
{
	(void)arg;
	child_order(c, LINK_STOP, -1);
}

static void signal_child(struct child *c, void *arg)
{
	int signo = *(int *)arg;

	if (kill(-c->pid, signo) < 0) /* before it made its own group */
		kill(c->pid, signo);
}

/* Parent of a process, from /proc/PID/stat: "pid (name) state ppid ...", where the name may hold anything. */
static pid_t parent_of(pid_t pid)
{
	char path[64], line[512];
	const char *after = NULL;
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	if (fgets(line, sizeof line, f))
		for (const char *p = line; *p; p++)
			if (*p == ')')
				after = p + 1;
	fclose(f);
	return after && sscanf(after, " %*c %d", &parent) == 1 ? parent : 0;
}

/* Processes that were left to us. Those that belong to a living child come when that one has ended. */
static void signal_orphans(int signo)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;

	while (proc && (d = readdir(proc)) != NULL) {
		pid_t pid = atoi(d->d_name);

		if (pid > 0 && parent_of(pid) == getpid() && child_by_pid(pid) == NULL)
			kill(pid, signo);
	}
	if (proc)
		closedir(proc);
}

static void signal_all(int signo)
{
	child_each(signal_child, &signo);
	signal_orphans(signo);
}

static void kill_hard(struct loop_timer *t)
{
	signal_all(SIGKILL);
	loop_timer_set(master.loop, t, clock_mono_ms() + TERM_MS); /* for what comes to us only now */
}

static void time_is_up(struct loop_timer *t)
{
	(void)t;
	log_warn("some processes did not end within stop_timeout: ending them");
	stop_now();
}

void stop_begin(const char *why)
{
	if (master.phase != MASTER_RUNNING)
		return;
	log_info("stopping: %s", why);
	notify_stopping();
	master.phase = MASTER_STOPPING;
	list_for_each(node, &master.services) {
		struct service_state *s = list_entry(node, struct service_state, node);

		loop_timer_del(master.loop, &s->throttle);
		loop_timer_del(master.loop, &s->wakeup);
		loop_timer_del(master.loop, &s->stress);
		service_settle(s);
		s->nlisteners = 0;
	}
	listen_close_all();
	child_each(order_stop, NULL);
	next_step.fire = time_is_up;
	loop_timer_set(master.loop, &next_step, clock_mono_ms() + conf->stop_timeout_ms);
	stop_check();
}

void stop_now(void)
{
	if (master.phase == MASTER_RUNNING)
		stop_begin("abort");
	if (master.phase == MASTER_KILLING) {
		signal_all(SIGKILL);
		return;
	}
	master.phase = MASTER_KILLING;
	signal_all(SIGTERM);
	next_step.fire = kill_hard;
	loop_timer_set(master.loop, &next_step, clock_mono_ms() + TERM_MS);
	stop_check();
}

static bool children_left(void)
{
	list_for_each(node, &master.services)
		if (!list_empty(&list_entry(node, struct service_state, node)->children))
			return true;
	return false;
}

void stop_check(void)
{
	siginfo_t info;

	if (master.phase == MASTER_RUNNING || children_left())
		return;
	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
		signal_orphans(master.phase == MASTER_KILLING ? SIGKILL : SIGTERM);
		return;
	}
	loop_stop(master.loop);
}
