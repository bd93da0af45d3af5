/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The accept loop of a worker. The main thread waits on its listeners, on master, on its own wake-up eventfd and on the sessions
 * that wait without a thread (park.h); sessions run in threads of a pool (THREADS) or right here (SINGLE). Listening sockets are
 * shared with the other workers of the service: EPOLLEXCLUSIVE wakes one of them per connection, and a worker without room takes
 * its listeners out of its set.
 *
 *	state      listens  leaves
 *	open       yes      when idle for max_idle
 *	full       no       never; open again when a session ends
 *	leaving    no       when the last session is over: max_use was reached, or drain was ordered
 *	stopping   no       when the last session is over, at the latest after stop_timeout
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/stack.h"
#include "lib/conf/conf.h"
#include "lib/service/park.h"
#include "lib/service/worker.h"

enum { THREAD_IDLE_S = 2, STACK_BYTES = 128 * 1024, STACK_EXTRA_CHECKED = 1024 * 1024, NO_DESCRIPTORS_MS = 100 };
/* Numbers in epoll_event.data beside those of listeners */
enum { EV_ORDERS = WORKER_LISTENERS_MAX, EV_WAKE, EV_PARK, EV_NUMBERS };

static struct {
	int epoll_fd;
	bool listening, full;
	atomic_bool leaving;  /* session threads look at it */
	int64_t max_idle_ms;  /* this worker's own, so that not all leave at once */
	int64_t stop_at_ms;   /* CLOCK_NEVER until stopping */
	int64_t tick_at_ms;
	int64_t accept_at_ms; /* after running out of descriptors: not before */
} loop = { .epoll_fd = -1, .stop_at_ms = CLOCK_NEVER };

/* --- accepting ---------------------------------------------------------------------------------------------------- */

bool worker_accept(int listener, struct service_session *session_r)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;
	int fd = accept4(worker.listeners[listener], (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_warn("accept: %m");
			loop.accept_at_ms = clock_mono_ms() + NO_DESCRIPTORS_MS;
		}
		return false; /* another worker was faster, or the client has gone */
	}
	*session_r = (struct service_session){ .fd = fd, .listener = listener };
	netaddr_from_sockaddr(&session_r->peer, (struct sockaddr *)&ss);
	if (ss.ss_family == AF_UNIX) {
		session_r->peer.family = session_r->local.family = AF_UNIX;
		return true;
	}
	len = sizeof ss;
	if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
		netaddr_from_sockaddr(&session_r->local, (struct sockaddr *)&ss);
	return true;
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

/* A session; it belongs to the thread that runs it, or to park.c. */
struct task {
	struct parked parked;
	struct service_session session;
};

struct session_thread {
	struct list_node idle;
	pthread_cond_t given;
	struct task *task; /* NULL: it waits for one */
};

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list pool = LIST_INIT(pool); /* threads without work, the last used first */
static atomic_bool memory_rests; /* a session has paused since give_back_memory */

static void session_over(void)
{
	bool was_full = board_end(worker.board);

	if (was_full || loop.leaving || service_stopping())
		worker_wake();
}

/* With the lock held: wait for work; false when none came for a while. */
static bool wait_for_work(struct session_thread *t)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += THREAD_IDLE_S;
	list_prepend(&pool, &t->idle);
	while (t->task == NULL)
		if (pthread_cond_timedwait(&t->given, &pool_lock, &until) == ETIMEDOUT && t->task == NULL) {
			list_remove(&t->idle);
			return false;
		}
	return true;
}

/* What sessions that pause have freed lies between what they keep. A thread that has no more work has time for that. */
static void give_back_memory(void)
{
	if (atomic_exchange(&memory_rests, false))
		malloc_trim(0);
}

static void work(struct task *task)
{
	if (park_run(&task->parked)) {
		atomic_store(&memory_rests, true);
	} else {
		free(task);
		session_over();
	}
}

