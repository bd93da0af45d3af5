/* SPDX-License-Identifier: BSD-2-Clause */
/* sendmail(1), mailq(1), newaliases(1): the mail system as programs have always called it. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/map/map.h"
#include "lib/proto/verp.h"
#include "tools/sendmail/sendmail.h"

/* -C names the directory, or main.cf in it. */
static const char *config_directory(struct arena *a, const char *option)
{
	struct stat st;
	ptrdiff_t slash;

	if (!option || stat(option, &st) < 0 || S_ISDIR(st.st_mode))
		return conf_dir(option);
	slash = span_rchr(span_cstr(option), '/');
	return conf_dir(slash < 0 ? "." : slash == 0 ? "/" : arena_cstr(a, span_of(option, (size_t)slash)));
}

/* Another of our commands: the one beside this one, else the installed one. */
static int run_command(struct arena *a, const char *const *argv)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	struct span dir = span_of(self, n > 0 ? (size_t)n : 0);

	dir = span_head(dir, (size_t)(span_rchr(dir, '/') + 1));
	if (dir.len > 0)
		execv(arena_printf(a, SPAN_FMT "%s", SPAN_ARG(dir), argv[0]), (char *const *)(uintptr_t)argv);
	execv(arena_printf(a, "%s/%s", conf->command_directory, argv[0]), (char *const *)(uintptr_t)argv);
	log_error("cannot run %s: %m", argv[0]);
	return EX_UNAVAILABLE;
}

static int rebuild_aliases(struct arena *a, const struct options *o)
{
	const char *list = o->alias_file ? o->alias_file : conf->alias_database;
	struct span rest = span_cstr(list), name;
	int status = EX_OK;

	while (span_word(&rest, ", \t\r\n", &name)) {
		struct buf messages;
		const char *table =
		    span_chr(name, ':') > 0 ? arena_cstr(a, name) : arena_printf(a, "hash:" SPAN_FMT, SPAN_ARG(name));

		buf_init(&messages, 65536);
		if (map_build(table, MAP_BUILD_POSTALIAS, &messages) < 0)
			status = EX_DATAERR;
		fputs(buf_cstr(&messages), stderr);
		buf_free(&messages);
	}
	return status;
}

static int send_letter(struct arena *a, const struct options *o)
{
	struct letter l = { .body = NULL };
	int status = letter_read(a, o, &l);

	if (status == EX_OK)
		status = o->mode == MODE_VERIFY ? submit_verify(a, o, &l) : submit_letter(a, o, &l);
	buf_free(&l.header);
	if (l.body)
		fclose(l.body);
	return status;
}

static int run_mode(struct arena *a, const struct options *o, const char *dir)
{
	switch (o->mode) {
	case MODE_LIST:
		return run_command(a, (const char *[]){ "postqueue", "-c", dir, "-p", NULL });
	case MODE_FLUSH:
		return run_command(a, (const char *[]){ "postqueue", "-c", dir, "-f", NULL });
	case MODE_FLUSH_ID:
		return run_command(a, (const char *[]){ "postqueue", "-c", dir, "-i", o->argument, NULL });
	case MODE_FLUSH_SITE:
		return run_command(a, (const char *[]){ "postqueue", "-c", dir, "-s", o->argument, NULL });
	case MODE_DAEMON:
		return run_command(a, (const char *[]){ "posthouse", "-c", dir, "start", NULL });
	case MODE_ALIASES:
		return rebuild_aliases(a, o);
	case MODE_SMTP:
	case MODE_SEND:
	case MODE_VERIFY:
		break;
	}
	if (o->verp && *o->verp && !verp_delimiters_valid(span_cstr(o->verp), conf->verp_delimiter_filter)) {
		log_error("-XV needs two characters from %s", conf->verp_delimiter_filter);
		return EX_USAGE;
	}
	if (chdir(conf->queue_directory) < 0) {
		log_error("%s: %m", conf->queue_directory);
		return EX_TEMPFAIL;
	}
	return o->mode == MODE_SMTP ? relay_smtp() : send_letter(a, o);
}

int main(int argc, char **argv)
{
	static struct arena a;
	struct options o = { .mode = MODE_SEND };
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	const char *dir;
	int status;

	log_open(name, LOG_TO_STDERR, -1, 0);
	signal(SIGPIPE, SIG_IGN);
	if (strcmp(name, "mailq") == 0)
		o.mode = MODE_LIST;
	else if (strcmp(name, "newaliases") == 0)
		o.mode = MODE_ALIASES;
	status = options_parse(argc, argv, &o);
	if (status != EX_OK)
		return status;
	dir = config_directory(&a, o.config);
	conf_load_or_die(dir);
	return run_mode(&a, &o, dir);
}
