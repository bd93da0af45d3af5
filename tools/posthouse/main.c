/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/posthouse/posthouse.h"

#include "tools/posthouse/mailbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/conf/lines.h"
#include "lib/conf/raw.h"
#include "lib/service/layout.h"

enum { END_EXTRA_MS = 15000, FALLBACK_STOP_MS = 60000 };

const char *config_dir;

/*
 * A spoilt main.cf must not keep anybody from stopping what runs: then the few names that are needed to find it are
 * taken from the file as they stand.
 */
static void load_what_can_be_read(void)
{
	static struct conf found;
	struct conf_raw *raw = raw_new(config_dir);
	struct buf text, messages;
	const char *error;

	buf_init(&text, LINES_FILE_MAX);
	buf_init(&messages, LINES_FILE_MAX);
	if (lines_read_file(raw->file, &text) < 0)
		log_fatal("%s: %m", raw->file);
	raw_parse_text(raw, buf_span(&text), &messages);
	buf_reset(&messages);
	raw_derive(raw, &messages);
	found.raw = raw;
	found.queue_directory = raw_value(raw, &raw->arena, SPAN("queue_directory"), &error, NULL);
	found.data_directory = raw_value(raw, &raw->arena, SPAN("data_directory"), &error, NULL);
	if (found.queue_directory == NULL || found.data_directory == NULL)
		log_fatal("the configuration in %s cannot be used", config_dir);
	found.stop_timeout_ms = FALLBACK_STOP_MS;
	conf = &found;
	buf_free(&text);
	buf_free(&messages);
}

static void load(bool strict)
{
	struct buf messages;
	struct conf *c;

	buf_init(&messages, LINES_FILE_MAX);
	if (strict)
		conf_load_or_die(config_dir);
	else if (conf_load(config_dir, NULL, 0, &c, &messages) != CONF_ERROR)
		conf = c;
	else
		load_what_can_be_read();
	buf_free(&messages);
}

/* Become master: nothing of this program is needed after that. */
static int exec_master(bool daemon)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/master", conf->daemon_directory);
	execl(path, "master", "-c", config_dir, daemon ? "-d" : NULL, NULL);
	log_fatal("%s: %m", path);
}

static int start(const char *argument)
{
	(void)argument;
	return exec_master(true);
}

static int start_fg(const char *argument)
{
	(void)argument;
	return exec_master(false);
}

static int end(enum control_verb verb)
{
	int status;

	if (running_master() == 0) {
		log_error("the mail system is not running");
		return 1;
	}
	status = ask_master(verb, "", NULL);
	if (status)
		return status;
	if (wait_for_end(conf->stop_timeout_ms + END_EXTRA_MS))
		return 0;
	log_error("the mail system has not ended: process %d", (int)running_master());
	return 1;
}

static int stop(const char *argument)
{
	(void)argument;
	return end(CONTROL_STOP);
}

static int abort_all(const char *argument)
{
	(void)argument;
	return end(CONTROL_ABORT);
}

static int reload(const char *argument)
{
	(void)argument;
	return ask_master(CONTROL_RELOAD, "", NULL);
}

static int restart(const char *argument)
{
	if (argument)
		return ask_master(CONTROL_RESTART, argument, NULL);
	load(true); /* better not to stop what cannot be started again */
	if (running_master() && end(CONTROL_STOP))
		return 1;
	return exec_master(true);
}

static int status(const char *argument)
{
	return show_status(argument && strcmp(argument, "-j") == 0);
}

static int check(const char *argument)
{
	(void)argument;
	return check_everything();
}

static int logrotate(const char *argument)
{
	(void)argument;
	return ask_master(CONTROL_LOGROTATE, "", NULL);
}

/* postqueue stands beside this program, wherever that is. */
static int flush(const char *argument)
{
	char self[4096], path[4096 + sizeof "postqueue"];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	(void)argument;
	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	snprintf(path, sizeof path, "%.*spostqueue", slash ? (int)(slash + 1 - self) : 0, self);
	execl(path, "postqueue", "-c", config_dir, "-f", NULL);
	log_fatal("%s: %m", path);
}

