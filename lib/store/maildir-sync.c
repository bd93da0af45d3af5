/* SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/htab.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/index.h"
#include "lib/store/maildir-int.h"

enum { RACY_MS = 50 /* longer than the clock tick of a file system */ };

char *maildir_path(const struct folder *f, const char *sub, const char *name)
{
	return mem_printf("%s/%s%s%s", f->path, sub, name ? "/" : "", name ? name : "");
}

/* One file found in new/ or cur/. */
struct found {
	struct span name;
	struct maildir_name parsed;
	bool in_new;
	uint32_t uid;
	struct span extra;
	int64_t mtime_ns;
};

struct scan {
	struct folder *f;
	struct arena *a;
	struct found *v;
	size_t n, cap;
	struct htab by_base; /* index + 1 */
	int new_fd, cur_fd;
};

static void scan_add(struct scan *s, struct span name, bool in_new)
{
	struct found *e;
	uintptr_t had;

	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 256;
		s->v = mem_realloc_array(s->v, s->cap, sizeof *s->v);
	}
	e = &s->v[s->n];
	*e = (struct found){ .name = arena_span(s->a, name), .in_new = in_new };
	maildir_name_parse(e->name, &e->parsed);
	if (e->parsed.base.len == 0)
		return;
	had = (uintptr_t)htab_get(&s->by_base, e->parsed.base);
	if (had != 0) { /* moved from new to cur, or given other flags, while we looked: the later sight counts */
		s->v[had - 1] = *e;
		return;
	}
	s->n++;
	htab_put(&s->by_base, e->parsed.base, (void *)(uintptr_t)s->n);
}

static int scan_dir(struct scan *s, const char *sub, bool in_new, struct ident *ident, int *fd_r)
{
	AUTO_FREE char *path = maildir_path(s->f, sub, NULL);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	DIR *d;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	*fd_r = fd;
	*ident = ident_of(&st);
	if (clock_wall_us() - (st.st_mtim.tv_sec * INT64_C(1000000) + st.st_mtim.tv_nsec / 1000) < RACY_MS * 1000)
		s->f->maildir->racy = true;
	d = fdopendir(dup(fd));
	if (d == NULL)
		return -1;
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.')
			scan_add(s, span_cstr(e->d_name), in_new);
	closedir(d);
	return 0;
}

static void scan_free(struct scan *s)
{
	htab_free(&s->by_base);
	free(s->v);
	if (s->new_fd >= 0)
		close(s->new_fd);
	if (s->cur_fd >= 0)
		close(s->cur_fd);
}

/* UIDs from the list; how many have none. */
static size_t give_known(struct scan *s, const struct uidlist *l)
{
	size_t missing = s->n;

	for (size_t i = 0; i < s->n; i++)
		s->v[i].uid = 0;
	for (size_t i = 0; i < l->n; i++) {
		uintptr_t at = (uintptr_t)htab_get(&s->by_base, l->v[i].base);

		if (at == 0 || s->v[at - 1].uid != 0)
			continue;
		s->v[at - 1].uid = l->v[i].uid;
		s->v[at - 1].extra = l->v[i].extra;
		missing--;
	}
	return missing;
}

/* New mail in the order it came. */
static int by_arrival(const void *pa, const void *pb)
{
	const struct found *a = *(const struct found *const *)pa, *b = *(const struct found *const *)pb;

	if (a->mtime_ns != b->mtime_ns)
		return a->mtime_ns < b->mtime_ns ? -1 : 1;
	return span_cmp(a->name, b->name);
}

