/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/dotlock.h"
#include "lib/store/maildir-int.h"

enum { LIST_MAX = 512 << 20 };

static bool parse_header(struct span line, struct uidlist *l, int *version)
{
	struct span word;
	uint64_t n;

	if (!span_word(&line, " ", &word) || !span_u64(word, 3, &n) || (n != 1 && n != 3))
		return false;
	*version = (int)n;
	if (n == 1) {
		uint64_t validity, next;
		struct span v, x;

		if (!span_word(&line, " ", &v) || !span_word(&line, " ", &x) || !span_u64(v, UINT32_MAX, &validity) ||
		    !span_u64(x, UINT32_MAX, &next))
			return false;
		l->uidvalidity = (uint32_t)validity;
		l->uidnext = (uint32_t)next;
		return validity != 0 && next != 0;
	}
	while (span_word(&line, " ", &word)) {
		if (word.ptr[0] == 'V' && span_u64(span_skip(word, 1), UINT32_MAX, &n))
			l->uidvalidity = (uint32_t)n;
		else if (word.ptr[0] == 'N' && span_u64(span_skip(word, 1), UINT32_MAX, &n))
			l->uidnext = (uint32_t)n;
		else if (l->header_extra.len == 0)
			l->header_extra = span_of(word.ptr, word.len + line.len);
	}
	return l->uidvalidity != 0 && l->uidnext != 0;
}

static bool parse_line(struct span line, int version, struct uidlist_entry *e)
{
	struct span uid = span_cut(&line, ' '), file;
	ptrdiff_t colon;
	uint64_t n;

	if (!span_u64(uid, UINT32_MAX - 1, &n) || n == 0)
		return false;
	*e = (struct uidlist_entry){ .uid = (uint32_t)n };
	if (version == 1) {
		file = line;
	} else {
		colon = span_chr(line, ':');
		if (colon < 0)
			return false;
		e->extra = span_trim(span_head(line, (size_t)colon));
		file = span_skip(line, (size_t)colon + 1);
	}
	e->base = span_cut(&file, ':');
	return e->base.len > 0 && span_chr(e->base, '/') < 0;
}

