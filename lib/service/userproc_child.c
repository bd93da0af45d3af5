/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The user's process: the main thread takes sessions from the parent and keeps the count, each session runs in a thread of its
 * own. It leaves when it has been idle long enough and the parent agrees, when it is told to stop, or when the parent is gone.
 */
#include "lib/service/userproc_child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/pack.h"
#include "lib/base/stack.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "lib/service/park.h"
#include "lib/service/sandbox.h"
#include "lib/service/worker.h"

enum { STACK_BYTES = 256 * 1024, STACK_EXTRA_CHECKED = 1024 * 1024, GROUPS_MAX = 1024, NAME_MAX_BYTES = HANDOVER_USER_MAX + 1 };

static struct {
	const struct userproc *up;
	int pair;
	int stop_fd; /* readable for ever once the process is to stop: what io_wait looks at */
	int wake_fd; /* a session ended or paused: the main thread's timer may have to start */
	int park_fd; /* readable: a session that paused goes on */
	pthread_mutex_t lock;
	unsigned live;
	int64_t idle_since_ms;
	uint32_t received;
	bool draining, stopping, orphan;
	int64_t stop_by_ms;
} me = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct task {
	struct arena arena;
	struct handover_session session;
	int client;
	uint32_t number;
	struct parked parked;
};

void userproc_put(struct buf *b, enum userproc_word word, uint32_t n)
{
	pack_u8(b, (uint8_t)word);
	pack_u32(b, n);
}

bool userproc_get(struct span frame, enum userproc_word *word_r, uint32_t *n_r)
{
	struct unpack u = { .rest = frame };

	*word_r = (enum userproc_word)unpack_u8(&u);
	*n_r = unpack_u32(&u);
	return unpack_done(&u);
}

/* --- becoming the user ------------------------------------------------------------------------------------------- */

/* Other users' sockets, auth's connections, master's orders: nothing of the parent's but the log and the pair. */
static void close_all_but(int pair, int log)
{
	int low = log < pair ? log : pair, high = log < pair ? pair : log;
	unsigned from = STDERR_FILENO + 1;

	if (low >= (int)from) {
		close_range(from, (unsigned)low - 1, 0);
		from = (unsigned)low + 1;
	}
	if (high >= (int)from) {
		if ((unsigned)high > from)
			close_range(from, (unsigned)high - 1, 0);
		from = (unsigned)high + 1;
	}
	close_range(from, ~0U, 0);
}

