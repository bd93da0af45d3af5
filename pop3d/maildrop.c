/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "pop3d/pop3d.h"

static void gone_unseen(uint32_t seq, uint32_t uid, void *arg)
{
	(void)seq;
	(void)uid;
	(void)arg;
}

static void changed_unseen(uint32_t seq, void *arg)
{
	(void)seq;
	(void)arg;
}

static const struct mailbox_events nobody_listens = { gone_unseen, changed_unseen, NULL };

static void take_snapshot(struct maildrop *d)
{
	struct span flag = span_cstr(conf->pop3_deleted_flag);
	int bit = flag.len > 0 ? mailbox_keyword_bit(d->mb, flag, false) : -1;
	uint64_t hidden = bit >= 0 ? UINT64_C(1) << bit : 0;
	uint32_t n = mailbox_count(d->mb);

	d->uidvalidity = mailbox_uidvalidity(d->mb);
	d->msg = arena_array(&d->arena, n ? n : 1, sizeof *d->msg);
	for (uint32_t seq = 1; seq <= n; seq++) {
		const struct store_msg *m = mailbox_msg(d->mb, seq);

		if (!(m->keywords & hidden))
			d->msg[d->count++] = (struct drop_msg){ .seq = seq, .uid = m->uid };
	}
}

/* A user who never got mail has an empty maildrop, not an error. */
static enum store_status select_inbox(struct maildrop *d)
{
	enum store_status st = store_select(d->store, SPAN("INBOX"), false, &d->mb);

	if (st != STORE_NOTFOUND)
		return st;
	st = store_create(d->store, SPAN("INBOX"));
	return st == STORE_OK || st == STORE_EXISTS ? store_select(d->store, SPAN("INBOX"), false, &d->mb) : st;
}

static enum store_status lock_session(struct maildrop *d, const char **why_r)
{
	enum store_status st;

	if (!conf->pop3_lock_session)
		return STORE_OK;
	st = store_lock_session(d->store, "pop3", &d->lock_fd);
	if (st == STORE_LOCKED)
		*why_r = "another POP3 session holds it (pop3_lock_session)";
	return st;
}

enum store_status maildrop_open(struct maildrop *d, const struct user *u, const char **why_r)
{
	const char *where = u->mail_location ? u->mail_location : conf->mail_location;
	enum store_status st;

	memset(d, 0, sizeof *d);
	d->lock_fd = -1;
	*why_r = NULL;
	st = store_open(&d->arena, u, where, &d->store, why_r);
	if (st != STORE_OK)
		return st;
	st = lock_session(d, why_r);
	if (st == STORE_OK)
		st = select_inbox(d);
	if (st == STORE_OK) {
		st = mailbox_sync(d->mb, true, &nobody_listens);
		if (st != STORE_OK)
			mailbox_close(d->mb);
	}
	if (st != STORE_OK) {
		if (d->lock_fd >= 0)
			close(d->lock_fd);
		store_close(d->store);
		return st;
	}
	take_snapshot(d);
	return STORE_OK;
}

void maildrop_close(struct maildrop *d)
{
	mailbox_close(d->mb);
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	store_close(d->store);
	arena_free(&d->arena);
}

struct drop_msg *maildrop_msg(struct maildrop *d, uint32_t number)
{
	if (number == 0 || number > d->count || d->msg[number - 1].deleted)
		return NULL;
	return &d->msg[number - 1];
}

uint32_t maildrop_number(const struct maildrop *d, const struct drop_msg *m)
{
	return (uint32_t)(m - d->msg) + 1;
}

enum store_status maildrop_size(struct maildrop *d, struct drop_msg *m, uint64_t *size_r)
{
	enum store_status st = STORE_OK;

	if (!m->sized) {
		st = mailbox_size(d->mb, m->seq, &m->size);
		if (st == STORE_EXPUNGED) { /* it stays in the list until the session ends, as an empty place */
			m->gone = true;
			m->size = 0;
			st = STORE_OK;
		}
		m->sized = st == STORE_OK;
	}
	*size_r = m->size;
	return st;
}

enum store_status maildrop_total(struct maildrop *d, uint32_t *count_r, uint64_t *size_r)
{
	*count_r = 0;
	*size_r = 0;
	for (uint32_t i = 0; i < d->count; i++) {
		enum store_status st;
		uint64_t size;

		if (d->msg[i].deleted)
			continue;
		st = maildrop_size(d, &d->msg[i], &size);
		if (st != STORE_OK)
			return st;
		++*count_r;
		*size_r += size;
	}
	return STORE_OK;
}

uint64_t maildrop_known_size(const struct maildrop *d)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < d->count; i++)
		sum += d->msg[i].size;
	return sum;
}

void maildrop_delete(struct maildrop *d, struct drop_msg *m)
{
	if (!m->deleted)
		d->ndeleted++;
	m->deleted = true;
}

void maildrop_reset(struct maildrop *d)
{
	for (uint32_t i = 0; i < d->count; i++)
		d->msg[i].deleted = false;
	d->ndeleted = 0;
}

/* By UID: the store may have noticed by now that other messages are gone. */
static bool is_marked(uint32_t seq, const struct store_msg *sm, void *arg)
{
	const struct maildrop *d = arg;
	uint32_t low = 0, high = d->count;

	(void)seq;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (d->msg[mid].uid < sm->uid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < d->count && d->msg[low].uid == sm->uid && d->msg[low].deleted;
}

/* They stay, but in no maildrop any more. */
static enum store_status flag_marked(struct maildrop *d)
{
	int bit = mailbox_keyword_bit(d->mb, span_cstr(conf->pop3_deleted_flag), true);
	enum store_status st = bit >= 0 ? STORE_OK : STORE_NOSPACE;

	for (uint32_t i = 0; i < d->count && st == STORE_OK; i++) {
		if (d->msg[i].deleted)
			st = mailbox_flag(d->mb, d->msg[i].seq, STORE_FLAGS_ADD, 0, UINT64_C(1) << bit);
		if (st == STORE_EXPUNGED)
			st = STORE_OK;
	}
	return st == STORE_OK ? mailbox_flush(d->mb) : st;
}

enum store_status maildrop_commit(struct maildrop *d)
{
	if (d->ndeleted == 0)
		return STORE_OK;
	return options.delete_by_flag ? flag_marked(d) : mailbox_expunge(d->mb, is_marked, d, &nobody_listens);
}

uint32_t maildrop_last_seen(const struct maildrop *d)
{
	uint32_t i = d->count;

	while (i > 0 && !(mailbox_msg(d->mb, d->msg[i - 1].seq)->flags & STORE_SEEN))
		i--;
	return i;
}

void maildrop_seen(struct maildrop *d, struct drop_msg *m)
{
	if (conf->pop3_no_flag_updates || mailbox_msg(d->mb, m->seq)->flags & STORE_SEEN)
		return;
	(void)mailbox_flag(d->mb, m->seq, STORE_FLAGS_ADD, STORE_SEEN, 0); /* a flag not set is no reason to fail a RETR */
}
