/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/box.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "imapd/imapd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"

static struct {
	pthread_mutex_t lock; /* of the store */
	struct store *store;
	struct arena arena;
	enum store_status status;
	const char *why;
	bool tried;
	pthread_mutex_t table_lock;
	struct list boxes;
} shared = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.table_lock = PTHREAD_MUTEX_INITIALIZER,
	.boxes = LIST_INIT(shared.boxes),
};

enum store_status boxes_open(const struct user *u, const char **why_r)
{
	const char *location = u->mail_location != NULL ? u->mail_location : conf->mail_location;
	enum store_status st;

	pthread_mutex_lock(&shared.lock);
	if (shared.store == NULL) {
		shared.why = "";
		shared.status = store_open(&shared.arena, u, location, &shared.store, &shared.why);
	}
	*why_r = shared.why;
	st = shared.status;
	pthread_mutex_unlock(&shared.lock);
	return st;
}

struct store *store_lock(void)
{
	pthread_mutex_lock(&shared.lock);
	return shared.store;
}

void store_unlock(void)
{
	pthread_mutex_unlock(&shared.lock);
}

static struct box *find(struct span name)
{
	list_for_each (node, &shared.boxes) {
		struct box *b = list_entry(node, struct box, on_table);

		if (!b->dead && span_is(name, b->name))
			return b;
	}
	return NULL;
}

struct box *box_get(struct span name)
{
	struct box *b;

	pthread_mutex_lock(&shared.table_lock);
	b = find(name);
	if (b == NULL) {
		b = mem_zalloc(sizeof(*b));
		b->name = mem_strndup(name.ptr, name.len);
		pthread_mutex_init(&b->lock, NULL);
		list_init(&b->sessions);
		list_append(&shared.boxes, &b->on_table);
	}
	b->refs++;
	pthread_mutex_unlock(&shared.table_lock);
	return b;
}

void box_put(struct box *b)
{
	bool last;

	pthread_mutex_lock(&shared.table_lock);
	last = --b->refs == 0;
	if (last)
		list_remove(&b->on_table);
	pthread_mutex_unlock(&shared.table_lock);
	if (!last)
		return;
	pthread_mutex_destroy(&b->lock);
	free(b->name);
	free(b);
}

void box_forget(struct span name)
{
	pthread_mutex_lock(&shared.table_lock);
	list_for_each (node, &shared.boxes) {
		struct box *b = list_entry(node, struct box, on_table);
		struct span rest = span_skip(span_cstr(b->name), name.len);

		b->dead |=
		    span_eq(span_head(span_cstr(b->name), name.len), name) && (rest.len == 0 || rest.ptr[0] == '/');
	}
	pthread_mutex_unlock(&shared.table_lock);
}

void box_lock(struct box *b)
{
	pthread_mutex_lock(&b->lock);
}

void box_unlock(struct box *b)
{
	pthread_mutex_unlock(&b->lock);
}

enum store_status box_open(struct box *b, bool read_only, struct mailbox **mb_r)
{
	enum store_status st = STORE_OK;

	if (b->mb[read_only] == NULL) {
		st = store_select(store_lock(), span_cstr(b->name), read_only, &b->mb[read_only]);
		store_unlock();
		if (st != STORE_OK) {
			b->mb[read_only] = NULL;
			return st;
		}
	}
	b->users[read_only]++;
	*mb_r = b->mb[read_only];
	return STORE_OK;
}

void box_close(struct box *b, bool read_only)
{
	if (--b->users[read_only] > 0)
		return;
	store_lock();
	mailbox_close(b->mb[read_only]);
	store_unlock();
	b->mb[read_only] = NULL;
}

void box_changed(struct box *b, const struct session *self)
{
	uint64_t one = 1;

	b->generation++;
	list_for_each (node, &b->sessions) {
		struct session *s = list_entry(node, struct session, on_box);

		if (s != self && s->idling && write(s->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
			log_error("eventfd: %s", strerror(errno));
	}
}

static void saw_gone(uint32_t seq, uint32_t uid, void *arg)
{
	(void)seq;
	(void)uid;
	*(bool *)arg = true;
}

static void saw_changed(uint32_t seq, void *arg)
{
	(void)seq;
	*(bool *)arg = true;
}

enum store_status box_sync(struct box *b, struct mailbox *mb, const struct session *self)
{
	bool changed = false;
	const struct mailbox_events ev = { saw_gone, saw_changed, &changed };
	uint32_t count = mailbox_count(mb), uidnext = mailbox_uidnext(mb);
	enum store_status st = mailbox_sync(mb, true, &ev);

	if (changed || count != mailbox_count(mb) || uidnext != mailbox_uidnext(mb))
		box_changed(b, self);
	return st;
}
