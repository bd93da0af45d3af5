/* SPDX-License-Identifier: BSD-2-Clause */
/* postcat(1): one message of the queue and its whole life: envelope, content, journal. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/proto/addr.h"
#include "lib/proto/date.h"
#include "lib/queue/queue.h"

struct shown {
	bool envelope, header, body, journal, offsets;
};

/* --- envelope ----------------------------------------------------------------------------------------------------- */

static const char *printable(struct arena *a, struct span s)
{
	char *text = arena_cstr(a, s);

	text[log_escape(text, s.len)] = '\0';
	return text;
}

static void show_field(const char *name, const char *value)
{
	printf("%s: %s\n", name, value);
}

static void show_flags(uint32_t flags)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} table[] = {
		{ QUEUE_8BIT, "8BITMIME" },     { QUEUE_SMTPUTF8, "SMTPUTF8" }, { QUEUE_RET_FULL, "RET=FULL" },
		{ QUEUE_RET_HDRS, "RET=HDRS" }, { QUEUE_LOCAL, "local" },       { QUEUE_BOUNCE, "notice" },
	};

	if (flags == 0)
		return;
	fputs("flags:", stdout);
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (flags & table[i].bit)
			printf(" %s", table[i].name);
	putchar('\n');
}

static const char *notify_text(struct arena *a, uint8_t notify)
{
	if (notify & QUEUE_NOTIFY_NEVER)
		return "NEVER";
	return arena_printf(a, "%s%s%s", notify & QUEUE_NOTIFY_SUCCESS ? "SUCCESS " : "",
			    notify & QUEUE_NOTIFY_FAILURE ? "FAILURE " : "",
			    notify & QUEUE_NOTIFY_DELAY ? "DELAY " : "");
}

static const char *state_text(enum queue_state state)
{
	static const char *const names[] = { "pending", "delivered", "bounced", "bounced, sender told" };

	return names[state];
}

static void show_recipient(struct arena *a, const struct queue_rcpt *r)
{
	if (r->original.len > 0)
		show_field("original_recipient", printable(a, addr_quote(a, r->original)));
	if (r->orcpt.len > 0)
		show_field("dsn_orig_rcpt", printable(a, r->orcpt));
	if (r->notify)
		show_field("dsn_notify", notify_text(a, r->notify));
	printf("recipient: %s (%s%s)\n", printable(a, addr_quote(a, r->address)), state_text(r->state),
	       r->state == QUEUE_RCPT_PENDING && r->attempts > 0
		   ? arena_printf(a, ", tried %u time%s", r->attempts, r->attempts == 1 ? "" : "s")
		   : "");
}

static void show_envelope(struct arena *a, const struct queue_envelope *env)
{
	char when[DATE_TEXT_MAX];

	printf("*** ENVELOPE RECORDS %s ***\n", env->id);
	printf("message_size: %llu\n", (unsigned long long)env->size);
	show_field("message_arrival_time", date_rfc5322((time_t)(env->arrival_us / 1000000), when));
	show_flags(env->flags);
	if (env->client.len > 0)
		show_field("client", printable(a, env->client));
	if (env->filter.len > 0)
		show_field("content_filter", printable(a, env->filter));
	if (env->sasl_user.len > 0)
		show_field("sasl_username", printable(a, env->sasl_user));
	if (env->envid.len > 0)
		show_field("dsn_envid", printable(a, env->envid));
	show_field("sender", printable(a, addr_quote(a, env->sender)));
	for (size_t i = 0; i < env->nrcpts; i++)
		show_recipient(a, &env->rcpts[i]);
	if (env->held)
		puts("state: on hold");
	if (env->expired)
		puts("state: expired");
}

/* --- content ------------------------------------------------------------------------------------------------------ */

struct content {
	const struct shown *shown;
	bool in_header, line_start;
	uint64_t line_at; /* offset of the line */
};

static void show_piece(struct content *c, struct span piece, uint64_t at)
{
	for (size_t i = 0; i < piece.len; i++) {
		bool empty_line = c->line_start && piece.ptr[i] == '\n';
		bool show = c->in_header ? c->shown->header : c->shown->body;

		/* The empty line belongs to both: it shows when either does, once. */
		if (c->in_header && empty_line)
			show = c->shown->header && c->shown->body;
		if (show && c->line_start && c->shown->offsets)
			printf("%9llu ", (unsigned long long)(at + i));
		if (show)
			putchar(piece.ptr[i]);
		if (c->in_header && empty_line)
			c->in_header = false;
		c->line_start = piece.ptr[i] == '\n';
	}
}

static bool show_content(struct queue_message *m, const struct shown *shown)
{
	struct content c = { .shown = shown, .in_header = true, .line_start = true };
	struct span chunk;

	for (uint64_t at = 0;; at += chunk.len) {
		if (!queue_content(m, at, &chunk))
			return false;
		if (chunk.len == 0)
			return true;
		show_piece(&c, chunk, at);
	}
}

/* --- journal ------------------------------------------------------------------------------------------------------ */

struct journal {
	struct arena a;
	const struct queue_envelope *env;
};