void uidlist_parse(struct arena *a, struct span text, struct uidlist *l)
{
	struct span rest = text, line;
	size_t lines = 0, cap;
	int version = 3;

	*l = (struct uidlist){ 0 };
	line = span_cut(&rest, '\n');
	if (!parse_header(line, l, &version)) {
		*l = (struct uidlist){ .damaged = true };
		return;
	}
	for (const char *p = rest.ptr, *end = p + rest.len; p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
		lines++;
	cap = lines + 1;
	l->v = arena_array(a, cap, sizeof *l->v);
	l->torn = text.len > 0 && !span_ends(text, "\n");
	l->damaged = version != 3;
	while (rest.len > 0 && l->n < cap) {
		bool whole = span_chr(rest, '\n') >= 0;
		struct uidlist_entry e;

		line = span_cut(&rest, '\n');
		/* a line without an end may be half a name */
		if (!whole || !parse_line(line, version, &e) || (l->n > 0 && e.uid <= l->v[l->n - 1].uid)) {
			l->damaged |= whole && line.len > 0;
			continue;
		}
		l->v[l->n++] = e;
	}
	if (l->n > 0 && l->v[l->n - 1].uid >= l->uidnext)
		l->uidnext = l->v[l->n - 1].uid + 1;
}

struct span uidlist_field(struct span extra, char letter)
{
	struct span word;

	while (span_word(&extra, " ", &word))
		if (word.ptr[0] == letter)
			return span_skip(word, 1);
	return SPAN_NONE;
}

void uidlist_header(struct buf *out, uint32_t uidvalidity, uint32_t uidnext, struct span extra)
{
	buf_addf(out, "3 V%u N%u", uidvalidity, uidnext);
	if (extra.len > 0) {
		buf_addc(out, ' ');
		buf_add_span(out, extra);
	}
	buf_addc(out, '\n');
}

void uidlist_line(struct buf *out, uint32_t uid, struct span extra, struct span file)
{
	buf_addf(out, "%u ", uid);
	if (extra.len > 0) {
		buf_add_span(out, extra);
		buf_addc(out, ' ');
	}
	buf_addc(out, ':');
	buf_add_span(out, file);
	buf_addc(out, '\n');
}

/* --- the file ------------------------------------------------------------------------------------------------------- */

enum store_status maildir_lock_list(struct folder *f, char **lock_r)
{
	char *path = maildir_path(f, "dovecot-uidlist", NULL), *lock = dotlock_name(path);

	free(path);
	if (dotlock_take(lock, store_lock_deadline()) == 0) {
		*lock_r = lock;
		return STORE_OK;
	}
	free(lock);
	*lock_r = NULL;
	if (errno == EACCES || errno == EROFS || errno == EPERM) {
		f->unwritable = true;
		return STORE_REFUSED;
	}
	return folder_errno(f, "dovecot-uidlist.lock", errno);
}

void maildir_unlock_list(char *lock)
{
	if (lock == NULL)
		return;
	dotlock_release(lock);
	free(lock);
}

static void note_list(struct folder *f, uint32_t uidvalidity, uint32_t uidnext)
{
	f->maildir->list.ident = f->maildir->list_ident;
	f->maildir->list.uidvalidity = uidvalidity;
	f->maildir->list.uidnext = uidnext;
}

enum store_status maildir_read_list(struct folder *f, struct arena *a, struct uidlist *l)
{
	AUTO_FREE char *path = maildir_path(f, "dovecot-uidlist", NULL);
	enum store_status s = STORE_OK;
	struct stat st;
	struct buf b;

	*l = (struct uidlist){ 0 };
	f->maildir->list_ident = (struct ident){ 0 };
	buf_init(&b, LIST_MAX);
	if (stat(path, &st) == 0)
		f->maildir->list_ident = ident_of(&st);
	if (fs_read_file(AT_FDCWD, path, &b) == 0)
		uidlist_parse(a, arena_span(a, buf_span(&b)), l);
	else if (errno != ENOENT)
		s = folder_errno(f, "dovecot-uidlist", errno);
	if (l->damaged && l->uidvalidity == 0)
		log_warn("%s/dovecot-uidlist: damaged, written anew", f->path);
	buf_free(&b);
	note_list(f, s == STORE_OK && !l->damaged && !l->torn ? l->uidvalidity : 0, l->uidnext);
	return s;
}

enum store_status maildir_peek_list(struct folder *f, struct arena *a, struct uidlist *l)
{
	AUTO_FREE char *path = maildir_path(f, "dovecot-uidlist", NULL);
	const struct maildir *m = f->maildir;
	struct ident now = { 0 };
	struct stat st;

	if (stat(path, &st) == 0)
		now = ident_of(&st);
	if (m->list.uidvalidity == 0 || !now.exists || !ident_same(&now, &m->list.ident))
		return maildir_read_list(f, a, l);
	*l = (struct uidlist){ .uidvalidity = m->list.uidvalidity, .uidnext = m->list.uidnext };
	return STORE_OK;
}

/* "G<guid>" among the fields of a header */
static struct span find_guid(struct span fields)
{
	struct span word;

	while (span_word(&fields, " ", &word))
		if (word.len > 1 && word.ptr[0] == 'G')
			return span_skip(word, 1);
	return SPAN_NONE;
}

struct span maildir_guid(const struct folder *f, struct arena *a)
{
	enum { HEADER_MAX = 4096, GUID_MAX = 64 };
	AUTO_FREE char *path = maildir_path(f, "dovecot-uidlist", NULL);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), version;
	struct span rest, guid = SPAN_NONE;
	struct uidlist l = { 0 };
	char text[HEADER_MAX];
	ssize_t n;

	if (fd < 0)
		return SPAN_NONE;
	n = fs_pread_all(fd, text, sizeof text, 0);
	close(fd);
	rest = span_of(text, n > 0 ? (size_t)n : 0);
	if (parse_header(span_cut(&rest, '\n'), &l, &version) && l.uidvalidity == f->uidvalidity)
		guid = find_guid(l.header_extra);
	for (size_t i = 0; i < guid.len; i++)
		if (!ascii_isalnum(guid.ptr[i]))
			return SPAN_NONE;
	return guid.len <= GUID_MAX ? arena_span(a, guid) : SPAN_NONE;
}

/* The fields of the header of a new list: with a GUID. */
static void put_new_extra(struct buf *b, struct span extra)
{
	unsigned char id[16];

	buf_add_span(b, extra);
	if (find_guid(extra).len > 0 || getrandom(id, sizeof id, 0) != sizeof id)
		return;
	buf_adds(b, extra.len > 0 ? " G" : "G");
	for (size_t i = 0; i < sizeof id; i++)
		buf_addf(b, "%02x", id[i]);
}