static void *thread_main(void *arg)
{
	struct session_thread *t = arg;
	bool more;

	do {
		work(t->task);
		pthread_mutex_lock(&pool_lock);
		t->task = NULL;
		more = wait_for_work(t);
		if (!more)
			give_back_memory(); /* with the lock: see worker_run_threads */
		pthread_mutex_unlock(&pool_lock);
	} while (more);
	pthread_cond_destroy(&t->given);
	free(t);
	stack_give_back(); /* the library keeps it for the next thread */
	return NULL;
}

static size_t stack_bytes(void)
{
	size_t size = worker.service->stack_bytes ? worker.service->stack_bytes : STACK_BYTES;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	size += STACK_EXTRA_CHECKED;
#endif
	return size;
}

static bool new_thread(struct task *task)
{
	struct session_thread *t = mem_zalloc(sizeof *t);
	pthread_attr_t attr;
	pthread_t id;
	int err;

	t->task = task;
	pthread_cond_init(&t->given, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, stack_bytes());
	err = pthread_create(&id, &attr, thread_main, t);
	pthread_attr_destroy(&attr);
	if (err) {
		log_warn("cannot start a thread: %s", strerror(err));
		pthread_cond_destroy(&t->given);
		free(t);
	}
	return err == 0;
}

/* False: there is no thread for it. */
static bool run_in_thread(struct task *task)
{
	struct list_node *node;

	pthread_mutex_lock(&pool_lock);
	node = list_first(&pool);
	if (node) {
		struct session_thread *t = list_entry(node, struct session_thread, idle);

		list_remove(node);
		t->task = task;
		pthread_cond_signal(&t->given);
	}
	pthread_mutex_unlock(&pool_lock);
	return node || new_thread(task);
}

static void begin(void *arg)
{
	struct task *task = arg;

	worker.service->session(&task->session);
}

static void begin_session(const struct service_session *session)
{
	struct task *task = mem_zalloc(sizeof *task);

	task->session = *session;
	task->parked = (struct parked){ .piece = begin, .arg = task };
	if (run_in_thread(task))
		return;
	close(session->fd);
	free(task);
	board_end(worker.board);
}

