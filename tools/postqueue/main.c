/* SPDX-License-Identifier: BSD-2-Clause */
/* postqueue(1): looks at the queue, and asks for it to be worked on. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "tools/postqueue/postqueue.h"

enum { QMGR_TIMEOUT_MS = 300 * 1000 };

/* --- qmgr --------------------------------------------------------------------------------------------------------- */

static int connect_qmgr(void)
{
	return frame_connect("public/qmgr", clock_deadline(QMGR_TIMEOUT_MS));
}

static bool send_request(int fd, enum job_verb verb, struct span argument)
{
	const struct job_control request = { verb, argument };
	struct buf frame;
	bool ok;

	buf_init(&frame, FRAME_MAX);
	ok = job_put_control(&frame, &request) &&
	     frame_send(fd, buf_span(&frame), -1, clock_deadline(QMGR_TIMEOUT_MS)) == IO_OK;
	buf_free(&frame);
	return ok;
}

/* Hand the bytes of each answer to take until the last one. False: the connection broke. */
static bool read_answers(int fd, bool (*take)(struct span bytes, void *arg), void *arg)
{
	struct buf frame;
	struct span bytes;
	bool done = false, ok = true;

	buf_init(&frame, FRAME_MAX);
	while (ok && !done) {
		ok = frame_recv(fd, &frame, NULL, clock_deadline(QMGR_TIMEOUT_MS)) == IO_OK &&
		     job_get_answer(buf_span(&frame), &done, &bytes) && take(bytes, arg);
	}
	buf_free(&frame);
	return ok;
}

static bool show_text(struct span bytes, void *arg)
{
	(void)arg;
	if (bytes.len > 0)
		fprintf(stderr, SPAN_FMT "\n", SPAN_ARG(bytes));
	return true;
}

static int request(enum job_verb verb, struct span argument)
{
	int fd = connect_qmgr();
	bool ok;

	if (fd < 0) {
		log_error(errno == ENOENT || errno == ECONNREFUSED ? "the mail system is down; nothing was scheduled"
								   : "public/qmgr: %m");
		return EX_UNAVAILABLE;
	}
	ok = send_request(fd, verb, argument) && read_answers(fd, show_text, NULL);
	close(fd);
	if (!ok)
		log_error("the queue manager did not answer");
	return ok ? EX_OK : EX_UNAVAILABLE;
}

/* --- listing ------------------------------------------------------------------------------------------------------ */

static bool list_entries(struct span bytes, void *arg)
{
	struct unpack u = { bytes, false };
	struct arena a = ARENA_INIT;
	bool ok = true;

	while (ok && u.rest.len > 0) {
		enum job_list_state state;
		struct queue_envelope env = { 0 };

		ok = job_get_list_entry(&u, &a, &state, &env);
		if (ok)
			listing_message(arg, state, &env);
		arena_reset(&a);
	}
	arena_free(&a);
	return ok;
}

static bool was_deferred(const struct queue_envelope *env)
{
	for (size_t i = 0; i < env->nrcpts; i++)
		if (env->rcpts[i].attempts > 0)
			return true;
	return false;
}

static bool list_file(const char *id, const struct queue_place *place, void *arg)
{
	struct queue_message *m;

	switch (queue_open(id, place, &m)) {
	case QUEUE_OK:
		listing_message(arg,
				queue_envelope(m)->held           ? JOB_LIST_HOLD
				: was_deferred(queue_envelope(m)) ? JOB_LIST_DEFERRED
								  : JOB_LIST_INCOMING,
				queue_envelope(m));
		queue_close(m);
		break;
	case QUEUE_GONE:
		break;
	case QUEUE_CORRUPT:
		log_warn("%s: the queue file is damaged", id);
		break;
	case QUEUE_ERROR:
		log_warn("%s: %m", id);
		break;
	}
	return true;
}

static int list_directly(struct listing *l)
{
	if (access("mail", R_OK | X_OK) < 0) {
		log_error("the mail system is down, and the queue cannot be read: %m");
		return EX_UNAVAILABLE;
	}
	log_warn("the mail system is down: reading the queue directly");
	if (queue_scan(list_file, l) < 0) {
		log_error("the queue cannot be read: %m");
		return EX_UNAVAILABLE;
	}
	listing_end(l);
	return EX_OK;
}

static int list(enum listing_form form)
{
	struct listing l = { .form = form };
	int fd = connect_qmgr();
	bool ok;

	if (fd < 0 && (errno == ENOENT || errno == ECONNREFUSED))
		return list_directly(&l);
	if (fd < 0) {
		log_error("public/qmgr: %m");
		return errno == EACCES ? EX_NOPERM : EX_UNAVAILABLE;
	}
	ok = send_request(fd, JOB_VERB_LIST, SPAN_NONE) && read_answers(fd, list_entries, &l);
	close(fd);
	if (ok)
		listing_end(&l);
	else
		log_error("the queue manager broke off its answer");
	return ok ? EX_OK : EX_UNAVAILABLE;
}

/* --- command line ------------------------------------------------------------------------------------------------- */

static int usage(void)
{
	log_error("usage: postqueue [-c config_dir] -p | -j | -f | -i queue_id | -s site");
	return EX_USAGE;
}

static int run(int mode, const char *argument)
{
	switch (mode) {
	case 'p':
		return list(LISTING_TEXT);
	case 'j':
		return list(LISTING_JSON);
	case 'f':
		return request(JOB_VERB_FLUSH, SPAN_NONE);
	case 'i':
		if (queue_id_valid(span_cstr(argument)))
			return request(JOB_VERB_FLUSH_ID, span_cstr(argument));
		log_error("\"%s\" is not a queue id", argument);
		return EX_USAGE;
	case 's':
		return request(JOB_VERB_FLUSH_SITE, span_cstr(argument));
	}
	return usage();
}

int main(int argc, char **argv)
{
	const char *dir = NULL, *argument = NULL;
	int mode = 0, letter;

	log_open("postqueue", LOG_TO_STDERR, -1, 0);
	while ((letter = getopt(argc, argv, "c:pjfi:s:v")) != -1) {
		if (letter == 'c') {
			dir = optarg;
		} else if (letter == '?' || (mode && letter != 'v')) {
			return usage();
		} else if (letter != 'v') {
			mode = letter;
			argument = optarg;
		}
	}
	if (mode == 0 || optind < argc)
		return usage();
	conf_load_or_die(conf_dir(dir));
	if (chdir(conf->queue_directory) < 0) {
		log_error("%s: %m", conf->queue_directory);
		return EX_UNAVAILABLE;
	}
	return run(mode, argument);
}
