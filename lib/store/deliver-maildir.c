/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/deliver-int.h"
#include "lib/store/fs.h"
#include "lib/store/maildir-name.h"

static struct verdict failed(const struct deliver_batch *b, struct arena *a, const char *what, int err)
{
	bool full = err == ENOSPC || err == EDQUOT || err == EFBIG;

	return verdict_make(a, full ? "4.2.2" : "4.2.0", "maildir delivery failed: %s %s: %s", what, b->t.path,
			    strerrordesc_np(err) ? strerrordesc_np(err) : "unknown error");
}

static int make_maildir(const char *path)
{
	static const char *const parts[] = { "", "tmp", "new", "cur" };
	int rc = 0;

	for (size_t i = 0; i < sizeof parts / sizeof *parts && rc == 0; i++) {
		AUTO_FREE char *full = mem_printf("%s%s", path, parts[i]);

		if (mkdir(full, 0700) < 0 && errno != EEXIST)
			rc = -1;
	}
	if (rc == 0)
		rc = fs_sync_dir(AT_FDCWD, path);
	return rc;
}

static int open_dirs(struct deliver_batch *b)
{
	b->dir = open(b->t.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->dir < 0)
		return -1;
	b->new_dir = openat(b->dir, "new", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return b->new_dir < 0 ? -1 : 0;
}

struct verdict deliver_maildir_begin(struct deliver_batch *b, struct arena *a)
{
	struct stat st;

	if (open_dirs(b) < 0) {
		if (b->dir >= 0)
			close(b->dir);
		if (errno != ENOENT || make_maildir(b->t.path) < 0)
			return failed(b, a, "create maildir", errno);
		if (open_dirs(b) < 0)
			return failed(b, a, "open maildir", errno);
	}
	if (fstat(b->dir, &st) < 0)
		return failed(b, a, "open maildir", errno);
	if (b->t.check_owner && st.st_uid != b->t.uid)
		return verdict_make(a, "4.2.0", "destination %s is not owned by recipient", b->t.path);
	return deliver_ok();
}

struct maildir_writing {
	int fd;
	struct mbox_encoder enc;
	uint64_t size, lines;
	bool read_failed;
};

static bool flush_out(struct deliver_batch *b, struct maildir_writing *w)
{
	for (const char *p = b->out.ptr, *end = p + b->out.len; p != NULL && p < end; p++) {
		p = memchr(p, '\n', (size_t)(end - p));
		if (p == NULL)
			break;
		w->lines++;
	}
	w->size += b->out.len;
	if (fs_write_all(w->fd, buf_span(&b->out)) < 0)
		return false;
	buf_reset(&b->out);
	return true;
}

static bool feed(struct deliver_batch *b, struct maildir_writing *w, struct span bytes)
{
	while (bytes.len > 0) {
		struct span part = span_head(bytes, DELIVER_CHUNK);

		if (!mbox_encode(&w->enc, part, &b->out) || (b->out.len >= DELIVER_CHUNK && !flush_out(b, w)))
			return false;
		bytes = span_skip(bytes, part.len);
	}
	return true;
}

static bool write_letter(struct deliver_batch *b, struct maildir_writing *w, const struct deliver_letter *l)
{
	struct span chunk;

	buf_reset(&b->out);
	mbox_encoder_init(&w->enc, false);
	if (!feed(b, w, l->headers))
		return false;
	do {
		if (!l->next(l->arg, &chunk)) {
			w->read_failed = true;
			return false;
		}
		if (!feed(b, w, chunk))
			return false;
	} while (chunk.len > 0);
	return mbox_encode_end(&w->enc, &b->out) && flush_out(b, w) && fsync(w->fd) == 0;
}

static int open_tmp(struct deliver_batch *b, const char *tmp)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, fd = openat(b->dir, tmp, flags, 0600);

	if (fd < 0 && errno == EEXIST && unlinkat(b->dir, tmp, 0) == 0) /* left by an attempt that was killed */
		fd = openat(b->dir, tmp, flags, 0600);
	if (fd < 0 && errno == ENOENT && mkdirat(b->dir, "tmp", 0700) == 0)
		fd = openat(b->dir, tmp, flags, 0600);
	return fd;
}

/* Is it there from an earlier attempt, new or read? */
static bool is_there(struct deliver_batch *b, const char *name)
{
	static const char flags[] = "DFPRST";
	char path[MAILDIR_NAME_MAX + 32];

	for (unsigned set = 0; set < 64; set++) {
		int n = snprintf(path, sizeof path, "cur/%s:2,", name);

		for (unsigned i = 0; i < 6; i++)
			if (set & 1u << i)
				path[n++] = flags[i];
		path[n] = '\0';
		if (faccessat(b->dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	return false;
}

/* 0; 1: it was there already; -1 and errno */
static int put_in_place(struct deliver_batch *b, const char *tmp, const char *name, const struct deliver_letter *l)
{
	int rc;

	if (l->key.len > 0 && l->again && is_there(b, name)) {
		unlinkat(b->dir, tmp, 0);
		return 1;
	}
	rc = maildir_move(b->dir, tmp, b->new_dir, name);
	if (rc < 0 && errno == EEXIST && l->key.len > 0) {
		unlinkat(b->dir, tmp, 0);
		return 1;
	}
	return rc;
}

struct verdict deliver_maildir_add(struct deliver_batch *b, struct arena *a, const struct deliver_letter *l)
{
	char base[MAILDIR_BASE_MAX], tmp[MAILDIR_BASE_MAX + 8], name[MAILDIR_NAME_MAX];
	struct maildir_writing w = { .fd = -1 };
	int rc = -1, err;

	maildir_make_base(base, l->key);
	snprintf(tmp, sizeof tmp, "tmp/%s", base);
	w.fd = open_tmp(b, tmp);
	if (w.fd < 0)
		return failed(b, a, "create tmp file in", errno);
	if (write_letter(b, &w, l)) {
		snprintf(name, sizeof name, "%s,S=%llu,W=%llu", base, (unsigned long long)w.size,
			 (unsigned long long)(w.size + w.lines));
		rc = put_in_place(b, tmp, name, l);
	}
	err = errno;
	close(w.fd);
	if (rc == 1)
		log_info("%s: already delivered, not again: " SPAN_FMT, b->t.path, SPAN_ARG(l->key));
	if (rc >= 0) {
		b->added = true;
		return deliver_ok();
	}
	unlinkat(b->dir, tmp, 0);
	buf_reset(&b->out);
	if (w.read_failed)
		return verdict_make(a, "4.3.0", "message content cannot be read");
	return failed(b, a, "write to", err);
}

struct verdict deliver_maildir_commit(struct deliver_batch *b, struct arena *a)
{
	if (b->added && fsync(b->new_dir) < 0)
		return failed(b, a, "fsync of new in", errno);
	return deliver_ok();
}
