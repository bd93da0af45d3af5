/* SPDX-License-Identifier: BSD-2-Clause */
/* postsuper(1): changes messages in the queue, and checks the queue itself. The truth is on disk: qmgr is told
 * afterwards. */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <syslog.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "lib/queue/job.h"
#include "lib/service/layout.h"
#include "lib/service/logto.h"

enum { QMGR_TIMEOUT_MS = 60 * 1000, ACTIONS_MAX = 100 };

struct verb {
	char letter;
	enum queue_record record; /* 0: remove the message */
	const char *log;          /* after the queue id */
	const char *total;        /* in front of the number of messages */
	uint64_t count;
};

static struct verb verbs[] = {
	{ 'd', 0, "removed", "Deleted", 0 },
	{ 'h', QUEUE_REC_HOLD, "placed on hold", "Placed on hold", 0 },
	{ 'H', QUEUE_REC_RELEASE, "released from hold", "Released from hold", 0 },
	{ 'r', QUEUE_REC_REQUEUE, "requeued", "Requeued", 0 },
	{ 'e', QUEUE_REC_EXPIRE, "expired", "Force-expired", 0 },
	{ 'f', QUEUE_REC_EXPIRE, "expired", "Force-expired", 0 }, /* and released from hold */
};

static const char *account; /* only messages of this SASL account; NULL: of anybody */
static int qmgr = -1;
static int maillog = -1; /* maillog_file; -1: syslog */
static bool failed;

/* Said to the caller, and kept in the log of the mail system: who deleted that letter? */
static void record(const char *line)
{
	int facility = LOG_MAIL;

	fprintf(stderr, "postsuper: %s\n", line);
	if (maillog >= 0) {
		logto_use(conf, "postsuper", maillog);
		log_info("%s", line);
		log_open("postsuper", LOG_TO_STDERR, -1, 0);
	} else {
		(void)logto_facility(conf->syslog_facility, &facility);
		syslog(facility | LOG_INFO, "%s", line);
	}
}

/* --- telling qmgr ------------------------------------------------------------------------------------------------- */

static bool await_answer(void)
{
	struct buf frame;
	struct span bytes;
	bool done = false, ok = true;

	buf_init(&frame, FRAME_MAX);
	while (ok && !done)
		ok = frame_recv(qmgr, &frame, NULL, clock_deadline(QMGR_TIMEOUT_MS)) == IO_OK &&
		     job_get_answer(buf_span(&frame), &done, &bytes);
	buf_free(&frame);
	return ok;
}

/* A qmgr that is not there will read the disk when it comes up. */
static void tell_qmgr(const char *id)
{
	const struct job_control request = { JOB_VERB_CHANGED, span_cstr(id) };
	struct buf frame;

	if (qmgr < 0)
		return;
	buf_init(&frame, FRAME_MAX);
	if (!job_put_control(&frame, &request) ||
	    frame_send(qmgr, buf_span(&frame), -1, clock_deadline(QMGR_TIMEOUT_MS)) != IO_OK || !await_answer()) {
		log_warn("the queue manager does not answer; it will notice the changes at its next start");
		close(qmgr);
		qmgr = -1;
	}
	buf_free(&frame);
}

/* --- one message -------------------------------------------------------------------------------------------------- */

static int append(const char *id, const struct queue_place *place, enum queue_record type)
{
	const struct queue_journal_entry entry = { .type = type };

	return queue_journal(id, place, &entry, 1, true);
}

/* Is there something to do? Holding a held message is nothing, and not counted. */
static bool applies(const struct verb *v, const struct queue_envelope *env)
{
	if (v->record == QUEUE_REC_HOLD)
		return !env->held;
	if (v->record == QUEUE_REC_RELEASE)
		return env->held;
	return v->letter != 'e' || !env->expired;
}

static bool of_account(const struct queue_envelope *env)
{
	return account == NULL || span_is(env->sasl_user, account);
}

/* What postsuper -d ALL deferred, -H ALL hold mean by a queue. */
static bool in_queue(const struct queue_envelope *env, const char *queue)
{
	bool tried = false;

	if (!queue)
		return true;
	for (size_t i = 0; i < env->nrcpts; i++)
		tried |= env->rcpts[i].attempts > 0;
	if (strcmp(queue, "hold") == 0)
		return env->held;
	if (strcmp(queue, "deferred") == 0)
		return !env->held && tried;
	return !env->held && !tried; /* incoming, active, maildrop */
}

static int change(struct verb *v, const char *id, const struct queue_place *place)
{
	if (!v->record)
		return queue_remove(id, place);
	if (v->letter == 'f' && append(id, place, QUEUE_REC_RELEASE) < 0)
		return -1;
	return append(id, place, v->record);
}

static void change_message(struct verb *v, const char *id, const struct queue_place *place, const char *queue)
{
	char line[128];
	struct queue_message *m = NULL;
	enum queue_status status = queue_open(id, place, &m);
	bool wanted = false;

	if (status == QUEUE_OK) {
		const struct queue_envelope *env = queue_envelope(m);

		wanted = in_queue(env, queue) && of_account(env) && applies(v, env);
		queue_close(m);
	}
	/* A damaged message can be deleted like any other. */
	wanted |= status == QUEUE_CORRUPT && v->letter == 'd' && account == NULL;
	if (status == QUEUE_CORRUPT && !wanted)
		log_warn("%s: the queue file is damaged", id);
	if (status == QUEUE_ERROR) {
		log_error("%s: %m", id);
		failed = true;
	}
	if (!wanted)
		return;
	if (change(v, id, place) < 0) {
		if (errno != ENOENT) {
			log_error("%s: %m", id);
			failed = true;
		}
		return;
	}
	v->count++;
	tell_qmgr(id);
	snprintf(line, sizeof line, "%s: %s", id, v->log);
	record(line);
}