static int append_lines(const char *path, bool torn, struct span lines)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW), rc;

	if (fd < 0)
		return -1;
	rc = torn ? fs_write_all(fd, SPAN("\n")) : 0;
	if (rc == 0)
		rc = fs_write_all(fd, lines);
	if (rc == 0)
		rc = fdatasync(fd);
	close(fd);
	return rc;
}

static int write_anew(const char *path, const struct uidlist *l, uint32_t uidvalidity, uint32_t uidnext, struct span lines)
{
	struct buf b, extra;
	int rc;

	buf_init(&b, LIST_MAX);
	buf_init(&extra, l->header_extra.len + 64);
	if (l->uidvalidity == uidvalidity) /* what it has no GUID for has an id without one */
		buf_add_span(&extra, l->header_extra);
	else
		put_new_extra(&extra, l->header_extra);
	uidlist_header(&b, uidvalidity, uidnext, buf_span(&extra));
	buf_free(&extra);
	for (size_t i = 0; l->uidvalidity == uidvalidity && i < l->n; i++)
		uidlist_line(&b, l->v[i].uid, l->v[i].extra, l->v[i].base);
	buf_add_span(&b, lines);
	errno = EFBIG;
	rc = b.overflow ? -1 : fs_replace_file(AT_FDCWD, path, buf_span(&b), 0600, true);
	buf_free(&b);
	return rc;
}

enum store_status maildir_add_lines(struct folder *f, const struct uidlist *l, uint32_t uidvalidity, uint32_t uidnext,
				    struct span lines)
{
	AUTO_FREE char *path = maildir_path(f, "dovecot-uidlist", NULL);
	struct stat st;
	int rc;

	if (l->uidvalidity == uidvalidity && !l->damaged)
		rc = append_lines(path, l->torn, lines);
	else
		rc = write_anew(path, l, uidvalidity, uidnext, lines);
	if (rc < 0) {
		f->maildir->list.uidvalidity = 0;
		return folder_errno(f, "dovecot-uidlist", errno);
	}
	if (stat(path, &st) == 0)
		f->maildir->list_ident = ident_of(&st);
	note_list(f, uidvalidity, uidnext);
	return STORE_OK;
}

/* Into the list, and into the table as if it had been read from there. */
static void put_uidls(struct folder *f, struct arena *a, struct uidlist *l, const struct uidl_to_save *v, size_t n)
{
	size_t j = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct uidlist_entry *e = &l->v[i];
		struct rec *r;

		while (j < n && v[j].uid < e->uid)
			j++;
		if (j == n || v[j].uid != e->uid || uidlist_field(e->extra, 'P').len > 0)
			continue;
		e->extra = span_cstr(arena_printf(a, "%.*s%sP%.*s", SPAN_ARG(e->extra), e->extra.len > 0 ? " " : "",
						  SPAN_ARG(v[j].id)));
		r = folder_find(f, e->uid);
		if (r != NULL) {
			free(r->maildir.extra);
			r->maildir.extra = mem_strdup(e->extra.ptr);
		}
	}
}

enum store_status maildir_save_uidls(struct folder *f, const struct uidl_to_save *v, size_t n)
{
	AUTO_FREE char *path = maildir_path(f, "dovecot-uidlist", NULL);
	struct arena a = ARENA_INIT;
	struct uidlist l;
	struct stat st;
	char *lock;
	enum store_status s = maildir_lock_list(f, &lock);

	if (s == STORE_OK)
		s = maildir_read_list(f, &a, &l);
	if (s == STORE_OK && l.uidvalidity == f->uidvalidity) {
		put_uidls(f, &a, &l, v, n);
		if (write_anew(path, &l, l.uidvalidity, l.uidnext, SPAN_NONE) < 0)
			s = folder_errno(f, "dovecot-uidlist", errno);
		else if (stat(path, &st) == 0)
			f->maildir->list_ident = ident_of(&st);
		note_list(f, s == STORE_OK ? l.uidvalidity : 0, l.uidnext);
	}
	maildir_unlock_list(lock);
	arena_free(&a);
	return s == STORE_REFUSED ? STORE_OK : s;
}