/* What the parent handles, and what only the master should: a terminal's Ctrl-C and hang-up; orders come through the pair. */
static void default_signals(void)
{
	static const int handled[] = { SIGCHLD, SIGTERM, SIGQUIT, SIGALRM, SIGUSR1, SIGUSR2 };
	sigset_t none;

	for (size_t i = 0; i < sizeof handled / sizeof *handled; i++)
		signal(handled[i], SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void userproc_warm(void)
{
	gid_t groups[GROUPS_MAX];
	int n = GROUPS_MAX;
	struct group entry, *found;
	char space[8192];
	struct tm tm;
	time_t now = 0;

	if (!conf_unprivileged(conf)) {
		getgrouplist("root", 0, groups, &n);
		(void)getgrnam_r(conf->mail_privileged_group, &entry, space, sizeof space, &found);
	}
	setenv("TZ", ":/etc/localtime", 0); /* or each conversion of a time looks whether the file is another one */
	localtime_r(&now, &tm);
	mallopt(M_ARENA_MAX, 1); /* the threads of one user seldom allocate at the same time, and each arena costs memory */
}

static void take_groups(const struct user *u, const char *name)
{
	gid_t groups[GROUPS_MAX];
	int n = GROUPS_MAX - 1;
	struct group entry, *found = NULL;
	char space[8192];

	if (getgrouplist(name, u->gid, groups, &n) < 0)
		log_fatal("%s(%s): too many groups", me.up->protocol, name);
	if (conf->mail_privileged_group[0] &&
	    getgrnam_r(conf->mail_privileged_group, &entry, space, sizeof space, &found) == 0 && found)
		groups[n++] = found->gr_gid;
	if (setgroups((size_t)n, groups) < 0)
		log_fatal("%s(%s): setgroups: %s", me.up->protocol, name, strerror(errno));
}

/* Whether it worked is asked of the kernel, not of the return values alone. */
static void become(const struct user *u)
{
	char name[NAME_MAX_BYTES];
	uid_t r, e, s;
	gid_t rg, eg, sg;

	memcpy(name, u->name.ptr, u->name.len);
	name[u->name.len] = '\0';
	if (!conf_unprivileged(conf)) {
		if (u->uid == 0)
			log_fatal("%s(%s): refused to run as root", me.up->protocol, name);
		take_groups(u, name);
		if (setresgid(u->gid, u->gid, u->gid) < 0 || setresuid(u->uid, u->uid, u->uid) < 0)
			log_fatal("%s(%s): cannot become uid %d gid %d: %s", me.up->protocol, name, (int)u->uid, (int)u->gid,
				  strerror(errno));
		if (getresuid(&r, &e, &s) < 0 || getresgid(&rg, &eg, &sg) < 0 || r != u->uid || e != u->uid ||
		    s != u->uid || rg != u->gid || eg != u->gid || sg != u->gid || setuid(0) == 0)
			log_fatal("%s(%s): did not become uid %d gid %d", me.up->protocol, name, (int)u->uid, (int)u->gid);
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (!sandbox_enter(true))
		log_debug("no system call filter: %s", strerror(errno));
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	umask(077);
	if ((u->home == NULL || chdir(u->home) < 0) && chdir("/") < 0)
		log_fatal("%s(%s): chdir /: %s", me.up->protocol, name, strerror(errno));
}

/* --- sessions ---------------------------------------------------------------------------------------------------- */

static void tell(enum userproc_word word, uint32_t n)
{
	struct buf b;

	buf_init(&b, 64);
	userproc_put(&b, word, n);
	if (frame_send(me.pair, buf_span(&b), -1, CLOCK_NEVER) != IO_OK)
		log_debug("parent is gone: %s", strerror(errno));
	buf_free(&b);
}

static void task_over(struct task *t)
{
	uint64_t one = 1;

	tell(USERPROC_ENDED, t->number);
	arena_free(&t->arena);
	free(t);
	pthread_mutex_lock(&me.lock);
	me.live--;
	me.idle_since_ms = clock_mono_ms();
	pthread_mutex_unlock(&me.lock);
	if (write(me.wake_fd, &one, sizeof one) < 0)
		log_error("eventfd: %s", strerror(errno));
}

static void serve(void *arg)
{
	struct task *t = arg;

	me.up->serve(&t->session, t->client);
}

static void *task_run(void *arg)
{
	struct task *t = arg;

	if (!park_run(&t->parked))
		task_over(t);
	stack_give_back(); /* the next thread gets this one's stack, which may be much later */
	return NULL;
}

static size_t stack_bytes(void)
{
	size_t size = me.up->stack_bytes ? me.up->stack_bytes : STACK_BYTES;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	size += STACK_EXTRA_CHECKED;
#endif
	return size;
}

/* 0, or errno. */
static int start_thread(struct task *t)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack_bytes());
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&thread, &attr, task_run, t);
	pthread_attr_destroy(&attr);
	return err;
}

static void go_on(struct parked *p)
{
	struct task *t = list_entry(p, struct task, parked);
	int err = start_thread(t);

	if (err == 0)
		return;
	log_error("%s(%.*s): no thread for a session: %s", me.up->protocol, SPAN_ARG(t->session.user.name), strerror(err));
	park_later(p);
}

static void start_session(struct span frame, int client)
{
	struct task *t = mem_zalloc(sizeof *t);
	int err;

	t->number = ++me.received;
	t->client = client;
	t->parked = (struct parked){ .piece = serve, .arg = t };
	pthread_mutex_lock(&me.lock);
	me.live++;
	pthread_mutex_unlock(&me.lock);
	if (client < 0 || !handover_get_session(frame, &t->arena, &t->session)) {
		log_error("malformed session frame");
		if (client >= 0)
			close(client);
		task_over(t);
		return;
	}
	err = start_thread(t);
	if (err != 0) {
		log_error("%s(%.*s): no thread for a session: %s", me.up->protocol, SPAN_ARG(t->session.user.name),
			  strerror(err));
		close(client);
		task_over(t);
	}
}

/* --- the main thread --------------------------------------------------------------------------------------------- */

static unsigned live_now(int64_t *idle_since_ms_r)
{
	unsigned n;

	pthread_mutex_lock(&me.lock);
	n = me.live;
	*idle_since_ms_r = me.idle_since_ms;
	pthread_mutex_unlock(&me.lock);
	return n;
}