static void give_new(struct scan *s, uint32_t *uidnext, struct buf *lines, size_t missing)
{
	struct found **v = mem_realloc_array(NULL, missing + 1, sizeof(struct found *));
	size_t n = 0;

	for (size_t i = 0; i < s->n && n < missing; i++) {
		struct stat st;

		if (s->v[i].uid != 0)
			continue;
		if (fstatat(s->v[i].in_new ? s->new_fd : s->cur_fd, s->v[i].name.ptr, &st, AT_SYMLINK_NOFOLLOW) == 0)
			s->v[i].mtime_ns = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
		v[n++] = &s->v[i];
	}
	qsort(v, n, sizeof *v, by_arrival);
	for (size_t i = 0; i < n; i++) {
		v[i]->uid = (*uidnext)++;
		uidlist_line(lines, v[i]->uid, SPAN_NONE, v[i]->parsed.base);
	}
	free(v);
}

/* With the list locked and read: numbers for what has none, and a list where there is none. */
static enum store_status assign(struct scan *s, struct uidlist *l, size_t missing, bool locked)
{
	struct folder *f = s->f;
	uint32_t validity = l->uidvalidity, next = l->uidnext;
	enum store_status st = STORE_OK;
	struct buf lines;

	if (validity == 0 || next > UINT32_MAX - 65536 - s->n) {
		validity = uidvalidity_new(f->validity_file);
		next = 1;
		l->n = 0;
		missing = give_known(s, l);
	}
	buf_init(&lines, 512 << 20);
	give_new(s, &next, &lines, missing);
	if (locked && (lines.len > 0 || l->uidvalidity != validity || l->damaged))
		st = maildir_add_lines(f, l, validity, next, buf_span(&lines));
	buf_free(&lines);
	if (f->uidvalidity != validity)
		f->generation++;
	f->uidvalidity = validity;
	f->uidnext = next;
	return st;
}

static enum store_status number(struct scan *s)
{
	struct uidlist l;
	char *lock = NULL;
	enum store_status st = maildir_read_list(s->f, s->a, &l);
	size_t missing;

	if (st != STORE_OK)
		return st;
	missing = give_known(s, &l);
	if (missing == 0 && l.uidvalidity != 0 && !l.damaged)
		return assign(s, &l, 0, false);
	st = maildir_lock_list(s->f, &lock);
	if (st == STORE_OK) {
		st = maildir_read_list(s->f, s->a, &l);
		if (st == STORE_OK)
			st = assign(s, &l, give_known(s, &l), true);
	} else if (st == STORE_REFUSED) { /* read-only: numbers for this process */
		st = assign(s, &l, missing, false);
	}
	maildir_unlock_list(lock);
	return st;
}

