/* SPDX-License-Identifier: BSD-2-Clause */
/* mail_location: DRIVER:ROOT[:KEY=VALUE ...], with Dovecot 2.3's variables. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/mem.h"
#include "lib/store/fs.h"
#include "lib/store/store-int.h"

/* --- %-variables ------------------------------------------------------------------------------------------------ */

static struct span part_of(struct span name, bool domain)
{
	ptrdiff_t at = span_rchr(name, '@');

	if (at < 0)
		return domain ? SPAN_NONE : name;
	return domain ? span_skip(name, (size_t)at + 1) : span_head(name, (size_t)at);
}

static bool value_of(const struct user *u, char c, struct span *v)
{
	switch (c) {
	case 'u':
		*v = u->name;
		return true;
	case 'n':
		*v = part_of(u->name, false);
		return true;
	case 'd':
		*v = part_of(u->name, true);
		return true;
	case 'h':
		*v = span_cstr(u->home);
		return true;
	case '%':
		*v = SPAN("%");
		return true;
	default:
		return false;
	}
}

static char long_name(struct span name)
{
	static const struct {
		const char *name;
		char c;
	} names[] = { { "user", 'u' }, { "username", 'n' }, { "domain", 'd' }, { "home", 'h' } };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (span_is(name, names[i].name))
			return names[i].c;
	return '\0';
}

struct modifiers {
	int64_t offset, width; /* width 0: all */
	bool lower, upper, reverse;
};

static int64_t number(struct span *s)
{
	int64_t n = 0;
	bool minus = s->len > 0 && s->ptr[0] == '-';

	if (minus)
		*s = span_skip(*s, 1);
	for (; s->len > 0 && ascii_isdigit(s->ptr[0]) && n < 100000; *s = span_skip(*s, 1))
		n = n * 10 + (s->ptr[0] - '0');
	return minus ? -n : n;
}

/* [[offset.]width] and the letters L, U, R, T, E in front of the variable; s begins behind the %. */
static struct modifiers take_modifiers(struct span *s)
{
	struct modifiers m = { 0 };

	if (s->len > 0 && (ascii_isdigit(s->ptr[0]) || s->ptr[0] == '-'))
		m.width = number(s);
	if (s->len > 0 && s->ptr[0] == '.') {
		*s = span_skip(*s, 1);
		m.offset = m.width;
		m.width = number(s);
	}
	for (; s->len > 1 && strchr("LURTE", s->ptr[0]) != NULL; *s = span_skip(*s, 1)) {
		m.lower |= s->ptr[0] == 'L';
		m.upper |= s->ptr[0] == 'U';
		m.reverse |= s->ptr[0] == 'R';
	}
	return m;
}

static void add_value(struct buf *out, struct span v, const struct modifiers *m)
{
	int64_t offset = m->offset < 0 ? (int64_t)v.len + m->offset : m->offset;

	v = span_skip(v, offset < 0 ? 0 : (size_t)offset < v.len ? (size_t)offset : v.len);
	if (m->width > 0)
		v = span_head(v, (size_t)m->width < v.len ? (size_t)m->width : v.len);
	for (size_t i = 0; i < v.len; i++) {
		char c = v.ptr[m->reverse ? v.len - 1 - i : i];

		buf_addc(out, m->lower ? ascii_lower(c) : m->upper ? ascii_upper(c) : c);
	}
}

/* s begins behind a %; steps over the variable. What is not one stays as it is. */
static void expand_one(struct buf *out, struct span *s, const struct user *u)
{
	struct span start = *s, v;
	struct modifiers m = take_modifiers(s);
	char c = s->len > 0 ? s->ptr[0] : '\0';

	*s = span_skip(*s, 1);
	if (c == '{') {
		ptrdiff_t end = span_chr(*s, '}');

		c = end < 0 ? '\0' : long_name(span_head(*s, (size_t)end));
		if (end >= 0)
			*s = span_skip(*s, (size_t)end + 1);
	}
	if (value_of(u, c, &v)) {
		add_value(out, v, &m);
		return;
	}
	buf_addc(out, '%');
	*s = start;
}

