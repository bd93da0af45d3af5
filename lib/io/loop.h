/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The event loop of master and qmgr: epoll, timers in a heap, signals through a signalfd. Single-threaded.
 * Handlers may add and remove any source or timer, their own included.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;

/* Embedded in the owner's object; must stay put while registered. */
struct loop_source {
	int fd;
	void (*ready)(struct loop_source *src, uint32_t epoll_events);
	bool registered; /* the loop's */
	uint32_t events; /* the loop's */
};

struct loop_timer {
	void (*fire)(struct loop_timer *t);
	int64_t at_ms;  /* the loop's */
	uint32_t index; /* the loop's: place in the heap + 1; 0 = not set */
};

struct loop *loop_new(void);
void loop_free(struct loop *l);
void loop_add(struct loop *l, struct loop_source *src, uint32_t epoll_events); /* src->fd, src->ready set by the caller */
void loop_mod(struct loop *l, struct loop_source *src, uint32_t epoll_events); /* no system call when unchanged */
void loop_del(struct loop *l, struct loop_source *src);                        /* nothing when not registered; fd stays open */
void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t at_mono_ms); /* sets or moves */
void loop_timer_del(struct loop *l, struct loop_timer *t);
/* Block signo and call handle(signo, arg) from the loop when it arrives. */
void loop_signal(struct loop *l, int signo, void (*handle)(int signo, void *arg), void *arg);
void loop_run(struct loop *l);  /* until loop_stop */
void loop_stop(struct loop *l);
/* Called after each round of events, before the next wait (e.g. to flush what the round gathered). */
void loop_set_idle(struct loop *l, void (*idle)(void *arg), void *arg);
