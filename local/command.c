/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * |commands and mailbox_command: run with the right user's rights, in an environment made from scratch, with the letter
 * on standard input. The command line is the administrator's or the user's own text; what comes from outside reaches
 * the command only through the environment, reduced to harmless characters. Whatever still runs when the time is over
 * is killed with its whole process group.
 */
#include "local/local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/proto/addr.h"
#include "lib/proto/dsn.h"
#include "lib/service/command.h"

enum { ENVIRONMENT_MAX = 64, ARGUMENTS_MAX = 100 };

/* --- environment -------------------------------------------------------------------------------------------------- */

struct environment {
	struct arena *a;
	char *items[ENVIRONMENT_MAX + 1];
	size_t count;
};

static void put_trusted(struct environment *e, const char *name, const char *value)
{
	if (e->count < ENVIRONMENT_MAX && value)
		e->items[e->count++] = arena_printf(e->a, "%s=%s", name, value);
}

/* A value from outside: what is not on the list of harmless characters becomes an underscore. */
static void put_foreign(struct environment *e, const char *name, struct span value)
{
	char *text = arena_cstr(e->a, value);

	for (size_t i = 0; i < value.len; i++)
		if (!expand_char_safe(text[i]))
			text[i] = '_';
	put_trusted(e, name, text);
}

/* export_environment: NAME keeps ours, NAME=value sets it. */
static void put_exported(struct environment *e)
{
	struct span rest = span_cstr(conf->export_environment), word;

	while (span_word(&rest, ", \t\r\n", &word)) {
		struct span name = word;
		const char *value;

		name = span_cut(&name, '=');
		value = name.len < word.len ? arena_cstr(e->a, span_skip(word, name.len + 1))
					    : getenv(arena_cstr(e->a, name));
		put_trusted(e, arena_cstr(e->a, name), value);
	}
}

/* "name[1.2.3.4]" of the envelope. */
static void put_client(struct environment *e, struct span client)
{
	struct span address = client, name = span_cut(&address, '[');

	put_foreign(e, "CLIENT_HOSTNAME", name);
	put_foreign(e, "CLIENT_ADDRESS", span_cut(&address, ']'));
}

static void make_environment(struct environment *e, const struct letter *l, const struct job_rcpt *r,
			     const struct action *act)
{
	struct addr to = addr_split(act->address);
	const struct queue_envelope *env = queue_envelope(l->message);
	const char *user = act->user.len > 0 ? arena_cstr(e->a, act->user) : act->rights.name;
	struct span base, ext = act->ext;

	if (ext.len == 0)
		(void)addr_split_ext(to.local, span_cstr(conf->recipient_delimiter), &base, &ext);
	put_exported(e);
	put_trusted(e, "PATH", "/usr/bin:/bin");
	put_trusted(e, "HOME", act->rights.home);
	put_trusted(e, "SHELL", act->rights.shell);
	put_trusted(e, "USER", user);
	put_trusted(e, "LOGNAME", user);
	put_foreign(e, "SENDER", act->sender.ptr ? act->sender : l->m->sender);
	put_foreign(e, "RECIPIENT", act->address);
	put_foreign(e, "ORIGINAL_RECIPIENT", r->original.len > 0 ? r->original : r->address);
	put_foreign(e, "LOCAL", to.local);
	put_foreign(e, "DOMAIN", to.domain);
	put_foreign(e, "EXTENSION", ext);
	put_foreign(e, "ENVID", l->m->envid);
	put_client(e, env->client);
	put_foreign(e, "SASL_USERNAME", env->sasl_user);
}

/* --- the child ---------------------------------------------------------------------------------------------------- */

/* A line of plain words that begins with a path is run without a shell. */
static bool needs_shell(const char *command)
{
	if (command[0] != '/')
		return true;
	for (const char *p = command; *p; p++)
		if (!ascii_isalnum(*p) && !strchr(" \t-_=+:,./@%", *p))
			return true;
	return false;
}

static void split_words(struct arena *a, const char *command, char *argv[ARGUMENTS_MAX + 1])
{
	struct span rest = span_cstr(command), word;
	size_t n = 0;

	while (n < ARGUMENTS_MAX && span_word(&rest, " \t", &word))
		argv[n++] = arena_cstr(a, word);
	argv[n] = NULL;
}

