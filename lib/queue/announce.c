/* SPDX-License-Identifier: BSD-2-Clause */
/* Telling qmgr of new mail. One connection per process; packets of several threads do not mix, so sending takes no lock. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/io/frame.h"
#include "lib/queue/job.h"

enum { ANNOUNCE_TIMEOUT_MS = 10000 };

static pthread_mutex_t connecting = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int connection = -1;

/* Replace a broken connection (or none) by a new one; another thread may have done so meanwhile. */
static int reconnect(int broken)
{
	int fd;

	pthread_mutex_lock(&connecting);
	fd = atomic_load(&connection);
	if (fd == broken) {
		int fresh = frame_connect("public/qmgr", clock_deadline(ANNOUNCE_TIMEOUT_MS));

		if (fresh >= 0 && broken >= 0) {
			dup3(fresh, broken, O_CLOEXEC); /* the number stays valid for threads that are sending */
			close(fresh);
			fresh = broken;
		}
		if (fresh >= 0)
			atomic_store(&connection, fresh);
		fd = fresh;
	}
	pthread_mutex_unlock(&connecting);
	return fd;
}

static bool send_new(int fd, struct span frame)
{
	return fd >= 0 && frame_send(fd, frame, -1, clock_deadline(ANNOUNCE_TIMEOUT_MS)) == IO_OK;
}

bool job_announce(const struct queue_envelope *env, const struct queue_place *place)
{
	int fd = atomic_load(&connection);
	bool told = false;
	struct buf b;

	buf_init(&b, FRAME_MAX);
	if (job_put_new(&b, env, place)) {
		if (fd < 0)
			fd = reconnect(fd);
		told = send_new(fd, buf_span(&b)) || send_new(reconnect(fd), buf_span(&b));
	}
	buf_free(&b);
	if (!told)
		log_warn("%s: cannot tell the queue manager, it will find the message by itself: %m", env->id);
	return told;
}

void job_announce_end(void)
{
	int fd = atomic_load(&connection);
	struct buf b;

	if (fd < 0)
		return;
	buf_init(&b, FRAME_MAX);
	if (job_put_bye(&b))
		(void)!frame_send(fd, buf_span(&b), -1, clock_deadline(1000));
	buf_free(&b);
	close(fd);
	atomic_store(&connection, -1);
}
