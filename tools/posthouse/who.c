/* SPDX-License-Identifier: BSD-2-Clause */
/* posthouse who, posthouse kick: asked of the parents of the users' processes, one for each service of imapd and pop3d. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/io/frame.h"
#include "lib/service/handover.h"
#include "tools/posthouse/posthouse.h"

enum { ANSWER_MS = 60000, SERVICES_MAX = 64 };

static struct {
	struct arena arena;
	const char *service[SERVICES_MAX];
	size_t n, seen;
} w;

static void note_service(const struct control_service *s)
{
	bool ours = span_is(s->program, "imapd") || span_is(s->program, "pop3d");

	if (ours && span_is(s->type, "unix") && s->workers > 0 && w.n < SERVICES_MAX)
		w.service[w.n++] = arena_cstr(&w.arena, s->name);
}

static void show(const char *service, const struct handover_seen *s)
{
	char address[NETADDR_TEXT_MAX], since[32] = "";
	time_t at = (time_t)s->since;
	struct tm tm;

	if (gmtime_r(&at, &tm) != NULL)
		strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", &tm);
	printf(SPAN_FMT "\t%s\t%s\t%u\t%s\t%s\n", SPAN_ARG(s->user), service, netaddr_text(&s->remote, address), s->pid,
	       s->secured ? "secured" : "clear", since);
}

/* False: it did not answer to the end. */
static bool ask(const char *service, const struct handover_who *who)
{
	AUTO_FREE char *path = mem_printf("private/%s", service);
	int64_t deadline = clock_deadline(ANSWER_MS);
	int fd = frame_connect(path, deadline);
	struct handover_seen seen;
	struct buf frame;
	bool over = false, ok;

	if (fd < 0)
		return errno == ENOENT || errno == ECONNREFUSED; /* it has just gone */
	buf_init(&frame, FRAME_MAX);
	ok = handover_put_who(&frame, who) && frame_send(fd, buf_span(&frame), -1, deadline) == IO_OK;
	while (ok && !over) {
		ok = frame_recv(fd, &frame, NULL, deadline) == IO_OK && handover_get_seen(buf_span(&frame), &seen);
		over = ok && seen.user.len == 0;
		if (!ok || over)
			continue;
		w.seen++;
		show(service, &seen);
	}
	buf_free(&frame);
	close(fd);
	return ok;
}

static int ask_all(const struct handover_who *who)
{
	int status = ask_master(CONTROL_STATUS, "", note_service); /* leaves us in queue_directory */

	for (size_t i = 0; status == 0 && i < w.n; i++)
		if (!ask(w.service[i], who)) {
			log_error("no answer from %s", w.service[i]);
			status = EX_TEMPFAIL;
		}
	return status;
}

int show_who(void)
{
	return ask_all(&(struct handover_who){ 0 });
}

int kick(const char *whom)
{
	struct handover_who who = { .kick = true };
	int status;

	if (whom == NULL || *whom == '\0' || strlen(whom) > HANDOVER_USER_MAX) {
		fputs("usage: posthouse kick user|address\n", stderr);
		return EX_USAGE;
	}
	if (!netaddr_parse(span_cstr(whom), &who.remote))
		who.user = span_cstr(whom);
	status = ask_all(&who);
	if (status == 0 && w.seen == 0) {
		log_error("%s: no session", whom);
		return EX_NOUSER;
	}
	return status;
}