const char *store_expand(struct arena *a, const char *location, const struct user *u)
{
	struct span s = span_cstr(location);
	struct buf out;
	const char *text;

	buf_init(&out, 8192);
	while (s.len > 0) {
		ptrdiff_t at = span_chr(s, '%');

		buf_add_span(&out, span_head(s, at < 0 ? s.len : (size_t)at));
		if (at < 0)
			break;
		s = span_skip(s, (size_t)at + 1);
		expand_one(&out, &s, u);
	}
	text = arena_cstr(a, buf_span(&out));
	buf_free(&out);
	return text;
}

/* --- parsing ------------------------------------------------------------------------------------------------------ */

struct location {
	enum store_kind kind;
	const char *root, *inbox, *index, *control, *subscriptions;
	bool no_index; /* INDEX=MEMORY */
};

static bool is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

static const char *home_path(struct arena *a, const char *path, const struct user *u)
{
	char *full;
	size_t n;

	if (path[0] == '~' && (path[1] == '/' || path[1] == '\0'))
		full = arena_printf(a, "%s%s", u->home ? u->home : "", path + 1);
	else
		full = arena_strdup(a, path);
	n = strlen(full);
	while (n > 1 && full[n - 1] == '/')
		full[--n] = '\0';
	return full;
}

static enum store_status refuse(const char **why, const char *text)
{
	*why = text;
	return STORE_ERROR;
}

/* Options that change nothing here: where caches go, what index files are called. */
static bool is_ignored(struct span key)
{
	static const char *const keys[] = { "VOLATILEDIR", "LISTINDEX",  "ITERINDEX", "NO-NOSELECT", "ALT",
					    "BROKENCHAR",  "INDEXCACHE", "INDEXPVT",  "CONTROLPVT" };

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (span_is(key, keys[i]))
			return true;
	return false;
}

static void take_index(struct arena *a, const char *value, const struct user *u, struct location *l)
{
	l->no_index = strcmp(value, "MEMORY") == 0;
	l->index = l->no_index ? NULL : home_path(a, value, u);
}

static enum store_status take_option(struct arena *a, struct span opt, const struct user *u, struct location *l, const char **why)
{
	struct span key = span_cut(&opt, '=');
	const char *value = arena_cstr(a, opt);

	if (span_is(key, "INBOX"))
		l->inbox = home_path(a, value, u);
	else if (span_is(key, "INDEX"))
		take_index(a, value, u, l);
	else if (span_is(key, "CONTROL"))
		l->control = home_path(a, value, u);
	else if (span_is(key, "SUBSCRIPTIONS") && strchr(value, '/') == NULL)
		l->subscriptions = value;
	else if (span_is(key, "LAYOUT") && strcmp(value, l->kind == STORE_MBOX ? "fs" : "maildir++") == 0)
		return STORE_OK;
	else if (!is_ignored(key))
		return refuse(why, arena_printf(a, "mail_location: " SPAN_FMT "%s%s is not supported", SPAN_ARG(key),
						*value ? "=" : "", value));
	return STORE_OK;
}

static const char *bare_path(struct arena *a, const char *path)
{
	return arena_printf(a, "mail_location names the mailbox file %s, but has to name the directory of the folders first: "
			    "write mbox:~/mail:INBOX=%s", path, path);
}

/* No driver: what is there decides. */
static enum store_status guess_driver(struct arena *a, const char *path, struct location *l, const char **why)
{
	if (is_dir(arena_printf(a, "%s/cur", path)))
		l->kind = STORE_MAILDIR;
	else if (is_dir(path))
		l->kind = STORE_MBOX;
	else
		return refuse(why, bare_path(a, path));
	return STORE_OK;
}

static enum store_status parse(struct arena *a, const char *text, const struct user *u, struct location *l, const char **why)
{
	struct span rest = span_cstr(text), root;
	enum store_status s = STORE_OK;