/* --- which messages ----------------------------------------------------------------------------------------------- */

struct all {
	struct verb *verb;
	const char *queue;
};

static bool change_each(const char *id, const struct queue_place *place, void *arg)
{
	const struct all *all = arg;

	change_message(all->verb, id, place, all->queue);
	return true;
}

static void change_named(struct verb *v, struct span id)
{
	struct queue_place place;
	char name[QUEUE_ID_MAX];

	if (!queue_id_valid(id)) {
		log_error("\"" SPAN_FMT "\" is not a queue id", SPAN_ARG(id));
		failed = true;
		return;
	}
	snprintf(name, sizeof name, SPAN_FMT, SPAN_ARG(id));
	(void)!queue_find(name, &place); /* one that is not there is reported when it is opened */
	change_message(v, name, &place, NULL);
}

static void change_from_input(struct verb *v)
{
	char line[256];

	while (fgets(line, sizeof line, stdin)) {
		struct span id = span_trim(span_cstr(line));

		if (id.len > 0)
			change_named(v, id);
	}
}

static void act(struct verb *v, const char *argument, const char *queue)
{
	struct all all = { v, queue };

	if (strcmp(argument, "-") == 0) {
		change_from_input(v);
	} else if (strcmp(argument, "ALL") != 0) {
		change_named(v, span_cstr(argument));
	} else if (queue_scan(change_each, &all) < 0) {
		log_error("the queue cannot be read: %m");
		failed = true;
	}
}

/* --- -s, -p ------------------------------------------------------------------------------------------------------- */

static bool check_message(const char *id, const struct queue_place *place, void *arg)
{
	(void)arg;
	if (queue_verify(id, place) != QUEUE_CORRUPT)
		return true;
	if (queue_move_corrupt(id, place) < 0) {
		log_error("%s: damaged, and cannot be moved aside: %m", id);
		failed = true;
	} else {
		log_warn("%s: damaged, moved to corrupt", id);
		tell_qmgr(id);
	}
	return true;
}

/* Directories are made, damaged messages put aside, leftovers of writers that died removed (the scan does that). */
static void check_queue(void)
{
	if (queue_prepare() < 0 || queue_scan(check_message, NULL) < 0) {
		log_error("%s: %m", conf->queue_directory);
		failed = true;
	}
}

/* --- command line ------------------------------------------------------------------------------------------------- */

/* What root makes here must belong to the mail system's user. */
static bool become_mail_owner(void)
{
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0 || conf_unprivileged(conf))
		return true;
	return layout_mail_ids(conf, &uid, &gid) && setgroups(1, &gid) == 0 && setgid(gid) == 0 && setuid(uid) == 0;
}

static int usage(void)
{
	log_error(
	    "usage: postsuper [-c config_dir] [-a account] [-d | -h | -H | -r | -e | -f queue_id | ALL | -] [-s] [-p] [queue ...]");
	return EX_USAGE;
}

static struct verb *find_verb(int letter)
{
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (verbs[i].letter == letter)
			return &verbs[i];
	return NULL;
}

static bool is_queue_name(const char *name)
{
	static const char *const names[] = { "hold", "incoming", "active", "deferred", "maildrop" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

struct request {
	struct verb *verb;
	const char *argument;
};

static int run(const struct request *requests, size_t n, bool check, char **queues)
{
	char line[128];

	qmgr = frame_connect("public/qmgr", clock_deadline(QMGR_TIMEOUT_MS));
	if (check)
		check_queue();
	for (size_t i = 0; i < n; i++) {
		if (!queues[0])
			act(requests[i].verb, requests[i].argument, NULL);
		for (char **queue = queues; *queue; queue++)
			act(requests[i].verb, requests[i].argument, *queue);
	}
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (verbs[i].count > 0) {
			snprintf(line, sizeof line, "%s: %llu message%s", verbs[i].total,
				 (unsigned long long)verbs[i].count, verbs[i].count == 1 ? "" : "s");
			record(line);
		}
	if (qmgr >= 0)
		close(qmgr);
	return failed ? EX_UNAVAILABLE : EX_OK;
}

int main(int argc, char **argv)
{
	struct request requests[ACTIONS_MAX];
	static char tag[128];
	const char *dir = NULL;
	size_t n = 0;
	bool check = false;
	int letter;

	log_open("postsuper", LOG_TO_STDERR, -1, 0);
	while ((letter = getopt(argc, argv, "a:c:d:e:f:h:H:pr:sv")) != -1) {
		if (letter == 'c')
			dir = optarg;
		else if (letter == 'a')
			account = optarg;
		else if (letter == 's' || letter == 'p')
			check = true;
		else if (letter != 'v' && (letter == '?' || n == ACTIONS_MAX))
			return usage();
		else if (letter != 'v')
			requests[n++] = (struct request){ find_verb(letter), optarg };
	}
	if (n == 0 && !check)
		return usage();
	for (int i = optind; i < argc; i++)
		if (!is_queue_name(argv[i]))
			return usage();
	conf_load_or_die(conf_dir(dir));
	if (chdir(conf->queue_directory) < 0) {
		log_error("%s: %m", conf->queue_directory);
		return EX_UNAVAILABLE;
	}
	maillog = logto_open_file(conf);
	snprintf(tag, sizeof tag, "%s/postsuper", conf->syslog_name);
	openlog(tag, LOG_PID, LOG_MAIL);
	if (!become_mail_owner()) {
		log_error("cannot become mail_owner %s: %m", conf->mail_owner);
		return EX_NOPERM;
	}
	return run(requests, n, check, argv + optind);
}
