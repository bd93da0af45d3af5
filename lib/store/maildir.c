/* SPDX-License-Identifier: BSD-2-Clause */
/* A Maildir's messages: one file each, flags in the name. Nothing is lazy here, a change of flags is a rename. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/crlf.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/maildir-int.h"

enum { KNOWN_MAX = 1024 * 1024 }; /* largest letter that is read without asking first */

static char *rec_path(const struct folder *f, const struct rec *r)
{
	return maildir_path(f, r->maildir.in_new ? "new" : "cur", r->maildir.name);
}

/* The file is not where it was: look again at the next refresh. */
static enum store_status vanished(struct folder *f)
{
	f->maildir->racy = true;
	return STORE_EXPUNGED;
}

/* The file was that long, or the letter is that long with CRLF line ends. */
static bool is_whole(struct span text, const struct rec *r)
{
	if (r->maildir.bytes > 0)
		return text.len == r->maildir.bytes;
	return text.len + crlf_missing(text, 0) == r->m.size;
}

/*
 * The whole file without asking how long it is, a call less for each letter: what is known of it says whether it is whole.
 * False: nothing is known, or it is not.
 */
static bool read_known(const char *path, const struct rec *r, struct buf *out)
{
	uint64_t most = r->maildir.bytes > 0 ? r->maildir.bytes : r->m.size;
	char *room = most > 0 && most < KNOWN_MAX ? buf_reserve(out, (size_t)most + 1) : NULL;
	int fd = room != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, room, (size_t)most + 1);
	close(fd);
	if (n <= 0 || !is_whole(span_of(room, (size_t)n), r))
		return false;
	buf_commit(out, (size_t)n);
	return true;
}

static enum store_status maildir_read(struct folder *f, const struct rec *r, struct buf *out)
{
	AUTO_FREE char *path = rec_path(f, r);

	if (read_known(path, r, out))
		return STORE_OK;
	buf_reset(out);
	if (fs_read_file(AT_FDCWD, path, out) == 0)
		return STORE_OK;
	if (errno == ENOENT)
		return vanished(f);
	return errno == EFBIG ? STORE_TOOBIG : folder_errno(f, r->maildir.name, errno);
}

static enum store_status maildir_size(struct folder *f, struct rec *r)
{
	struct buf b;
	enum store_status s;

	buf_init(&b, (size_t)1 << 31);
	s = maildir_read(f, r, &b);
	if (s == STORE_OK) {
		r->m.size = b.len + crlf_missing(buf_span(&b), 0);
	}
	buf_free(&b);
	return s;
}

/* Give the file the name that says its flags. */
static int rename_rec(struct folder *f, struct rec *r)
{
	AUTO_FREE char *from = rec_path(f, r);
	char name[MAILDIR_NAME_MAX];
	struct maildir_name old;
	char *to;
	int rc;

	maildir_name_parse(span_cstr(r->maildir.name), &old);
	if (!maildir_name_make(name, span_head(span_cstr(r->maildir.name), r->maildir.base_len), r->m.flags,
			       (uint32_t)r->m.keywords, span_chr(old.other, 'P') >= 0)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (!r->maildir.in_new && strcmp(name, r->maildir.name) == 0)
		return 0;
	to = maildir_path(f, "cur", name);
	rc = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
	if (rc < 0 && errno == EINVAL)
		rc = rename(from, to);
	free(to);
	if (rc < 0)
		return -1;
	free(r->maildir.name);
	r->maildir.name = mem_strdup(name);
	r->maildir.in_new = false;
	return 0;
}

static enum store_status maildir_flagged(struct folder *f, struct rec *r)
{
	uint32_t uid = r->m.uid, flags = r->m.flags;
	uint64_t keywords = r->m.keywords;

	if (maildir_save_keywords(f) < 0)
		return folder_errno(f, "dovecot-keywords", errno);
	if (rename_rec(f, r) < 0) {
		if (errno != ENOENT) {
			f->maildir->racy = true; /* what the table says is not what the files say */
			return folder_errno(f, r->maildir.name, errno);
		}
		/* another program renamed or removed it: find it, and try once more */
		vanished(f);
		if (maildir_refresh(f) != STORE_OK || (r = folder_find(f, uid)) == NULL)
			return STORE_EXPUNGED;
		r->m.flags = flags;
		r->m.keywords = keywords;
		r->old = true;
		if (rename_rec(f, r) < 0)
			return errno == ENOENT ? vanished(f) : folder_errno(f, r->maildir.name, errno);
	}
	r->dirty = 0;
	return STORE_OK;
}

/* From new/ to cur/. One that cannot be moved stays where it is. */
static void maildir_told(struct folder *f)
{
	for (size_t i = 0; i < f->n; i++) {
		if (f->recs[i].dirty == 0)
			continue;
		if (rename_rec(f, &f->recs[i]) < 0)
			f->maildir->racy = true;
		f->recs[i].dirty = 0;
	}
}

static enum store_status maildir_flush(struct folder *f, bool durable)
{
	AUTO_FREE char *cur = maildir_path(f, "cur", NULL);

	if (durable && fs_sync_dir(AT_FDCWD, cur) < 0 && errno != ENOENT)
		return folder_errno(f, "fsync", errno);
	return STORE_OK;
}

static unsigned maildir_watch(const struct folder *f, const char *paths[2])
{
	/* owned by the folder, made on first use */
	if (f->maildir->watch_new == NULL) {
		f->maildir->watch_new = maildir_path(f, "new", NULL);
		f->maildir->watch_cur = maildir_path(f, "cur", NULL);
	}
	paths[0] = f->maildir->watch_new;
	paths[1] = f->maildir->watch_cur;
	return 2;
}

static void maildir_free(struct folder *f)
{
	free(f->maildir->watch_new);
	free(f->maildir->watch_cur);
	free(f->maildir);
}

const struct folder_ops maildir_ops = {
	.refresh = maildir_refresh,
	.read = maildir_read,
	.flush = maildir_flush,
	.expunge = maildir_expunge,
	.append = maildir_append,
	.flagged = maildir_flagged,
	.told = maildir_told,
	.size = maildir_size,
	.guid = maildir_guid,
	.watch = maildir_watch,
	.free = maildir_free,
};

void maildir_init(struct folder *f)
{
	f->ops = &maildir_ops;
	f->maildir = mem_zalloc(sizeof *f->maildir);
	f->keywords_max = MAILDIR_KEYWORDS_MAX;
}