	if (span_starts(rest, "mbox:") || span_starts(rest, "maildir:")) {
		l->kind = span_starts(rest, "mbox:") ? STORE_MBOX : STORE_MAILDIR;
		span_cut(&rest, ':');
	} else if (rest.len > 0 && rest.ptr[0] != '/' && rest.ptr[0] != '~') {
		return refuse(why, arena_printf(a, "mail_location: " SPAN_FMT " is not a format known here; mbox and maildir are",
						SPAN_ARG(span_cut(&rest, ':'))));
	} else {
		struct span path = rest;

		s = guess_driver(a, home_path(a, arena_cstr(a, span_cut(&path, ':')), u), l, why);
	}
	root = span_cut(&rest, ':');
	if (s == STORE_OK && root.len == 0)
		return refuse(why, "mail_location: a directory has to follow the format");
	l->root = home_path(a, arena_cstr(a, root), u);
	while (s == STORE_OK && rest.len > 0)
		s = take_option(a, span_cut(&rest, ':'), u, l, why);
	return s;
}

static const char *found_out(struct arena *a, const struct user *u)
{
	static const char *const roots[] = { "mail", "Mail" };

	if (is_dir(arena_printf(a, "%s/Maildir/cur", u->home)))
		return "maildir:~/Maildir";
	for (size_t i = 0; i < 2; i++)
		if (is_dir(arena_printf(a, "%s/%s", u->home, roots[i])))
			return arena_printf(a, "mbox:~/%s:INBOX=/var/mail/%%u", roots[i]);
	return "mbox:~/mail:INBOX=/var/mail/%u";
}

static enum store_status check(struct arena *a, const struct location *l, const char **why)
{
	const char *paths[] = { l->root, l->inbox, l->index, l->control };

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		if (paths[i] != NULL && paths[i][0] != '/')
			return refuse(why, arena_printf(a, "mail_location: %s is not an absolute path", paths[i]));
	if (l->kind == STORE_MBOX && is_file(l->root))
		return refuse(why, bare_path(a, l->root));
	return STORE_OK;
}

/* Names that could lead a path elsewhere never get here from userdb; a second look costs nothing. */
static bool user_ok(struct span name)
{
	return name.len > 0 && span_chr(name, '/') < 0 && span_chr(name, '\0') < 0 && name.ptr[0] != '.';
}

static struct store *make_store(const struct location *l, const struct user *u)
{
	struct store *s = mem_zalloc(sizeof *s);
	const char *control = l->control ? l->control : l->root;
	bool mbox = l->kind == STORE_MBOX;

	s->kind = l->kind;
	s->root = mem_strdup(l->root);
	s->inbox = l->inbox ? mem_strdup(l->inbox) : mbox ? fs_join(l->root, "inbox") : mem_strdup(l->root);
	s->index = mem_strdup(l->control ? l->control : l->index ? l->index : l->root);
	s->index_root = l->no_index ? NULL : mem_strdup(l->index ? l->index : l->root);
	s->subscriptions = fs_join(control, l->subscriptions ? l->subscriptions : mbox ? ".subscriptions" : "subscriptions");
	s->validity_file = mbox ? fs_join(s->index, ".imap/posthouse-uidvalidity") : fs_join(s->root, "posthouse-uidvalidity");
	s->user = mem_strndup(u->name.ptr, u->name.len);
	return s;
}

enum store_status store_open(struct arena *a, const struct user *u, const char *mail_location, struct store **s_r, const char **why)
{
	struct location l = { 0 };
	enum store_status s;

	*why = NULL;
	if (u->mail_location != NULL && *u->mail_location)
		mail_location = u->mail_location;
	if (!user_ok(u->name))
		return refuse(why, "not an acceptable user name");
	if (mail_location == NULL || *mail_location == '\0') {
		if (u->home == NULL || !is_dir(u->home))
			return refuse(why, arena_printf(a, "no mail_location, and no home directory %s to find mail in",
							u->home ? u->home : ""));
		mail_location = found_out(a, u);
	}
	s = parse(a, store_expand(a, mail_location, u), u, &l, why);
	if (s == STORE_OK)
		s = check(a, &l, why);
	if (s == STORE_OK)
		*s_r = make_store(&l, u);
	return s;
}

void store_close(struct store *s)
{
	free(s->root);
	free(s->inbox);
	free(s->index);
	free(s->index_root);
	free(s->subscriptions);
	free(s->validity_file);
	free(s->user);
	free(s);
}
