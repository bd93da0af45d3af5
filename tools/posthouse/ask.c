/* SPDX-License-Identifier: BSD-2-Clause */
/* Talking to a running master. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "tools/posthouse/posthouse.h"

enum { ANSWER_MS = 60000, LOCK_POLL_MS = 10 };

static int open_lock(void)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/master.lock", conf->data_directory);
	return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

pid_t running_master(void)
{
	char text[32] = "";
	int fd = open_lock();
	pid_t pid = 0;

	if (fd < 0) {
		if (errno != ENOENT)
			log_fatal("%s/master.lock: %m", conf->data_directory);
		return 0;
	}
	if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK && read(fd, text, sizeof text - 1) > 0)
		pid = atoi(text);
	close(fd);
	return pid;
}

bool wait_for_end(int64_t timeout_ms)
{
	int64_t deadline = clock_deadline(timeout_ms);

	while (running_master() != 0) {
		if (clock_mono_ms() >= deadline)
			return false;
		io_sleep_until(clock_deadline(LOCK_POLL_MS));
	}
	return true;
}

static int converse(int fd, struct buf *frame, void (*each)(const struct control_service *s))
{
	int64_t deadline = clock_deadline(ANSWER_MS);
	struct control_service service;
	struct span text;
	bool ok;

	if (frame_send(fd, buf_span(frame), -1, deadline) != IO_OK)
		return -1;
	while (frame_recv(fd, frame, NULL, deadline) == IO_OK)
		switch (control_get_answer(buf_span(frame), &service, &ok, &text)) {
		case CONTROL_SERVICE:
			if (each)
				each(&service);
			break;
		case CONTROL_DONE:
			fprintf(stderr, SPAN_FMT, SPAN_ARG(text));
			return ok ? 0 : 1;
		default:
			return -1;
		}
	return -1;
}

int ask_master(enum control_verb verb, const char *argument, void (*each)(const struct control_service *s))
{
	struct buf frame;
	int fd, status;

	if (chdir(conf->queue_directory) < 0)
		log_fatal("queue_directory %s: %m", conf->queue_directory);
	fd = frame_connect(CONTROL_PATH, clock_deadline(ANSWER_MS));
	if (fd < 0 && (errno == ENOENT || errno == ECONNREFUSED)) {
		log_error("the mail system is not running");
		return 1;
	}
	if (fd < 0)
		log_fatal("%s/%s: %m", conf->queue_directory, CONTROL_PATH);
	buf_init(&frame, FRAME_MAX);
	if (!control_put_request(&frame, verb, span_cstr(argument)))
		log_fatal("the argument is too long");
	status = converse(fd, &frame, each);
	if (status < 0)
		log_error("no answer from master");
	buf_free(&frame);
	close(fd);
	return status < 0 ? 1 : status;
}
