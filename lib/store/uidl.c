/* SPDX-License-Identifier: BSD-2-Clause */
/* What POP3 asks of a mailbox beyond what IMAP does. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/maildir-int.h"
#include "lib/store/view.h"

/* The record of a message in a Maildir, under the mutex. */
static struct rec *maildir_rec(struct mailbox *mb, uint32_t seq)
{
	if (mb->f->ops != &maildir_ops || seq < 1 || seq > mb->n || mb->uidvalidity != mb->f->uidvalidity)
		return NULL;
	return folder_find(mb->f, mb->v[seq - 1].m.uid);
}

struct span mailbox_saved_uidl(struct mailbox *mb, uint32_t seq, struct arena *a)
{
	struct span found = SPAN_NONE;
	struct rec *r;

	pthread_mutex_lock(&mb->f->mu);
	r = maildir_rec(mb, seq);
	if (r != NULL && r->maildir.extra != NULL)
		found = arena_span(a, uidlist_field(span_cstr(r->maildir.extra), 'P'));
	pthread_mutex_unlock(&mb->f->mu);
	return found;
}

struct span mailbox_file_base(struct mailbox *mb, uint32_t seq, struct arena *a)
{
	struct span found = SPAN_NONE;
	struct rec *r;

	pthread_mutex_lock(&mb->f->mu);
	r = maildir_rec(mb, seq);
	if (r != NULL)
		found = arena_span(a, span_of(r->maildir.name, r->maildir.base_len));
	pthread_mutex_unlock(&mb->f->mu);
	return found;
}

enum store_status mailbox_save_uidls(struct mailbox *mb, const uint32_t *seqs, const struct span *ids, size_t n)
{
	struct arena a = ARENA_INIT;
	struct uidl_to_save *v = arena_array(&a, n + 1, sizeof *v);
	enum store_status st = STORE_OK;
	size_t new = 0;

	pthread_mutex_lock(&mb->f->mu);
	for (size_t i = 0; i < n; i++) {
		struct rec *r = maildir_rec(mb, seqs[i]);
		struct span extra = r && r->maildir.extra ? span_cstr(r->maildir.extra) : SPAN_NONE;

		if (r != NULL && uidlist_field(extra, 'P').len == 0)
			v[new++] = (struct uidl_to_save){ r->m.uid, ids[i] };
	}
	if (new > 0)
		st = maildir_save_uidls(mb->f, v, new);
	pthread_mutex_unlock(&mb->f->mu);
	arena_free(&a);
	return st;
}

enum store_status store_lock_session(struct store *s, const char *protocol, int *fd_r)
{
	AUTO_FREE char *path = mem_printf("%s/posthouse-%s.lock", s->index, protocol);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 && errno == ENOENT && fs_make_dirs(s->index, 0700) == 0)
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
		*fd_r = fd;
		return STORE_OK;
	}
	*fd_r = -1;
	if (fd >= 0 && errno == EWOULDBLOCK) {
		close(fd);
		return STORE_LOCKED;
	}
	log_error("%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return STORE_ERROR;
}
