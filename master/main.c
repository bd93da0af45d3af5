/* SPDX-License-Identifier: BSD-2-Clause */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/queue/queue.h"
#include "lib/service/layout.h"
#include "lib/service/logto.h"

enum { MESSAGES_MAX = 1 << 20 };

struct master master = { .log_fd = -1, .lock_fd = -1 };

/*
 * With -d the caller stays until the mail system runs or has said why it does not. The child keeps standard error until
 * then; the pipe tells the outcome.
 */
static int daemonise(void)
{
	int ends[2];
	char byte;

	if (pipe2(ends, O_CLOEXEC) < 0)
		log_fatal("pipe: %m");
	switch (fork()) {
	case -1:
		log_fatal("fork: %m");
	case 0:
		close(ends[0]);
		setsid();
		return ends[1];
	default:
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) == 1 ? 0 : 1);
	}
}

static void started(int outcome_fd)
{
	int null_fd;

	if (outcome_fd < 0)
		return;
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2 && null_fd >= 0; fd++)
		dup2(null_fd, fd);
	(void)!write(outcome_fd, "1", 1);
	close(outcome_fd);
}

/* The kernel frees the lock when this process ends, however it ends: there is no stale lock. */
static void take_lock(void)
{
	char path[4096], pid[32];
	ssize_t n;

	snprintf(path, sizeof path, "%s/master.lock", conf->data_directory);
	master.lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (master.lock_fd < 0)
		log_fatal("%s: %m", path);
	if (flock(master.lock_fd, LOCK_EX | LOCK_NB) < 0) {
		n = read(master.lock_fd, pid, sizeof pid - 1);
		pid[n > 0 ? n : 0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		log_fatal("the mail system is already running, process %s (%s is locked)", pid, path);
	}
	n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
	if (ftruncate(master.lock_fd, 0) < 0 || write(master.lock_fd, pid, (size_t)n) != n)
		log_fatal("%s: %m", path);
}

static void write_pid_file(void)
{
	FILE *f = fopen("pid/master.pid", "we");

	if (f == NULL || fprintf(f, "%d\n", (int)getpid()) < 0 || fclose(f) != 0)
		log_warn("%s/pid/master.pid: %m", conf->queue_directory);
}

static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void on_signal(int signo, void *arg)
{
	struct buf messages;

	(void)arg;
	switch (signo) {
	case SIGTERM:
	case SIGINT:
		if (master.phase == MASTER_RUNNING)
			stop_begin(signo == SIGTERM ? "SIGTERM" : "SIGINT");
		else
			stop_now();
		break;
	case SIGHUP:
		buf_init(&messages, 65536);
		config_reload(&messages);
		buf_free(&messages);
		break;
	case SIGUSR1:
		log_rotate();
		break;
	case SIGCHLD:
		children_reap();
		break;
	}
}

static void take_signals(void)
{
	static const int wanted[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD };

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		loop_signal(master.loop, wanted[i], on_signal, NULL);
}

static void read_options(int argc, char **argv, bool *daemon_r)
{
	const char *dir = NULL;
	int letter;

	*daemon_r = false;
	while ((letter = getopt(argc, argv, "c:d")) != -1)
		if (letter == 'c')
			dir = optarg;
		else if (letter == 'd')
			*daemon_r = true;
		else
			log_fatal("usage: master [-d] [-c config_directory]");
	master.config_dir = realpath(conf_dir(dir), NULL);
	if (master.config_dir == NULL)
		log_fatal("%s: %m", conf_dir(dir));
	master.foreground = !*daemon_r;
}

/* The queue's own directories, as the user who will write in them. */
static void prepare_queue(void)
{
	uid_t uid;
	gid_t gid;

	if (!layout_mail_ids(conf, &uid, &gid) || setegid(gid) < 0 || seteuid(uid) < 0)
		log_fatal("cannot become %s: %m", conf->mail_owner);
	if (queue_prepare() < 0)
		log_fatal("queue_directory %s: %m", conf->queue_directory);
	if (seteuid(getuid()) < 0 || setegid(getgid()) < 0)
		log_fatal("cannot become root again: %m");
}

/* Whatever a careless parent left open is not ours to keep open for days; sockets from the service manager are. */
static void close_inherited(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	int keep = pid && count && atoi(pid) == getpid() ? atoi(count) : 0;

	close_range(3 + (unsigned)(keep > 0 ? keep : 0), ~0U, 0);
}

/* Errors up to here go to standard error, for the one who typed the command, and end the process. */
static void start(struct buf *messages)
{
	struct conf *c;
	bool ok = conf_load(master.config_dir, NULL, 0, &c, messages) != CONF_ERROR;

	if (!ok)
		log_problems(messages);
	if (!ok)
		log_fatal("the configuration in %s cannot be used", master.config_dir);
	conf = c;
	ok = layout_walk(conf, LAYOUT_CREATE, messages);
	if (!ok)
		log_problems(messages);
	if (!ok)
		log_fatal("the directories of the mail system are not usable");
	if (chdir(conf->queue_directory) < 0)
		log_fatal("queue_directory %s: %m", conf->queue_directory);
	take_lock();
	master.log_fd = logto_open_file(conf); /* used from log_reopen on: until then errors go to the one who asked */
	if (master.log_fd < 0 && errno)
		log_fatal("maillog_file = %s: %m", conf->maillog_file);
	prepare_queue();
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	master.loop = loop_new();
	take_signals();
	listen_inherit();
	ok = config_start(messages);
	log_problems(messages);
	if (!ok)
		log_fatal("the mail system is not started");
	write_pid_file();
	control_open();
}

int main(int argc, char **argv)
{
	struct buf messages;
	bool daemon;
	int outcome_fd;

	log_open("posthouse/master", LOG_TO_STDERR, -1, 0);
	read_options(argc, argv, &daemon);
	close_inherited();
	outcome_fd = daemon ? daemonise() : -1;
	umask(077);
	raise_limits();
	list_init(&master.services);
	list_init(&master.listeners);
	notify_init();
	buf_init(&messages, MESSAGES_MAX);
	start(&messages);
	log_reopen();
	log_info("daemon started -- version %s, configuration %s", conf->mail_version, master.config_dir);
	if (conf_unprivileged(conf))
		log_info("unprivileged mode: everything runs as user id %u, well-known ports are moved up by %d",
			 geteuid(), UNPRIVILEGED_PORT_OFFSET);
	tls_log_missing();
	log_problems(&messages); /* standard error had them, the log is to have them too */
	buf_free(&messages);
	started(outcome_fd);
	notify_ready();
	loop_run(master.loop);
	control_close();
	unlink("pid/master.pid");
	log_info("stopped");
	return 0;
}