static void show_entry(const struct queue_journal_entry *e, int64_t at_us, void *arg)
{
	static const char *const names[] = {
		[QUEUE_REC_DELIVERED] = "delivered", [QUEUE_REC_DEFERRED] = "deferred",
		[QUEUE_REC_BOUNCED] = "bounced",     [QUEUE_REC_NOTIFIED] = "sender told",
		[QUEUE_REC_HOLD] = "placed on hold", [QUEUE_REC_RELEASE] = "released from hold",
		[QUEUE_REC_EXPIRE] = "expired",      [QUEUE_REC_DELAY_WARNED] = "sender warned of delay",
		[QUEUE_REC_REQUEUE] = "requeued",
	};
	struct journal *j = arg;
	bool of_rcpt = e->type >= QUEUE_REC_DELIVERED && e->type <= QUEUE_REC_NOTIFIED && e->rcpt < j->env->nrcpts;
	char when[DATE_TEXT_MAX];

	printf("%s: %s", date_rfc5322((time_t)(at_us / 1000000), when),
	       e->type <= QUEUE_REC_REQUEUE && names[e->type] ? names[e->type] : "unknown record");
	if (of_rcpt)
		printf(": <%s>", printable(&j->a, addr_quote(&j->a, j->env->rcpts[e->rcpt].address)));
	if (e->relay.len > 0)
		printf(", relay=%s", printable(&j->a, e->relay));
	if (e->dsn[0])
		printf(", dsn=%s", printable(&j->a, span_cstr(e->dsn)));
	if (e->reason.len > 0)
		printf(" (%s)", printable(&j->a, e->reason));
	putchar('\n');
	arena_reset(&j->a);
}

static void show_journal(const struct queue_message *m)
{
	struct journal j = { .a = ARENA_INIT, .env = queue_envelope(m) };

	printf("*** JOURNAL %s ***\n", j.env->id);
	queue_history(m, show_entry, &j);
	if (j.env->corrupt_journal)
		puts("(the last record is torn and was ignored)");
	arena_free(&j.a);
}

/* --- one message -------------------------------------------------------------------------------------------------- */

static int show_message(struct queue_message *m, const struct shown *shown)
{
	struct arena a = ARENA_INIT;
	const struct queue_envelope *env = queue_envelope(m);
	int status = EX_OK;

	if (shown->envelope)
		show_envelope(&a, env);
	if (shown->envelope && (shown->header || shown->body))
		printf("*** MESSAGE CONTENTS %s ***\n", env->id);
	if ((shown->header || shown->body) && !show_content(m, shown)) {
		log_error("%s: the content cannot be read: %m", env->id);
		status = EX_IOERR;
	}
	if (shown->journal)
		show_journal(m);
	if (shown->envelope)
		printf("*** MESSAGE FILE END %s ***\n", env->id);
	arena_free(&a);
	return status;
}

static int show_opened(enum queue_status opened, struct queue_message *m, const char *name, const struct shown *shown)
{
	int status;

	switch (opened) {
	case QUEUE_OK:
		status = show_message(m, shown);
		queue_close(m);
		return status;
	case QUEUE_GONE:
		log_error("%s: there is no such message", name);
		return EX_NOINPUT;
	case QUEUE_CORRUPT:
		log_error("%s: not a queue file, or damaged", name);
		return EX_DATAERR;
	case QUEUE_ERROR:
		break;
	}
	log_error("%s: %m", name);
	return EX_NOINPUT;
}

static int show_id(const char *id, const struct shown *shown)
{
	struct queue_message *m = NULL;
	struct queue_place place;
	enum queue_status opened;

	if (!queue_id_valid(span_cstr(id))) {
		log_error("\"%s\" is not a queue id", id);
		return EX_USAGE;
	}
	opened = queue_find(id, &place) ? queue_open(id, &place, &m) : QUEUE_GONE;
	return show_opened(opened, m, id, shown);
}

/* The file's name is the id that its envelope must hold. */
static int show_file(const char *path, const struct shown *shown)
{
	const char *slash = strrchr(path, '/'), *id = slash ? slash + 1 : path;
	struct queue_message *m = NULL;
	enum queue_status opened;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		log_error("%s: %m", path);
		return EX_NOINPUT;
	}
	if (!queue_id_valid(span_cstr(id))) {
		log_error("%s: the name of a queue file is its queue id", path);
		close(fd);
		return EX_USAGE;
	}
	opened = queue_open_fd(fd, id, &m);
	return show_opened(opened, m, path, shown);
}

/* --- command line ------------------------------------------------------------------------------------------------- */

static int usage(void)
{
	log_error("usage: postcat [-c config_dir] [-behov] -q queue_id ... | file ...");
	return EX_USAGE;
}

static bool set_option(struct shown *shown, int letter, bool *by_id, const char **dir)
{
	switch (letter) {
	case 'b':
		return shown->body = true;
	case 'e':
		return shown->envelope = shown->journal = true;
	case 'h':
		return shown->header = true;
	case 'o':
		return shown->offsets = true;
	case 'q':
		return *by_id = true;
	case 'c':
		*dir = optarg;
		return true;
	case 'v':
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	struct shown shown = { false, false, false, false, false };
	const char *dir = NULL;
	bool by_id = false;
	int letter, status = EX_OK;

	log_open("postcat", LOG_TO_STDERR, -1, 0);
	while ((letter = getopt(argc, argv, "bc:ehoqv")) != -1)
		if (!set_option(&shown, letter, &by_id, &dir))
			return usage();
	if (optind == argc)
		return usage();
	if (!shown.envelope && !shown.header && !shown.body)
		shown.envelope = shown.header = shown.body = shown.journal = true;
	if (by_id) {
		conf_load_or_die(conf_dir(dir));
		if (chdir(conf->queue_directory) < 0) {
			log_error("%s: %m", conf->queue_directory);
			return EX_UNAVAILABLE;
		}
	}
	for (int i = optind; i < argc; i++) {
		int one = by_id ? show_id(argv[i], &shown) : show_file(argv[i], &shown);

		status = one == EX_OK ? status : one;
	}
	return status;
}
