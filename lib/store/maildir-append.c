/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/store/maildir-int.h"

/* A message written to tmp/, and where it goes. */
struct putting {
	char tmp[MAILDIR_NAME_MAX + 8];
	char name[MAILDIR_NAME_MAX];
	char to[MAILDIR_NAME_MAX + 8];
	size_t base_len;
	bool written, moved, in_cur;
};

static int write_tmp(struct folder *f, int dir, const struct store_append *ap, size_t i, struct putting *p)
{
	const struct append_msg *m = append_get(ap, i);
	struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, { .tv_sec = m->date } };
	char base[MAILDIR_BASE_MAX];
	uint32_t letters = 0;
	int fd, rc;

	for (size_t k = 0; k < m->nkeywords; k++) {
		int bit = folder_keyword(f, m->keywords[k], true);

		if (bit >= 0)
			letters |= 1u << bit;
	}
	maildir_make_base(base, SPAN_NONE);
	snprintf(p->tmp, sizeof p->tmp, "tmp/%s", base);
	p->base_len = (size_t)snprintf(p->name, sizeof p->name, "%s,S=%llu,W=%llu", base, (unsigned long long)m->len,
				       (unsigned long long)(m->len + m->lines));
	if (m->flags == 0 && letters == 0) {
		snprintf(p->to, sizeof p->to, "new/%s", p->name);
	} else {
		char with_flags[MAILDIR_NAME_MAX];

		if (!maildir_name_make(with_flags, span_of(p->name, p->base_len), m->flags, letters, false)) {
			errno = ENAMETOOLONG;
			return -1;
		}
		snprintf(p->to, sizeof p->to, "cur/%s", with_flags);
		p->in_cur = true;
	}
	fd = openat(dir, p->tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	p->written = true;
	rc = append_copy(ap, i, fd, -1);
	if (rc == 0 && (futimens(fd, times) < 0 || fsync(fd) < 0))
		rc = -1;
	close(fd);
	return rc;
}

static int move_all(int dir, struct putting *v, size_t n)
{
	bool in_new = false, in_cur = false;

	for (size_t i = 0; i < n; i++) {
		if (maildir_move(dir, v[i].tmp, dir, v[i].to) < 0)
			return -1;
		v[i].moved = true;
		in_cur |= v[i].in_cur;
		in_new |= !v[i].in_cur;
	}
	return (in_new && fs_sync_dir(dir, "new") < 0) || (in_cur && fs_sync_dir(dir, "cur") < 0) ? -1 : 0;
}

static void clean_up(int dir, struct putting *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (v[i].moved)
			unlinkat(dir, v[i].to, 0);
		else if (v[i].written)
			unlinkat(dir, v[i].tmp, 0);
	}
}

/* With the list locked: UIDs are on disk before the files can be seen. */
static enum store_status put_locked(struct folder *f, int dir, struct putting *v, size_t n, uint32_t *uids)
{
	struct arena a = ARENA_INIT;
	struct uidlist l;
	struct buf lines;
	uint32_t validity, next;
	enum store_status s = maildir_peek_list(f, &a, &l);

	validity = l.uidvalidity ? l.uidvalidity : uidvalidity_new(f->validity_file);
	next = l.uidvalidity ? l.uidnext : 1;
	buf_init(&lines, 512 << 20);
	for (size_t i = 0; i < n; i++) {
		uids[i] = next++;
		uidlist_line(&lines, uids[i], SPAN_NONE, span_of(v[i].name, v[i].base_len));
	}
	if (s == STORE_OK)
		s = maildir_add_lines(f, &l, validity, next, buf_span(&lines));
	if (s == STORE_OK && move_all(dir, v, n) < 0)
		s = folder_errno(f, "rename", errno);
	if (validity != f->uidvalidity)
		f->uidvalidity = 0; /* the table is to be read anew before anybody hears of it */
	buf_free(&lines);
	arena_free(&a);
	return s;
}

static enum store_status put_all(struct folder *f, int dir, const struct store_append *ap, struct putting *v, uint32_t *uids)
{
	size_t n = append_count(ap);
	enum store_status s;
	char *lock;

	for (size_t i = 0; i < n; i++)
		if (write_tmp(f, dir, ap, i, &v[i]) < 0)
			return folder_errno(f, "write", errno);
	if (maildir_save_keywords(f) < 0)
		return folder_errno(f, "dovecot-keywords", errno);
	s = maildir_lock_list(f, &lock);
	if (s != STORE_OK)
		return s;
	s = put_locked(f, dir, v, n, uids);
	maildir_unlock_list(lock);
	return s;
}

/* What the directories hold is not looked at: that costs their size, and who uses the folder looks anyway. */
enum store_status maildir_append(struct folder *f, struct store_append *ap, uint32_t *uids)
{
	enum store_status s = f->uidvalidity == 0 ? maildir_refresh(f) : STORE_OK;
	struct putting *v;
	int dir;

	if (s != STORE_OK)
		return s;
	maildir_load_keywords(f);
	dir = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return folder_errno(f, "open", errno);
	v = mem_zalloc((append_count(ap) + 1) * sizeof *v);
	s = put_all(f, dir, ap, v, uids);
	if (s != STORE_OK)
		clean_up(dir, v, append_count(ap));
	free(v);
	close(dir);
	f->maildir->racy = true;
	return s == STORE_OK && f->uidvalidity == 0 ? maildir_refresh(f) : s;
}