static void go_on(struct parked *p)
{
	if (!run_in_thread(list_entry(p, struct task, parked)))
		park_later(p);
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static void watch(int fd, uint32_t events, uint32_t number)
{
	struct epoll_event ev = { .events = events, .data.u32 = number };

	if (epoll_ctl(loop.epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		log_fatal("epoll_ctl: %m");
}

static void listen_on(bool on)
{
	if (loop.listening == on)
		return;
	loop.listening = on;
	for (int i = 0; i < worker.nlisteners; i++)
		if (on)
			watch(worker.listeners[i], EPOLLIN | EPOLLEXCLUSIVE, (uint32_t)i);
		else
			epoll_ctl(loop.epoll_fd, EPOLL_CTL_DEL, worker.listeners[i], NULL);
}

/* Never to accept again: close, so that the address is free for whoever comes next. */
static void leave(void)
{
	if (loop.leaving)
		return;
	loop.leaving = true;
	listen_on(false);
	for (int i = 0; i < worker.nlisteners; i++)
		close(worker.listeners[i]);
}

static void open_loop(void)
{
	uint16_t dice = 0;
	ssize_t n = getrandom(&dice, sizeof dice, 0);

	(void)n;
	loop.max_idle_ms = conf->max_idle_ms + conf->max_idle_ms / 8 * dice / 65536;
	loop.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop.epoll_fd < 0)
		log_fatal("epoll_create1: %m");
	watch(SERVICE_FD_MASTER, EPOLLIN, EV_ORDERS);
	watch(worker.wake_fd, EPOLLIN, EV_WAKE);
	atomic_store(&worker.board->last_ms, clock_mono_ms());
}

static uint32_t busy(void)
{
	return atomic_load(&worker.board->busy);
}

static void take_orders(void)
{
	if (!worker_take_orders(NULL))
		epoll_ctl(loop.epoll_fd, EPOLL_CTL_DEL, SERVICE_FD_MASTER, NULL);
}

static void become_full(bool full)
{
	loop.full = full;
	worker_note(full ? LINK_FULL : LINK_FREE);
}

/* Bring listening in line with what has happened. False: exit now. */
static bool settle(void)
{
	int64_t now = clock_mono_ms();

	if (now >= loop.tick_at_ms)
		loop.tick_at_ms = worker.service->tick ? worker.service->tick() : CLOCK_NEVER;
	if (service_stopping() || service_draining())
		leave();
	if (!loop.leaving && atomic_load(&worker.board->total) >= (uint64_t)conf->max_use) {
		worker_note(LINK_LEAVING);
		leave();
	}
	if (service_stopping() && loop.stop_at_ms == CLOCK_NEVER)
		loop.stop_at_ms = now + conf->stop_timeout_ms;
	if (loop.leaving)
		return busy() > 0 && now < loop.stop_at_ms;
	if (loop.full && busy() < atomic_load(&worker.board->limit))
		become_full(false);
	listen_on(!loop.full && now >= loop.accept_at_ms);
	return busy() > 0 || now - atomic_load(&worker.board->last_ms) < loop.max_idle_ms;
}

static int wait_ms(void)
{
	int64_t now = clock_mono_ms();
	int64_t until = loop.stop_at_ms < loop.tick_at_ms ? loop.stop_at_ms : loop.tick_at_ms;

	if (loop.accept_at_ms > now && loop.accept_at_ms < until)
		until = loop.accept_at_ms;
	if (park_next_ms() < until)
		until = park_next_ms();
	if (!loop.leaving) {
		/* A session that ends does not wake this thread; one look per max_idle finds the idle time exactly. */
		int64_t idle_at = (busy() ? now : atomic_load(&worker.board->last_ms)) + loop.max_idle_ms;

		if (idle_at < until)
			until = idle_at;
	}
	if (until == CLOCK_NEVER)
		return -1;
	return until <= now ? 0 : until - now > 3600000 ? 3600000 : (int)(until - now);
}

static void accept_all(int listener, void (*serve)(const struct service_session *session))
{
	struct service_session session;

	while (loop.listening && !loop.full && worker_accept(listener, &session)) {
		if (board_begin(worker.board))
			become_full(true);
		serve(&session);
		if (loop.full || atomic_load(&worker.board->total) >= (uint64_t)conf->max_use || service_draining())
			break;
	}
}

static void one_round(void (*serve)(const struct service_session *session))
{
	struct epoll_event events[EV_NUMBERS];
	int n = epoll_wait(loop.epoll_fd, events, EV_NUMBERS, wait_ms());
	bool ready = false;
	uint64_t count;

	for (int i = 0; i < n; i++)
		if (events[i].data.u32 == EV_ORDERS)
			take_orders();
		else if (events[i].data.u32 == EV_WAKE)
			(void)!read(worker.wake_fd, &count, sizeof count);
		else if (events[i].data.u32 == EV_PARK)
			ready = true;
	if (ready || service_stopping() || park_next_ms() <= clock_mono_ms())
		park_collect(service_stopping(), go_on);
	for (int i = 0; i < n; i++)
		if (events[i].data.u32 < EV_ORDERS && !service_stopping() && !service_draining())
			accept_all((int)events[i].data.u32, serve);
}

static void run_loop(void (*serve)(const struct service_session *session))
{
	while (settle())
		one_round(serve);
}

void worker_run_threads(void)
{
	int park_fd = park_open(worker.wake_fd);

	if (park_fd < 0)
		log_fatal("epoll_create1: %m");
	open_loop();
	watch(park_fd, EPOLLIN, EV_PARK);
	run_loop(begin_session);
	/* Threads that would not end in time are cut off here; exit() would run destructors under their feet. */
	if (busy() > 0) {
		log_warn("%u sessions did not end within stop_timeout", busy());
		_exit(0);
	}
	/* For good: a thread that gives up waiting for work just now would end while exit() takes down what its end uses. */
	pthread_mutex_lock(&pool_lock);
}

static void run_here(const struct service_session *session)
{
	worker.service->session(session);
	board_end(worker.board);
}

void worker_run_single(void)
{
	open_loop();
	run_loop(run_here);
}