static _Noreturn void leave(void)
{
	if (me.up->finish)
		me.up->finish();
	_exit(0);
}

static void stop(void)
{
	uint64_t one = 1;

	if (me.stopping)
		return;
	me.stopping = true;
	me.stop_by_ms = clock_deadline(conf->stop_timeout_ms / 2);
	if (write(me.stop_fd, &one, sizeof one) < 0)
		log_error("eventfd: %s", strerror(errno));
}

static void take_frame(struct buf *frame, bool *may_leave_r)
{
	enum userproc_word word;
	int client = -1;
	uint32_t n;
	enum io_status st = frame_recv(me.pair, frame, &client, clock_mono_ms());

	if (st == IO_TIMEOUT || st == IO_STOPPING)
		return;
	if (st != IO_OK) {
		stop();
		me.orphan = true;
	} else if (frame->len > 0 && frame->ptr[0] == USERPROC_SESSION) {
		start_session(buf_span(frame), client);
		client = -1;
	} else if (userproc_get(buf_span(frame), &word, &n)) {
		if (word == USERPROC_QUIT)
			stop();
		if (word == USERPROC_LOG && client >= 0)
			dup3(client, log_fd(), O_CLOEXEC); /* in one step: threads may be writing lines */
		me.draining |= word == USERPROC_DRAIN;
		*may_leave_r |= word == USERPROC_LEAVE;
	}
	if (client >= 0)
		close(client);
}

/* When the main thread has to look up although nothing has happened. */
static int64_t next_look(unsigned live, int64_t idle_since_ms, bool asked)
{
	if (me.stopping)
		return me.stop_by_ms;
	if (live > 0 || asked)
		return CLOCK_NEVER;
	return me.draining || !me.up->one_process_per_user ? 0 : idle_since_ms + conf->user_process_idle_ms;
}

static int poll_ms(int64_t until_ms)
{
	int64_t left;

	if (until_ms == CLOCK_NEVER)
		return -1;
	left = until_ms - clock_mono_ms();
	return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static void mind_sessions(void)
{
	struct pollfd p[3] = { { .fd = me.pair, .events = POLLIN }, { .fd = me.wake_fd, .events = POLLIN },
			       { .fd = me.park_fd, .events = POLLIN } };
	uint32_t asked_at = 0; /* the number of sessions had when the parent was asked; it answers each question once at most */
	bool asked = false, may_leave = false;
	struct buf frame;
	uint64_t drained;

	buf_init(&frame, FRAME_MAX);
	for (;;) {
		int64_t idle_since_ms, until_ms;
		unsigned live = live_now(&idle_since_ms);

		if (me.received != asked_at)
			asked = false;
		if (live == 0 && (may_leave || me.stopping))
			break;
		until_ms = next_look(live, idle_since_ms, asked);
		if (me.stopping && clock_mono_ms() >= until_ms)
			break;
		if (!me.stopping && live == 0 && !asked && me.received > 0 && clock_mono_ms() >= until_ms) {
			tell(USERPROC_BYE, me.received);
			asked = true;
			asked_at = me.received;
			continue;
		}
		p[0].fd = me.orphan ? -1 : me.pair;
		if (park_next_ms() < until_ms)
			until_ms = park_next_ms();
		if (poll(p, 3, me.received > 0 ? poll_ms(until_ms) : -1) < 0)
			continue;
		if (p[0].revents)
			take_frame(&frame, &may_leave);
		if (p[1].revents && read(me.wake_fd, &drained, sizeof drained) < 0)
			log_error("eventfd: %s", strerror(errno));
		if (p[2].revents || me.stopping || park_next_ms() <= clock_mono_ms())
			park_collect(me.stopping, go_on);
	}
	buf_free(&frame);
}

void userproc_child(const struct userproc *up, const struct user *u, int pair)
{
	me.up = up;
	me.pair = pair;
	me.idle_since_ms = clock_mono_ms();
	default_signals();
	board_detach(worker.board); /* the parent's figures are not the user's to write */
	worker.board = NULL;
	close_all_but(pair, log_fd());
	become(u);
	me.stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	me.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	me.park_fd = park_open(me.wake_fd);
	if (me.stop_fd < 0 || me.wake_fd < 0 || me.park_fd < 0)
		log_fatal("%s(%.*s): eventfd: %s", up->protocol, SPAN_ARG(u->name), strerror(errno));
	io_set_stop_fd(me.stop_fd);
	if (up->start)
		up->start(u);
	mind_sessions();
	leave();
}
