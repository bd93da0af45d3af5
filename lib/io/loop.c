/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/io/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"

enum { MAX_SIGNAL = 65, BATCH = 64 };

struct loop {
	int epoll_fd;
	bool stopping;
	struct loop_timer **heap; /* heap[0] is the next to fire; a timer's index is its place + 1 */
	uint32_t ntimers, heap_cap;
	struct loop_source signals;
	sigset_t mask;
	struct {
		void (*handle)(int signo, void *arg);
		void *arg;
	} on_signal[MAX_SIGNAL];
	void (*idle)(void *arg);
	void *idle_arg;
	struct epoll_event batch[BATCH]; /* of the round under way */
	int nbatch;
};

static struct loop *signal_loop; /* signals belong to the process: one loop gets them */

struct loop *loop_new(void)
{
	struct loop *l = mem_zalloc(sizeof *l);

	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0)
		log_fatal("epoll_create1: %m");
	l->signals.fd = -1;
	sigemptyset(&l->mask);
	return l;
}

void loop_free(struct loop *l)
{
	if (l->signals.fd >= 0)
		close(l->signals.fd);
	close(l->epoll_fd);
	free(l->heap);
	free(l);
}

/* --- sources ------------------------------------------------------------------------------------------------------ */

void loop_add(struct loop *l, struct loop_source *src, uint32_t epoll_events)
{
	struct epoll_event ev = { .events = epoll_events, .data.ptr = src };

	must(!src->registered && src->fd >= 0);
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, src->fd, &ev) < 0)
		log_fatal("epoll_ctl: cannot watch descriptor %d: %m", src->fd);
	src->registered = true;
	src->events = epoll_events;
}

void loop_mod(struct loop *l, struct loop_source *src, uint32_t epoll_events)
{
	struct epoll_event ev = { .events = epoll_events, .data.ptr = src };

	must(src->registered);
	if (src->events == epoll_events)
		return;
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, src->fd, &ev) < 0)
		log_fatal("epoll_ctl: cannot change descriptor %d: %m", src->fd);
	src->events = epoll_events;
}

void loop_del(struct loop *l, struct loop_source *src)
{
	if (!src->registered)
		return;
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, src->fd, NULL);
	src->registered = false;
	for (int i = 0; i < l->nbatch; i++) /* its owner may free it now: forget its pending event */
		if (l->batch[i].data.ptr == src)
			l->batch[i].data.ptr = NULL;
}

/* --- timers: a binary heap ---------------------------------------------------------------------------------------- */

static void heap_place(struct loop *l, uint32_t at, struct loop_timer *t)
{
	l->heap[at] = t;
	t->index = at + 1;
}

static void heap_up(struct loop *l, uint32_t at, struct loop_timer *t)
{
	while (at > 0 && l->heap[(at - 1) / 2]->at_ms > t->at_ms) {
		heap_place(l, at, l->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_place(l, at, t);
}

static void heap_down(struct loop *l, uint32_t at, struct loop_timer *t)
{
	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child + 1 < l->ntimers && l->heap[child + 1]->at_ms < l->heap[child]->at_ms)
			child++;
		if (child >= l->ntimers || l->heap[child]->at_ms >= t->at_ms)
			break;
		heap_place(l, at, l->heap[child]);
		at = child;
	}
	heap_place(l, at, t);
}

void loop_timer_del(struct loop *l, struct loop_timer *t)
{
	uint32_t at = t->index - 1;
	struct loop_timer *last;

	if (t->index == 0)
		return;
	t->index = 0;
	last = l->heap[--l->ntimers];
	if (last == t)
		return;
	if (at > 0 && l->heap[(at - 1) / 2]->at_ms > last->at_ms)
		heap_up(l, at, last);
	else
		heap_down(l, at, last);
}

void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t at_mono_ms)
{
	loop_timer_del(l, t);
	if (l->ntimers == l->heap_cap) {
		l->heap_cap = l->heap_cap ? 2 * l->heap_cap : 32;
		l->heap = mem_realloc_array(l->heap, l->heap_cap, sizeof *l->heap);
	}
	t->at_ms = at_mono_ms;
	heap_up(l, l->ntimers++, t);
}

static void fire_timers(struct loop *l)
{
	int64_t now = l->ntimers ? clock_mono_ms() : 0;

	while (l->ntimers && l->heap[0]->at_ms <= now) {
		struct loop_timer *t = l->heap[0];

		loop_timer_del(l, t);
		t->fire(t);
	}
}

/* --- signals ------------------------------------------------------------------------------------------------------ */

static void signal_ready(struct loop_source *src, uint32_t events)
{
	struct signalfd_siginfo info;
	struct loop *l = signal_loop;

	(void)events;
	while (read(src->fd, &info, sizeof info) == sizeof info)
		if (info.ssi_signo < MAX_SIGNAL && l->on_signal[info.ssi_signo].handle)
			l->on_signal[info.ssi_signo].handle((int)info.ssi_signo, l->on_signal[info.ssi_signo].arg);
}

void loop_signal(struct loop *l, int signo, void (*handle)(int signo, void *arg), void *arg)
{
	int fd;

	must(signo > 0 && signo < MAX_SIGNAL && (signal_loop == NULL || signal_loop == l));
	signal_loop = l;
	l->on_signal[signo].handle = handle;
	l->on_signal[signo].arg = arg;
	sigaddset(&l->mask, signo);
	sigprocmask(SIG_BLOCK, &l->mask, NULL);
	fd = signalfd(l->signals.fd, &l->mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		log_fatal("signalfd: %m");
	if (l->signals.fd >= 0)
		return;
	l->signals.fd = fd;
	l->signals.ready = signal_ready;
	loop_add(l, &l->signals, EPOLLIN);
}

/* --- running ------------------------------------------------------------------------------------------------------ */

void loop_set_idle(struct loop *l, void (*idle)(void *arg), void *arg)
{
	l->idle = idle;
	l->idle_arg = arg;
}

void loop_stop(struct loop *l)
{
	l->stopping = true;
}

static int wait_ms(const struct loop *l)
{
	int64_t left;

	if (l->ntimers == 0)
		return -1;
	left = l->heap[0]->at_ms - clock_mono_ms();
	return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

void loop_run(struct loop *l)
{
	l->stopping = false;
	while (!l->stopping) {
		if (l->idle)
			l->idle(l->idle_arg);
		if (l->stopping)
			break;
		l->nbatch = epoll_wait(l->epoll_fd, l->batch, BATCH, wait_ms(l));
		if (l->nbatch < 0 && errno != EINTR)
			log_fatal("epoll_wait: %m");
		for (int i = 0; i < l->nbatch; i++) {
			struct loop_source *src = l->batch[i].data.ptr;

			if (src)
				src->ready(src, l->batch[i].events);
		}
		l->nbatch = 0;
		fire_timers(l);
	}
}
