/* SPDX-License-Identifier: BSD-2-Clause */
/* posthouse index: an index made anew, or compared with the mailbox. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/store/fs.h"
#include "lib/store/index-file.h"
#include "lib/store/index.h"
#include "lib/store/store-int.h"

static void remove_file(const struct folder *f, const char *name)
{
	AUTO_FREE char *path = mem_printf("%s/%s", f->index.dir, name);

	unlink(path); /* a sign that it cannot be: the new one cannot be written, which is logged */
}

/* The table as the files alone have it. */
static enum store_status look_afresh(struct store *s, struct span name, struct folder **f_r)
{
	enum store_status st;

	folder_forget(s, name);
	st = folder_named(s, name, f_r);
	if (st != STORE_OK)
		return st;
	pthread_mutex_lock(&(*f_r)->mu);
	(*f_r)->index.loaded = true;
	st = (*f_r)->ops->refresh(*f_r);
	pthread_mutex_unlock(&(*f_r)->mu);
	if (st != STORE_OK)
		folder_put(*f_r);
	return st;
}

enum store_status store_index_rebuild(struct store *s, struct span name)
{
	struct folder *f;
	enum store_status st = look_afresh(s, name, &f);

	if (st != STORE_OK)
		return st;
	pthread_mutex_lock(&f->mu);
	if (f->index.dir != NULL) {
		remove_file(f, CACHE_FILE);
		remove_file(f, INDEX_FILE);
		index_save(f);
		st = f->index.failed ? STORE_ERROR : STORE_OK;
	}
	pthread_mutex_unlock(&f->mu);
	folder_put(f);
	return st;
}

/* Is each octet of the file good? */
static void check_file(const struct folder *f, struct store_index_report *r)
{
	enum { FILE_MAX = 1 << 30 };
	int fd = f->index.dir ? index_file_open(f, INDEX_FILE, O_RDONLY) : -1;
	struct stat st;
	char *text;
	ssize_t n;

	if (fd < 0)
		return;
	r->found = true;
	r->damaged = true;
	if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size < FILE_MAX) {
		text = mem_alloc((size_t)st.st_size);
		n = fs_pread_all(fd, text, (size_t)st.st_size, 0);
		r->damaged = n != st.st_size || index_good(span_of(text, (size_t)st.st_size)) != (size_t)st.st_size;
		free(text);
	}
	close(fd);
}

static bool same(const struct rec *a, const struct rec *b)
{
	return a->m.uid == b->m.uid && a->m.flags == b->m.flags && a->m.keywords == b->m.keywords &&
	       a->m.internal_date == b->m.internal_date && a->m.save_date == b->m.save_date &&
	       (a->m.size == b->m.size || a->m.size == 0 || b->m.size == 0);
}

enum store_status store_index_verify(struct store *s, struct span name, struct store_index_report *r)
{
	struct folder *f, *fresh;
	enum store_status st;

	*r = (struct store_index_report){ 0 };
	folder_forget(s, name);
	st = folder_named(s, name, &f);
	if (st != STORE_OK)
		return st;
	pthread_mutex_lock(&f->mu);
	check_file(f, r);
	st = f->ops->refresh(f);
	pthread_mutex_unlock(&f->mu);
	if (st == STORE_OK)
		st = look_afresh(s, name, &fresh);
	if (st == STORE_OK) {
		r->messages = (uint32_t)fresh->n;
		for (size_t i = 0; i < fresh->n; i++) {
			const struct rec *had = folder_find(f, fresh->recs[i].m.uid);

			r->wrong += had == NULL || !same(had, &fresh->recs[i]);
		}
		r->wrong += f->n > fresh->n ? (uint32_t)(f->n - fresh->n) : 0;
		folder_put(fresh);
	}
	folder_put(f);
	return st;
}
