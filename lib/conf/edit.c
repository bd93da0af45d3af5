/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/conf/edit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/conf/lines.h"
#include "lib/conf/raw.h"

/* What a physical line is. */
static bool is_left_out(struct span line)
{
	struct span s = span_trim(line);

	return s.len == 0 || s.ptr[0] == '#';
}

static bool is_continuation(struct span line)
{
	return line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t');
}

/* The next physical line of *rest with its line end; a missing last one is in missing_r. */
static struct span take_line(struct span *rest)
{
	ptrdiff_t end = span_chr(*rest, '\n');
	struct span line = end < 0 ? *rest : span_head(*rest, (size_t)end + 1);

	*rest = span_skip(*rest, line.len);
	return line;
}

static struct span without_line_end(struct span line)
{
	if (span_ends(line, "\n"))
		line.len--;
	if (span_ends(line, "\r"))
		line.len--;
	return line;
}

static void add_line(struct buf *out, struct span line)
{
	buf_add_span(out, line);
	if (!span_ends(line, "\n"))
		buf_addc(out, '\n');
}

/* --- main.cf ------------------------------------------------------------------------------------------------------ */

static void add_assignment(struct buf *out, const struct edit *e)
{
	buf_add_span(out, e->name);
	buf_adds(out, e->value.len ? " = " : " =");
	for (size_t i = 0; i < e->value.len; i++)
		buf_addc(out, e->value.ptr[i] == '\n' || e->value.ptr[i] == '\r' ? ' ' : e->value.ptr[i]);
	buf_addc(out, '\n');
}

static ptrdiff_t find_edit(struct span line, const struct edit *edits, size_t n)
{
	struct span name, value;

	if (raw_parse_assignment(span_head(line, line.len), &name, &value) != NULL)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (span_eq(edits[i].name, name))
			return (ptrdiff_t)i;
	return -1;
}

void edit_maincf(struct span text, enum edit_how how, const struct edit *edits, size_t n, struct buf *out)
{
	bool *done = mem_zalloc(n + 1);
	ptrdiff_t at = -1; /* the edit that concerns the logical line we are in */

	while (text.len > 0) {
		struct span line = take_line(&text);

		if (is_left_out(line)) {
			add_line(out, line);
			continue;
		}
		if (!is_continuation(line)) {
			at = find_edit(line, edits, n);
			if (at >= 0 && how == EDIT_SET && !done[at])
				add_assignment(out, &edits[at]);
			if (at >= 0)
				done[at] = true;
		}
		if (at >= 0 && how == EDIT_COMMENT)
			buf_addc(out, '#');
		if (at < 0 || how == EDIT_COMMENT)
			add_line(out, line);
	}
	for (size_t i = 0; how == EDIT_SET && i < n; i++)
		if (!done[i])
			add_assignment(out, &edits[i]);
	free(done);
}

/* --- master.cf ---------------------------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span take_word(struct span *rest)
{
	size_t n = 0, depth = 0;

	while (rest->len > 0 && is_blank(rest->ptr[0]))
		*rest = span_skip(*rest, 1);
	for (; n < rest->len; n++) {
		char c = rest->ptr[n];

		if (depth == 0 && is_blank(c))
			break;
		if (c == '{' && (depth > 0 || n == 0))
			depth++;
		else if (c == '}' && depth > 0)
			depth--;
	}
	*rest = span_skip(*rest, n);
	return span_of(rest->ptr - n, n);
}

bool entry_parse(struct span line, struct entry *out)
{
	struct span rest = line;

	out->n = 0;
	for (;;) {
		struct span word = take_word(&rest);

		if (word.len == 0)
			return out->n >= 8;
		if (out->n == ENTRY_WORDS_MAX)
			return false;
		out->words[out->n++] = word;
	}
}

void entry_print(const struct entry *e, struct buf *out)
{
	static const int widths[] = { 10, 12, 7, 7, 7, 7, 7 };

	for (size_t i = 0; i < 7; i++)
		buf_addf(out, "%-*.*s ", widths[i], SPAN_ARG(e->words[i]));
	buf_add_span(out, e->words[7]);
	for (size_t i = 8; i < e->n; i++) {
		bool option = span_is(e->words[i], "-o") && i + 1 < e->n;

		buf_addf(out, option ? "\n    -o " : " ");
		buf_add_span(out, e->words[option ? ++i : i]);
	}
	buf_addc(out, '\n');
}

/* name=value or { name = value } */
static bool override_is(struct span word, struct span name, struct span *value_r)
{
	struct span found;

	if (span_starts(word, "{") && span_ends(word, "}"))
		word = span_trim(span_of(word.ptr + 1, word.len - 2));
	return raw_parse_assignment(word, &found, value_r) == NULL && (name.len == 0 || span_eq(found, name));
}