static int by_uid(const void *pa, const void *pb)
{
	const struct found *a = pa, *b = pb;

	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

/* When a file came: its name begins with the time, as it should; a letter that local delivered is not touched afterwards. */
static int64_t save_date_of(struct span base, int64_t mtime)
{
	struct span seconds = span_cut(&base, '.');
	uint64_t at;

	return seconds.len >= 9 && span_u64(seconds, UINT32_MAX, &at) ? (int64_t)at : mtime;
}

static void fill_stat(struct scan *s, const struct found *e, struct rec *r)
{
	struct stat st;
	time_t t;
	struct tm tm;

	if (fstatat(e->in_new ? s->new_fd : s->cur_fd, e->name.ptr, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	r->maildir.bytes = (uint64_t)st.st_size;
	t = st.st_mtime;
	r->m.internal_date = t;
	r->m.save_date = save_date_of(e->parsed.base, t);
	if (localtime_r(&t, &tm) != NULL)
		r->m.zone_minutes = (int32_t)(tm.tm_gmtoff / 60);
}

static char *dup_span(struct span s)
{
	return s.len > 0 ? mem_strndup(s.ptr, s.len) : NULL;
}

static bool same_base(const struct rec *r, struct span base)
{
	return r->maildir.base_len == base.len && memcmp(r->maildir.name, base.ptr, base.len) == 0;
}

/* The table anew, keeping what was found out about each message. validity: of the table as it is. */
static void rebuild(struct scan *s, uint32_t validity)
{
	struct folder *f = s->f;
	struct rec *old = f->recs;
	size_t all_old = f->n, nold = validity == f->uidvalidity ? all_old : 0, j = 0;

	if (s->n > 1)
		qsort(s->v, s->n, sizeof *s->v, by_uid);
	f->recs = NULL;
	f->n = f->cap = 0;
	for (size_t i = 0; i < s->n; i++) {
		const struct found *e = &s->v[i];
		struct rec *r = folder_add(f);

		while (j < nold && old[j].m.uid < e->uid)
			j++;
		if (j < nold && old[j].m.uid == e->uid && same_base(&old[j], e->parsed.base))
			r->m = old[j].m;
		else
			fill_stat(s, e, r);
		r->m.uid = e->uid;
		r->m.flags = e->parsed.flags;
		r->m.keywords = e->parsed.letters;
		if (r->m.size == 0)
			r->m.size = e->parsed.vsize;
		r->old = !e->in_new;
		r->maildir.name = dup_span(e->name);
		r->maildir.base_len = (uint32_t)e->parsed.base.len;
		r->maildir.in_new = e->in_new;
		r->maildir.extra = dup_span(e->extra);
	}
	folder_carry(f, 0, old, nold);
	for (j = 0; j < all_old; j++) {
		free(old[j].maildir.name);
		free(old[j].maildir.extra);
	}
	free(old);
	f->generation++;
}

static bool unchanged(struct folder *f)
{
	struct maildir *m = f->maildir;
	const struct ident *known[] = { &m->new_ident, &m->cur_ident, &m->list_ident };
	static const char *const subs[] = { "new", "cur", "dovecot-uidlist" };

	if (m->racy || f->uidvalidity == 0)
		return false;
	for (size_t i = 0; i < 3; i++) {
		AUTO_FREE char *path = maildir_path(f, subs[i], NULL);
		struct stat st;
		struct ident now = { 0 };

		if (stat(path, &st) == 0)
			now = ident_of(&st);
		if (!ident_same(&now, known[i]))
			return false;
	}
	return true;
}

static int make_inbox(const struct folder *f)
{
	static const char *const subs[] = { "tmp", "new", "cur" };

	for (size_t i = 0; i < 3; i++) {
		AUTO_FREE char *path = maildir_path(f, subs[i], NULL);

		if (fs_make_dirs(path, 0700) < 0)
			return -1;
	}
	return 0;
}

static int scan_both(struct scan *s)
{
	struct maildir *m = s->f->maildir;

	m->racy = false;
	/* new before cur: a file that moves between the two looks is seen at least once */
	if (scan_dir(s, "new", true, &m->new_ident, &s->new_fd) < 0 || scan_dir(s, "cur", false, &m->cur_ident, &s->cur_fd) < 0)
		return -1;
	return 0;
}

enum store_status maildir_refresh(struct folder *f)
{
	struct arena a = ARENA_INIT;
	struct scan s = { .f = f, .a = &a, .by_base = HTAB_INIT, .new_fd = -1, .cur_fd = -1 };
	bool first = !f->maildir->opened;
	enum store_status st;
	uint32_t validity;
	int rc;

	index_load(f);
	f->maildir->opened = true;
	if (first)
		maildir_finish_expunge(f);
	if (unchanged(f))
		return STORE_OK;
	if (!first)
		maildir_finish_expunge(f);
	validity = f->uidvalidity;
	rc = scan_both(&s);
	if (rc < 0 && errno == ENOENT && f->is_inbox && make_inbox(f) == 0) {
		scan_free(&s);
		s = (struct scan){ .f = f, .a = &a, .by_base = HTAB_INIT, .new_fd = -1, .cur_fd = -1 };
		rc = scan_both(&s);
	}
	if (rc < 0) {
		st = errno == ENOENT ? STORE_NOTFOUND : folder_errno(f, "read directory", errno);
	} else {
		maildir_load_keywords(f);
		st = number(&s);
		if (st == STORE_OK)
			rebuild(&s, validity);
		else
			f->maildir->racy = true;
	}
	scan_free(&s);
	arena_free(&a);
	return st;
}
