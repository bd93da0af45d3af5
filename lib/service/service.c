/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/service.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "lib/io/wait.h"
#include "lib/service/logto.h"
#include "lib/service/worker.h"

enum { OWN_OPTIONS_MAX = 32, OVERRIDES_MAX = 256, MALLOC_ARENAS = 4, PREDECESSOR_POLL_MS = 20 };

struct worker worker = { .stop_fd = -1, .drain_fd = -1, .wake_fd = -1 };

/* What the command line said, kept until configuration and log are there. */
static struct {
	const char *config_dir;
	const char *overrides[OVERRIDES_MAX];
	size_t noverrides;
	struct {
		char name[2];
		const char *value;
	} own[OWN_OPTIONS_MAX];
	size_t nown;
} args;

const char *service_name(void)
{
	return worker.name;
}

bool service_chrooted(void)
{
	return worker.chroot && !conf_unprivileged(conf);
}

bool service_stopping(void)
{
	return atomic_load(&worker.stopping);
}

bool service_draining(void)
{
	return atomic_load(&worker.draining);
}

static void own_option(int letter, const char *value)
{
	if (args.nown == OWN_OPTIONS_MAX)
		log_fatal("more than %d options", OWN_OPTIONS_MAX);
	args.own[args.nown].name[0] = (char)letter;
	args.own[args.nown++].value = value;
}

static void take_option(int letter, char *value)
{
	switch (letter) {
	case 'n':
		worker.name = value;
		break;
	case 'c':
		args.config_dir = value;
		break;
	case 'g': /* shown by ps(1); nothing here depends on it */
		break;
	case 'r':
		worker.chroot = true;
		break;
	case 's':
		worker.nlisteners = atoi(value);
		break;
	case 'o':
		if (args.noverrides == OVERRIDES_MAX)
			log_fatal("more than %d -o options", OVERRIDES_MAX);
		args.overrides[args.noverrides++] = value;
		break;
	case '?':
		log_fatal("bad options for service %s in master.cf", worker.name ? worker.name : "?");
	default:
		own_option(letter, value);
	}
}

static void read_options(int argc, char **argv, const struct service *s)
{
	char letters[64];
	int letter;

	snprintf(letters, sizeof letters, "%sn:c:g:s:o:r%s", s->words ? "+" : "", s->option_letters ? s->option_letters : "");
	while ((letter = getopt(argc, argv, letters)) != -1)
		take_option(letter, optarg);
	if (s->words)
		s->words(argv + optind, (size_t)(argc - optind));
	else if (optind < argc)
		log_fatal("unexpected argument: %s", argv[optind]);
	if (worker.name == NULL || args.config_dir == NULL || worker.nlisteners < 0 ||
	    worker.nlisteners > WORKER_LISTENERS_MAX)
		log_fatal("bad command line: this program is run by master(8)");
}