static int version(const char *argument)
{
	(void)argument;
	printf("%s %s\n", conf->mail_name, conf->mail_version);
	return 0;
}

static int set_permissions(const char *argument)
{
	struct buf messages;
	bool ok;

	(void)argument;
	buf_init(&messages, 65536);
	ok = layout_walk(conf, LAYOUT_REPAIR, &messages);
	fputs(buf_cstr(&messages), stderr);
	buf_free(&messages);
	return ok ? 0 : 1;
}

static int user_rest_argc;
static char **user_rest_argv;

static int user(const char *argument)
{
	(void)argument;
	return user_command(user_rest_argc, user_rest_argv);
}

static int who(const char *argument)
{
	(void)argument;
	return show_who();
}

static int mailbox(const char *argument)
{
	(void)argument;
	return mailbox_command(user_rest_argc, user_rest_argv);
}

static int index_files(const char *argument)
{
	(void)argument;
	return index_command(user_rest_argc, user_rest_argv);
}

static const struct verb {
	const char *name;
	int (*run)(const char *argument);
	bool starts; /* needs a main.cf without mistakes */
	bool more;   /* takes any number of arguments */
	const char *help;
} verbs[] = {
	{ "start", start, true, false, "run the mail system; returns when it runs, or says why not" },
	{ "start-fg", start_fg, true, false, "the same in the foreground, for containers and service managers" },
	{ "stop", stop, false, false, "let sessions say goodbye, end everything; returns when all is gone" },
	{ "abort", abort_all, false, false, "the same without waiting for sessions" },
	{ "reload", reload, false, false, "read the configuration again; a bad one changes nothing" },
	{ "restart", restart, false, false, "[SERVICE] new processes for one service, or stop and start" },
	{ "status", status, false, false, "[-j] services, their workers, sessions and memory" },
	{ "check", check, false, false, "look for mistakes in configuration and surroundings" },
	{ "flush", flush, true, false, "try to deliver everything in the queue now" },
	{ "logrotate", logrotate, false, false, "open the log file anew" },
	{ "set-permissions", set_permissions, true, false, "make and mend the directories" },
	{ "user", user, true, true, "add, passwd, del NAME or list: users of a passwd-file; passwords on standard input" },
	{ "who", who, false, false, "users that are logged in" },
	{ "kick", kick, false, false, "USER|ADDRESS end their sessions" },
	{ "mailbox", mailbox, true, true, "list, status, create, rename, delete, search, fetch, export, import USER ..." },
	{ "index", index_files, true, true, "rebuild, verify USER [MAILBOX]..." },
	{ "version", version, true, false, "name and version" },
};

static int usage(void)
{
	fputs("usage: posthouse [-c config_directory] command\n", stderr);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		fprintf(stderr, "  %-16s %s\n", verbs[i].name, verbs[i].help);
	fputs("  selfsign         [-fr] [-d days] [-n name]... CERT KEY: a certificate for TLS, signed by itself\n", stderr);
	return 64;
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct verb *verb;
	const char *dir = NULL;
	int letter;

	log_open("posthouse/posthouse", LOG_TO_STDERR, -1, 0);
	while ((letter = getopt(argc, argv, "+c:")) != -1)
		if (letter == 'c')
			dir = optarg;
		else if (letter == '?')
			return usage();
	if (optind < argc && strcmp(argv[optind], "selfsign") == 0) {
		config_dir = conf_dir(dir);
		return selfsign(argc - optind, argv + optind);
	}
	verb = optind < argc ? find_verb(argv[optind]) : NULL;
	if (verb == NULL || (argc - optind > 2 && !verb->more))
		return usage();
	config_dir = conf_dir(dir);
	if (verb->run != check) /* which reports what is wrong by itself */
		load(verb->starts);
	user_rest_argc = argc - optind;
	user_rest_argv = argv + optind;
	return verb->run(argv[optind + 1]);
}