/* For the reason. */
static const char *output_text(struct arena *a, const struct buf *output)
{
	struct span said = command_said(a, output);

	return said.len ? arena_printf(a, ". Command output: " SPAN_FMT, SPAN_ARG(said)) : "";
}

static struct verdict judge(struct arena *a, const char *command, int status, const char *output)
{
	const struct dsn_exit *exit_code;

	if (WIFSIGNALED(status))
		return verdict_make(a, "4.3.0", "command died of signal %d: \"%.200s\"%s", WTERMSIG(status), command,
				    output);
	exit_code = dsn_from_exit(WEXITSTATUS(status));
	if (WEXITSTATUS(status) == 0)
		return verdict_make(a, "2.0.0", "delivered to command: %.200s", command);
	if (exit_code->status == WEXITSTATUS(status))
		return verdict_make(a, exit_code->dsn, "%s%s", exit_code->text, output);
	return verdict_make(a, exit_code->dsn, "command ended with status %d: \"%.200s\"%s", WEXITSTATUS(status),
			    command, output);
}

static struct span letter_head(struct arena *a, const struct letter *l, const struct job_rcpt *r,
			       const struct action *act)
{
	struct span sender = act->sender.ptr ? act->sender : l->m->sender;
	struct span original = r->original.len > 0 ? r->original : r->address;
	struct span delivered = letter_prepends("command") ? act->delivered : SPAN_NONE;
	struct span headers = letter_headers(a, sender, original, delivered);

	return span_cstr(
	    arena_printf(a, SPAN_FMT SPAN_FMT, SPAN_ARG(letter_from_line(a, sender)), SPAN_ARG(headers)));
}

/* From_ line and trace headers, then the content. */
struct feed {
	struct span head;
	struct letter *letter;
};

static bool next_piece(void *arg, struct span *chunk_r)
{
	struct feed *f = arg;

	if (f->head.len == 0)
		return letter_next(f->letter, chunk_r);
	*chunk_r = f->head;
	f->head = SPAN_NONE;
	return true;
}

static void put_arguments(struct arena *a, char *argv[ARGUMENTS_MAX + 1], const char *text)
{
	if (!needs_shell(text)) {
		split_words(a, text, argv);
		return;
	}
	argv[0] = arena_strdup(a, "/bin/sh");
	argv[1] = arena_strdup(a, "-c");
	argv[2] = arena_strdup(a, text);
	argv[3] = NULL;
}

static struct verdict verdict_of(struct arena *a, enum command_end end, const char *text, int status, const char *said)
{
	switch (end) {
	case COMMAND_NOT_STARTED:
		return verdict_errno(a, "cannot start a command", errno);
	case COMMAND_NOT_FED:
		return verdict_make(a, "4.3.0", "cannot read the queue file");
	case COMMAND_TIMED_OUT:
		return verdict_make(a, "4.3.0", "command time limit exceeded: \"%.200s\"%s", text, said);
	case COMMAND_ENDED:
		break;
	}
	return judge(a, text, status, said);
}

struct verdict command_deliver(struct arena *a, struct letter *l, const struct job_rcpt *r, const struct action *act)
{
	struct environment env = { .a = a };
	char *argv[ARGUMENTS_MAX + 1];
	struct feed feed = { letter_head(a, l, r, act), l };
	struct command c = {
		.argv = argv,
		.environment = env.items,
		.directory = *conf->command_execution_directory ? conf->command_execution_directory : NULL,
		.rights = &act->rights,
		.next = next_piece,
		.arg = &feed,
		.deadline_ms = clock_deadline(conf->command_time_limit_ms),
	};
	struct buf output;
	enum command_end end;
	struct verdict v;
	int status = 0;

	make_environment(&env, l, r, act);
	put_arguments(a, argv, act->text);
	letter_rewind(l);
	buf_init(&output, COMMAND_OUTPUT_MAX);
	end = command_run(&c, &status, &output);
	v = verdict_of(a, end, act->text, status, output_text(a, &output));
	buf_free(&output);
	return v;
}