/* The numbers of the descriptors are the contract with master; a shell does not know it. */
static void check_descriptors(void)
{
	int type = 0;
	socklen_t len = sizeof type;

	if (getsockopt(SERVICE_FD_MASTER, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
		log_fatal("this program is run by master(8); start the mail system with `posthouse start'");
	worker.board = board_attach(SERVICE_FD_BOARD);
	if (worker.board == NULL)
		log_fatal("score board: %m");
	close(SERVICE_FD_BOARD);
	for (int fd = SERVICE_FD_MASTER; fd < SERVICE_FD_LISTEN + worker.nlisteners; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	for (int i = 0; i < worker.nlisteners; i++)
		worker.listeners[i] = SERVICE_FD_LISTEN + i;
}

/* Before the configuration is read: where the log goes shows in the descriptor that master gave; /dev/null means
 * syslog. */
static void open_early_log(const char *program)
{
	struct stat log, null;
	char tag[128];

	snprintf(tag, sizeof tag, "posthouse/%s", program);
	if (fstat(SERVICE_FD_LOG, &log) < 0)
		return;
	if (stat("/dev/null", &null) == 0 && S_ISCHR(log.st_mode) && log.st_rdev == null.st_rdev)
		log_open(tag, LOG_TO_SYSLOG, -1, LOG_MAIL);
	else
		log_open(tag, LOG_TO_FD, SERVICE_FD_LOG, 0);
}

static void load_configuration(void)
{
	struct buf messages;
	struct conf *loaded;
	struct span rest, line;
	enum conf_status status;

	buf_init(&messages, 65536);
	status = conf_load(args.config_dir, args.overrides, args.noverrides, &loaded, &messages);
	if (status == CONF_ERROR) {
		rest = buf_span(&messages);
		while (span_word(&rest, "\n", &line))
			log_warn(SPAN_FMT, SPAN_ARG(line));
		log_fatal("cannot use the configuration in %s", args.config_dir);
	}
	buf_free(&messages);
	conf = worker.calm = loaded;
}

/*
 * A worker of one session at a time cannot watch for orders while it works, and a second thread would be in the way of
 * changing identity. The kernel tells it by a signal; the handler takes the orders there and then.
 */
static void order_signal(int signo)
{
	int saved = errno;

	(void)signo;
	worker_take_orders(NULL);
	worker_wake();
	errno = saved;
}

static void orders_by_signal(void)
{
	struct sigaction sa = { .sa_handler = order_signal, .sa_flags = SA_RESTART };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGUSR2, &sa, NULL);
	if (fcntl(SERVICE_FD_MASTER, F_SETSIG, SIGUSR2) < 0 || fcntl(SERVICE_FD_MASTER, F_SETOWN, getpid()) < 0 ||
	    fcntl(SERVICE_FD_MASTER, F_SETFL, O_NONBLOCK | O_ASYNC) < 0)
		log_fatal("orders of master: %m");
	raise(SIGUSR2); /* what came before the signal was set up */
}

static void prepare_process(void)
{
	signal(SIGPIPE, SIG_IGN);
	mallopt(M_ARENA_MAX, MALLOC_ARENAS);
	worker.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	worker.drain_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	worker.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker.stop_fd < 0 || worker.drain_fd < 0 || worker.wake_fd < 0)
		log_fatal("eventfd: %m");
	io_set_stop_fd(worker.stop_fd);
}

/*
 * Two scheduling one queue would deliver everything twice. The lock also holds against a predecessor whose master was
 * killed. The wait is looked at every few milliseconds because an order to stop may come first.
 */
static void wait_for_predecessor(void)
{
	char path[256];
	int fd;

	snprintf(path, sizeof path, "%s/pid/%s.lock", conf->queue_directory, worker.name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		log_fatal("%s: %m", path);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		struct pollfd orders = { .fd = SERVICE_FD_MASTER, .events = POLLIN };

		if (errno != EWOULDBLOCK && errno != EINTR)
			log_fatal("%s: %m", path);
		poll(&orders, 1, PREDECESSOR_POLL_MS);
		if (orders.revents)
			worker_take_orders(NULL);
		if (service_stopping() || service_draining())
			exit(0);
	}
}

static uint32_t sessions_at_a_time(enum service_shape shape)
{
	return shape == SERVICE_THREADS ? (uint32_t)conf->sessions : shape == SERVICE_SINGLE ? 1 : 0;
}

static void start_up(const struct service *s)
{
	for (size_t i = 0; i < args.nown; i++)
		if (s->option)
			s->option(args.own[i].name, args.own[i].value);
	if (s->exclusive)
		wait_for_predecessor();
	if (s->before_jail)
		s->before_jail();
	worker_jail();
	if (s->after_jail)
		s->after_jail();
	atomic_store(&worker.board->limit, sessions_at_a_time(s->shape));
	if (s->shape == SERVICE_SINGLE)
		orders_by_signal();
	worker_note(LINK_READY);
}

int service_main(int argc, char **argv, const struct service *s)
{
	log_open(s->program, LOG_TO_STDERR, -1, 0);
	worker.service = s;
	read_options(argc, argv, s);
	check_descriptors();
	open_early_log(s->program);
	load_configuration();
	logto_use(conf, s->program, SERVICE_FD_LOG);
	prepare_process();
	start_up(s);
	switch (s->shape) {
	case SERVICE_THREADS:
		worker_run_threads();
		break;
	case SERVICE_SINGLE:
		worker_run_single();
		break;
	case SERVICE_RUN:
		s->run(worker.listeners, worker.nlisteners);
		break;
	}
	if (s->at_exit)
		s->at_exit();
	return 0;
}

int service_connect(const char *path, int64_t deadline_ms)
{
	/* In the jail of login there is no private/ and no public/: its sockets are at the top. */
	if (worker.service && worker.service->identity == SERVICE_AS_LOGIN && strrchr(path, '/'))
		path = strrchr(path, '/') + 1;
	return frame_connect(path, deadline_ms);
}
