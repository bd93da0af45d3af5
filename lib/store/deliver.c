/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/store/deliver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/store/deliver-int.h"

struct verdict deliver_ok(void)
{
	return (struct verdict){ .class = VERDICT_OK, .dsn = "2.0.0" };
}

/* FNV-1a: it only has to tell letters of one mailbox apart, and to be the same tomorrow. */
uint64_t deliver_key_hash(struct span key)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < key.len; i++)
		h = (h ^ (unsigned char)key.ptr[i]) * 0x100000001b3;
	h ^= h >> 32;
	return h ? h : 1;
}

static int make_parents(const char *path)
{
	char *p = mem_strdup(path);
	int rc = 0;

	for (char *s = strchr(p + 1, '/'); s != NULL && rc == 0; s = strchr(s + 1, '/')) {
		*s = '\0';
		if (mkdir(p, 0700) < 0 && errno != EEXIST)
			rc = -1;
		*s = '/';
	}
	free(p);
	return rc;
}

static void batch_free(struct deliver_batch *b)
{
	buf_free(&b->out);
	repeat_close(b->repeat);
	if (b->special)
		close(b->lock.fd);
	else
		mboxlock_close(&b->lock);
	if (b->new_dir >= 0)
		close(b->new_dir);
	if (b->dir >= 0)
		close(b->dir);
	free((char *)b->t.path);
	free((char *)b->t.lock_methods);
	free(b);
}

struct deliver_batch *deliver_begin(struct arena *a, const struct deliver_target *t, struct verdict *v_r)
{
	struct deliver_batch *b = mem_zalloc(sizeof *b);
	size_t len = strlen(t->path);

	b->t = *t;
	b->t.path = mem_strdup(t->path);
	b->t.lock_methods = t->lock_methods ? mem_strdup(t->lock_methods) : NULL;
	b->lock.fd = b->dir = b->new_dir = -1;
	b->maildir = len > 0 && t->path[len - 1] == '/';
	buf_init(&b->out, 4 * DELIVER_CHUNK);
	if (t->path[0] != '/')
		*v_r = verdict_make(a, "4.3.5", "mailbox %s is not an absolute path", t->path);
	else if (t->create_dirs && make_parents(t->path) < 0)
		*v_r = verdict_errno(a, t->path, errno);
	else
		*v_r = b->maildir ? deliver_maildir_begin(b, a) : deliver_mbox_begin(b, a);
	if (v_r->class == VERDICT_OK)
		return b;
	batch_free(b);
	return NULL;
}

struct verdict deliver_add(struct deliver_batch *b, struct arena *a, const struct deliver_letter *l)
{
	return b->maildir ? deliver_maildir_add(b, a, l) : deliver_mbox_add(b, a, l);
}

struct verdict deliver_commit(struct deliver_batch *b, struct arena *a)
{
	struct verdict v = b->maildir ? deliver_maildir_commit(b, a) : deliver_mbox_commit(b, a);

	batch_free(b);
	return v;
}

struct verdict deliver_release(struct deliver_batch *b, struct arena *a, bool (*keep)(const struct deliver_file *file),
			       struct deliver_wait *w_r)
{
	*w_r = (struct deliver_wait){ .file = b->file, .fd = -1 };
	if (b->maildir || b->special || b->created || !b->added)
		return deliver_commit(b, a);
	if (keep(&b->file)) {
		w_r->fd = fcntl(b->lock.fd, F_DUPFD_CLOEXEC, 0);
		if (w_r->fd < 0)
			return deliver_commit(b, a);
	}
	w_r->wait = true;
	batch_free(b);
	return deliver_ok();
}

int deliver_create_spool(const char *path, uid_t uid, gid_t gid)
{
	struct stat dir;
	char *parent = mem_strdup(path), *slash = strrchr(parent, '/');
	int fd, rc = -1;
	mode_t mode;

	if (slash != NULL)
		slash[slash == parent ? 1 : 0] = '\0';
	mode = slash && stat(parent, &dir) == 0 && dir.st_gid == gid ? 0660 : 0600;
	free(parent);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? 0 : -1;
	if (fchown(fd, uid, gid) == 0 && fchmod(fd, mode) == 0)
		rc = 0;
	if (rc < 0) {
		int err = errno;

		unlink(path);
		errno = err;
	}
	close(fd);
	return rc;
}
