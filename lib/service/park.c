/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sessions that wait without a thread: a thread costs some 45 kB, most of it in the kernel, and most sessions do nothing most of
 * the time. All of them are watched by the process's main thread, which gives a session a new thread when there is something to do.
 */
#include "lib/service/park.h"
#include "lib/service/service.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

enum { BLIND_LOOK_MS = 1000, EVENTS_PER_ROUND = 64 };

static struct {
	pthread_mutex_t lock; /* for what follows */
	struct list all;
	int64_t next_ms; /* no deadline is earlier */
	bool ending;     /* nobody waits any more, but for a thread */
	int epoll_fd, poke_fd;
} park = { .lock = PTHREAD_MUTEX_INITIALIZER, .all = LIST_INIT(park.all), .next_ms = CLOCK_NEVER, .epoll_fd = -1 };

int park_open(int poke_fd)
{
	park.poke_fd = poke_fd;
	park.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return park.epoll_fd;
}

/* Where it cannot be watched, looking now and then has to do. */
static void park_until(struct parked *p, bool watch)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = p };
	uint64_t one = 1;
	bool look;

	pthread_mutex_lock(&park.lock);
	list_append(&park.all, &p->node);
	p->watched = watch && epoll_ctl(park.epoll_fd, EPOLL_CTL_ADD, p->fd, &ev) == 0;
	if (!p->watched && p->deadline_ms > clock_deadline(BLIND_LOOK_MS))
		p->deadline_ms = clock_deadline(BLIND_LOOK_MS);
	look = p->deadline_ms < park.next_ms || (park.ending && p->watched);
	if (p->deadline_ms < park.next_ms)
		park.next_ms = p->deadline_ms;
	pthread_mutex_unlock(&park.lock);
	if (look && write(park.poke_fd, &one, sizeof one) < 0)
		log_error("eventfd: %s", strerror(errno));
}

static _Thread_local struct parked *mine; /* of the piece that runs in this thread, or NULL */

bool park_run(struct parked *p)
{
	void (*piece)(void *arg) = p->piece;

	p->piece = NULL;
	mine = p;
	piece(p->arg);
	mine = NULL;
	if (p->piece == NULL)
		return false;
	park_until(p, true);
	return true;
}

bool service_park(int fd, int64_t deadline_ms, void (*go_on)(void *arg), void *arg)
{
	if (mine == NULL)
		return false;
	mine->piece = go_on;
	mine->arg = arg;
	mine->fd = fd;
	mine->deadline_ms = deadline_ms;
	return true;
}

void park_later(struct parked *p)
{
	p->deadline_ms = clock_deadline(BLIND_LOOK_MS);
	park_until(p, false);
}

int64_t park_next_ms(void)
{
	int64_t next_ms;

	pthread_mutex_lock(&park.lock);
	next_ms = park.next_ms;
	pthread_mutex_unlock(&park.lock);
	return next_ms;
}

/* Under the lock. */
static void take_out(struct parked *p, struct list *due)
{
	if (p->watched && epoll_ctl(park.epoll_fd, EPOLL_CTL_DEL, p->fd, NULL) < 0)
		log_error("epoll_ctl: %s", strerror(errno));
	p->watched = false;
	list_remove(&p->node);
	list_append(due, &p->node);
}

static void take_ready(struct list *due)
{
	struct epoll_event ev[EVENTS_PER_ROUND];
	int n = epoll_wait(park.epoll_fd, ev, EVENTS_PER_ROUND, 0);

	for (int i = 0; i < n; i++)
		take_out(ev[i].data.ptr, due);
}

static void take_late(struct list *due)
{
	int64_t now = clock_mono_ms();

	if (!park.ending && now < park.next_ms)
		return;
	park.next_ms = CLOCK_NEVER;
	list_for_each_safe(node, &park.all) {
		struct parked *p = list_entry(node, struct parked, node);

		if ((park.ending && p->watched) || p->deadline_ms <= now)
			take_out(p, due);
		else if (p->deadline_ms < park.next_ms)
			park.next_ms = p->deadline_ms;
	}
}

void park_collect(bool all, void (*give)(struct parked *p))
{
	struct list due = LIST_INIT(due);

	pthread_mutex_lock(&park.lock);
	park.ending = all;
	take_ready(&due);
	take_late(&due);
	pthread_mutex_unlock(&park.lock);
	list_for_each_safe(node, &due) {
		list_remove(node);
		give(list_entry(node, struct parked, node));
	}
}
