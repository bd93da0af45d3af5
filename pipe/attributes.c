/* SPDX-License-Identifier: BSD-2-Clause */
#include <grp.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/service/service.h"
#include "pipe/pipe.h"

struct attributes pipe_attributes = { .eol = { "\n", 1 }, .null_sender = { "MAILER-DAEMON", 13 } };
static struct arena arena;

static void read_flags(struct span text)
{
	static const char letters[] = "BDFORXhuq.>"; /* in the order of enum pipe_flag */

	for (size_t i = 0; i < text.len; i++) {
		const char *at = strchr(letters, text.ptr[i]);

		if (at == NULL || text.ptr[i] == '\0')
			log_fatal("service %s: unknown flag in flags=: %c", service_name(), text.ptr[i]);
		pipe_attributes.flags |= 1u << (at - letters);
	}
}

static void read_group(struct rights *r, struct span name)
{
	const struct group *g;

	if (name.len == 0 || !rights_privileged())
		return;
	g = getgrnam(arena_cstr(&arena, name));
	if (g == NULL)
		log_fatal("service %s: unknown group in user=: " SPAN_FMT, service_name(), SPAN_ARG(name));
	r->gid = g->gr_gid;
}

/* user or user:group. The command gets letters of strangers: neither root nor the owner of the queue is to read them so. */
static void read_user(struct span text)
{
	struct rights *r = &pipe_attributes.rights, owner;
	struct span group = text, user = span_cut(&group, ':');

	if (!rights_of_name(&arena, arena_cstr(&arena, user), r))
		log_fatal("service %s: user= names no account: " SPAN_FMT, service_name(), SPAN_ARG(user));
	read_group(r, group);
	if (!rights_privileged())
		return;
	if (r->uid == 0 || r->gid == 0)
		log_fatal("service %s: user= must not be root", service_name());
	if (rights_of_name(&arena, conf->mail_owner, &owner) && owner.uid == r->uid)
		log_fatal("service %s: user= must not be %s, the owner of the queue", service_name(), conf->mail_owner);
}

static void read_eol(struct span text)
{
	static const char names[] = "abfnrtv\\", values[] = "\a\b\f\n\r\t\v\\";
	char *out = arena_alloc(&arena, text.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		const char *at = text.ptr[i] == '\\' && i + 1 < text.len ? strchr(names, text.ptr[i + 1]) : NULL;

		i += at != NULL;
		out[n++] = at ? values[at - names] : text.ptr[i];
	}
	pipe_attributes.eol = span_of(out, n);
}

static bool read_attribute(struct span name, const char *value)
{
	struct attributes *at = &pipe_attributes;

	if (span_is(name, "flags"))
		read_flags(span_cstr(value));
	else if (span_is(name, "user"))
		read_user(span_cstr(value));
	else if (span_is(name, "directory"))
		at->directory = value;
	else if (span_is(name, "chroot"))
		at->root = value;
	else if (span_is(name, "eol"))
		read_eol(span_cstr(value));
	else if (span_is(name, "null_sender"))
		at->null_sender = span_cstr(value);
	else if (span_is(name, "size"))
		return span_u64(span_cstr(value), INT64_MAX, &at->size);
	else
		return false;
	return true;
}

/* argv=PATH is the last attribute: what follows are the arguments of the command. */
static void read_argv(char *const *words, size_t n)
{
	char **argv = arena_array(&arena, n + 1, sizeof *argv);
	const char *error;

	argv[0] = arena_strdup(&arena, words[0] + strlen("argv="));
	for (size_t i = 1; i < n; i++)
		argv[i] = arena_strdup(&arena, words[i]);
	if (argv[0][0] != '/')
		log_fatal("service %s: argv= must begin with the whole path of the command: %s", service_name(), argv[0]);
	for (size_t i = 0; i < n; i++)
		if (!macros_valid(&arena, argv[i], &error))
			log_fatal("service %s: argv=: %s: %s", service_name(), argv[i], error);
	pipe_attributes.argv = argv;
	pipe_attributes.argc = n;
}

void attributes_read(char *const *words, size_t n)
{
	size_t i = 0;

	for (; i < n && strncmp(words[i], "argv=", 5) != 0; i++) {
		const char *equals = strchr(words[i], '=');

		if (!equals || !read_attribute(span_of(words[i], (size_t)(equals - words[i])), equals + 1))
			log_fatal("service %s: bad attribute: %s", service_name(), words[i]);
	}
	if (i == n)
		log_fatal("service %s: argv= is missing", service_name());
	if (pipe_attributes.rights.name == NULL)
		log_fatal("service %s: user= is missing", service_name());
	read_argv(words + i, n - i);
}
