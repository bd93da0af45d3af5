/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/map/passwdfile.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

enum { USER_NAME_MAX = 255 };

bool passwd_name_valid(struct span name)
{
	if (name.len == 0 || name.len > USER_NAME_MAX || name.ptr[0] == '-' || span_is(name, ".") ||
	    span_is(name, ".."))
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (ascii_iscntrl(name.ptr[i]) || strchr(" :/", name.ptr[i]) != NULL)
			return false;
	return true;
}

static bool is_flag(struct span word, struct span name)
{
	struct span value = span_skip(word, name.len);

	return span_starts(word, name.ptr) && (value.len == 0 || span_is(value, "=yes") || span_is(value, "=y"));
}

static void take_extra(struct span extra, struct passwd_line *out)
{
	struct {
		const char *name;
		struct span *value;
	} known[] = {
		{ "userdb_mail=", &out->mail },
		{ "userdb_home=", &out->home },
		{ "userdb_uid=", &out->uid },
		{ "userdb_gid=", &out->gid },
	};
	struct span word;

	while (span_word(&extra, " \t", &word)) {
		out->disabled |= is_flag(word, SPAN("disabled"));
		out->no_login |= is_flag(word, SPAN("nologin"));
		for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
			if (span_starts(word, known[i].name))
				*known[i].value = span_skip(word, strlen(known[i].name));
	}
}

bool passwd_line_parse(struct span line, struct passwd_line *out)
{
	struct span rest = line, gecos,
		    *fields[] = { &out->name, &out->hash, &out->uid, &out->gid, &gecos, &out->home, &out->shell };

	*out = (struct passwd_line){ 0 };
	for (size_t i = 0; i < line.len; i++)
		if (ascii_iscntrl(line.ptr[i]) && line.ptr[i] != '\t')
			return false;
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		*fields[i] = span_cut(&rest, ':');
	take_extra(rest, out);
	return passwd_name_valid(out->name);
}

static bool is_comment(struct span line)
{
	struct span s = span_trim(line);

	return s.len == 0 || s.ptr[0] == '#';
}

static void add_user(struct passwd_file *f, const struct passwd_line *line)
{
	struct passwd_line *copy = arena_alloc(&f->arena, sizeof *copy);

	*copy = *line;
	htab_put(&f->users, copy->name, copy);
}

/* Everything but the passwords of text, in f->text. */
static void copy_text(struct passwd_file *f, struct span text, bool with_hashes)
{
	struct span rest = text;

	f->text = mem_alloc(text.len + 1);
	f->len = text.len;
	if (text.len)
		memcpy(f->text, text.ptr, text.len);
	while (!with_hashes && rest.len > 0) {
		struct span line = span_cut(&rest, '\n'), after = line, hash;

		(void)span_cut(&after, ':');
		hash = span_cut(&after, ':');
		if (hash.len > 0)
			memset(f->text + (hash.ptr - text.ptr), '*', hash.len);
	}
}

struct passwd_file *passwd_file_parse(const char *file, struct span text, bool with_hashes, struct buf *warnings)
{
	struct passwd_file *f = mem_zalloc(sizeof *f);
	struct span rest;
	int at = 0;

	copy_text(f, text, with_hashes);
	rest = span_of(f->text, f->len);
	while (rest.len > 0) {
		struct span s = span_cut(&rest, '\n');
		struct passwd_line line;

		at++;
		if (span_ends(s, "\r"))
			s.len--;
		if (is_comment(s))
			continue;
		if (!passwd_line_parse(s, &line))
			buf_addf(warnings, "%s:%d: not a line of a passwd-file: left out\n", file, at);
		else if (passwd_file_find(f, line.name))
			buf_addf(warnings, "%s:%d: " SPAN_FMT " is there already: the first one counts\n", file, at,
				 SPAN_ARG(line.name));
		else
			add_user(f, &line);
	}
	return f;
}

const struct passwd_line *passwd_file_find(const struct passwd_file *f, struct span name)
{
	return htab_get(&f->users, name);
}

void passwd_file_free(struct passwd_file *f)
{
	if (f == NULL)
		return;
	mem_wipe(f->text, f->len);
	free(f->text);
	htab_free(&f->users);
	arena_free(&f->arena);
	free(f);
}