size_t entry_override(const struct entry *e, struct span name, struct span *value_r)
{
	size_t found = 0;

	for (size_t i = 8; i + 1 < e->n; i++) {
		struct span value;

		if (!span_is(e->words[i], "-o") || !override_is(e->words[i + 1], name, &value))
			continue;
		*value_r = value;
		found = ++i;
	}
	return found;
}

/* The physical lines of the entry at the front of *text: comments within it included, those after it not. */
static struct span take_entry(struct span *text, struct buf *logical)
{
	struct span rest = *text, line = take_line(&rest);
	size_t taken = line.len;

	buf_reset(logical);
	buf_add_span(logical, without_line_end(line));
	for (size_t ahead = taken; rest.len > 0;) {
		line = take_line(&rest);
		ahead += line.len;
		if (is_left_out(line))
			continue;
		if (!is_continuation(line))
			break;
		buf_add_span(logical, without_line_end(line));
		taken = ahead;
	}
	line = span_head(*text, taken);
	*text = span_skip(*text, taken);
	return line;
}

void edit_mastercf(struct span text, bool (*change)(void *ctx, struct entry *e, struct span lines, struct buf *out),
		   void *ctx, struct buf *out)
{
	struct buf logical;
	struct entry *e = mem_alloc(sizeof *e);

	buf_init(&logical, LINES_LINE_MAX);
	while (text.len > 0) {
		struct span rest = text, line = take_line(&rest);

		if (is_left_out(line) || is_continuation(line)) {
			add_line(out, line);
			text = rest;
			continue;
		}
		line = take_entry(&text, &logical);
		if (!entry_parse(buf_span(&logical), e) || !change(ctx, e, line, out))
			add_line(out, line);
	}
	buf_free(&logical);
	free(e);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static int write_all(int fd, struct span text)
{
	while (text.len > 0) {
		ssize_t n = write(fd, text.ptr, text.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		text = span_skip(text, (size_t)n);
	}
	return 0;
}

static int fill_file(int fd, const char *old, struct span text)
{
	struct stat st;

	if (stat(old, &st) < 0 || fchmod(fd, st.st_mode & 07777) < 0)
		return -1;
	if ((st.st_uid != geteuid() || st.st_gid != getegid()) && fchown(fd, st.st_uid, st.st_gid) < 0)
		return -1;
	return write_all(fd, text) < 0 || fsync(fd) < 0 ? -1 : 0;
}

static int sync_directory_of(const char *path)
{
	AUTO_FREE char *dir = mem_strdup(path);
	char *slash = strrchr(dir, '/');
	int fd, rc;

	if (slash)
		slash[slash == dir] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

int edit_replace_file(const char *path, struct span text)
{
	/* A link is followed, so that the file it names is replaced and not the link. */
	AUTO_FREE char *real = realpath(path, NULL);
	char temp[PATH_MAX + sizeof ".XXXXXX"];
	int fd, rc, saved;

	if (real == NULL)
		return -1;
	snprintf(temp, sizeof temp, "%s.XXXXXX", real);
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return -1;
	rc = fill_file(fd, real, text);
	close(fd);
	if (rc == 0 && rename(temp, real) == 0)
		return sync_directory_of(real);
	saved = errno;
	unlink(temp);
	errno = saved;
	return -1;
}
