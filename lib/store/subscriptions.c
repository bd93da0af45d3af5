/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The subscription list, in Dovecot's formats: version 1 is one name a line with the layout's separator between levels;
 * version 2 begins with "V<TAB>2" and an empty line, and has a TAB between levels. Names are in modified UTF-7.
 * A file keeps its version; a new one is version 2.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/dotlock.h"
#include "lib/store/fs.h"
#include "lib/store/store-int.h"

enum { FILE_MAX = 4 << 20, LOCK_MS = 10000 };

static char separator(const struct store *s, int version)
{
	return version == 2 ? '\t' : s->kind == STORE_MAILDIR ? '.' : '/';
}

/* A line as a path of the layout, for names_from_disk. */
static struct span line_to_name(struct store *s, struct arena *a, struct span line, int version)
{
	char from = separator(s, version), to = s->kind == STORE_MAILDIR ? '.' : '/';
	struct span disk = arena_span(a, line);

	for (size_t i = 0; i < disk.len; i++)
		if (disk.ptr[i] == from)
			((char *)disk.ptr)[i] = to;
	if (names_is_inbox(line))
		return SPAN("INBOX");
	return names_from_disk(a, s->kind, disk);
}

static void name_to_line(struct store *s, struct arena *a, struct span name, int version, struct buf *out)
{
	char *path = names_to_path(a, s->kind, name), from = s->kind == STORE_MAILDIR ? '.' : '/';

	if (names_is_inbox(name))
		path = arena_strdup(a, "INBOX");
	else if (path != NULL && s->kind == STORE_MAILDIR)
		path++;
	if (path == NULL)
		return;
	for (; *path; path++)
		buf_addc(out, *path == from ? separator(s, version) : *path);
	buf_addc(out, '\n');
}

static enum store_status load(struct store *s, struct buf *b, int *version)
{
	struct span text;

	*version = 2;
	if (fs_read_file(AT_FDCWD, s->subscriptions, b) < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return STORE_OK;
		log_error("%s: %s", s->subscriptions, strerrordesc_np(errno));
		return STORE_ERROR;
	}
	text = buf_span(b);
	if (span_starts(text, "V\t2\n"))
		buf_consume(b, span_starts(text, "V\t2\n\n") ? 5 : 4);
	else if (text.len > 0)
		*version = 1;
	return STORE_OK;
}

enum store_status subscriptions_read(struct store *s, struct arena *a, struct span **names_r, size_t *n_r)
{
	struct buf b;
	struct span rest, *names = NULL;
	size_t n = 0, cap = 0;
	int version;
	enum store_status st;

	buf_init(&b, FILE_MAX);
	st = load(s, &b, &version);
	for (rest = buf_span(&b); st == STORE_OK && rest.len > 0;) {
		struct span name = line_to_name(s, a, span_cut(&rest, '\n'), version);

		if (name.len == 0)
			continue;
		if (n == cap) {
			struct span *more = arena_array(a, cap ? cap * 2 : 32, sizeof *more);

			if (n > 0)
				memcpy(more, names, n * sizeof *names);
			names = more;
			cap = cap ? cap * 2 : 32;
		}
		names[n++] = name;
	}
	buf_free(&b);
	*names_r = names;
	*n_r = n;
	return st;
}

/* The old list without name, and with it at the end when on. */
static enum store_status rewrite(struct store *s, struct arena *a, struct span name, bool on)
{
	struct buf old, out;
	int version;
	enum store_status st;

	buf_init(&old, FILE_MAX);
	buf_init(&out, FILE_MAX);
	st = load(s, &old, &version);
	if (version == 2)
		buf_adds(&out, "V\t2\n\n");
	for (struct span rest = buf_span(&old); rest.len > 0;) {
		struct span line = span_cut(&rest, '\n');

		if (line.len == 0 || span_eq(line_to_name(s, a, line, version), name))
			continue;
		buf_add_span(&out, line);
		buf_addc(&out, '\n');
	}
	if (on)
		name_to_line(s, a, name, version, &out);
	if (st == STORE_OK && out.overflow)
		st = STORE_NOSPACE;
	if (st == STORE_OK && fs_replace_file(AT_FDCWD, s->subscriptions, buf_span(&out), 0600, true) < 0) {
		log_error("%s: %s", s->subscriptions, strerrordesc_np(errno));
		st = errno == ENOSPC || errno == EDQUOT ? STORE_NOSPACE : STORE_ERROR;
	}
	buf_free(&old);
	buf_free(&out);
	return st;
}

enum store_status store_subscribe(struct store *s, struct span name, bool on)
{
	struct arena a = ARENA_INIT;
	AUTO_FREE char *lock = dotlock_name(s->subscriptions);
	AUTO_FREE char *dir = mem_strdup(s->subscriptions);
	struct span normal;
	enum store_status st;

	if (!names_normal(&a, name, &normal) || names_to_path(&a, s->kind, normal) == NULL) {
		arena_free(&a);
		return STORE_BADNAME;
	}
	*strrchr(dir, '/') = '\0';
	if (fs_make_dirs(dir, 0700) < 0 || dotlock_take(lock, clock_deadline(LOCK_MS)) < 0) {
		log_error("%s: %s", lock, strerrordesc_np(errno));
		st = errno == EAGAIN ? STORE_LOCKED : STORE_ERROR;
	} else {
		st = rewrite(s, &a, normal, on);
		dotlock_release(lock);
	}
	arena_free(&a);
	return st;
}
