/* SPDX-License-Identifier: BSD-2-Clause */
/* EXPUNGE, and UID EXPUNGE of RFC 4315. */
#include <stdlib.h>

#include "imapd/box.h"
#include "imapd/imapd.h"

struct selection {
	const uint32_t *uids; /* NULL: all */
	size_t nuids;
	bool deleted_only;
	uint64_t count;
};

static int by_number(const void *x, const void *y)
{
	const uint32_t *a = x, *b = y;

	return *a < *b ? -1 : *a > *b;
}

static bool selected(uint32_t seq, const struct store_msg *m, void *arg)
{
	struct selection *sel = arg;

	(void)seq;
	if (sel->deleted_only && (m->flags & STORE_DELETED) == 0)
		return false;
	if (sel->uids != NULL && bsearch(&m->uid, sel->uids, sel->nuids, sizeof(m->uid), by_number) == NULL)
		return false;
	sel->count++;
	return true;
}

static void gone(uint32_t seq, uint32_t uid, void *arg)
{
	(void)seq;
	(void)uid;
	(void)arg;
}

static void changed(uint32_t seq, void *arg)
{
	(void)seq;
	(void)arg;
}

enum store_status expunge_run(struct session *s, const uint32_t *uids, size_t nuids, bool deleted_only)
{
	struct selection sel = { .uids = uids, .nuids = nuids, .deleted_only = deleted_only };
	const struct mailbox_events ev = { gone, changed, NULL };
	enum store_status st;

	box_lock(s->box);
	st = mailbox_expunge(s->mb, selected, &sel, &ev);
	box_changed(s->box, s);
	box_unlock(s->box);
	if (st == STORE_OK)
		s->stats.expunged += sel.count;
	return st;
}

void cmd_expunge(struct session *s, struct imap_scan *a)
{
	enum store_status st = STORE_OK;
	uint32_t *at = NULL, n = 0;

	if (s->by_uid && !view_scan_set(s, a, &at, &n))
		return;
	if (!imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		at[i] = s->view.msg[at[i]].uid;
	if (!s->by_uid || n > 0)
		st = expunge_run(s, at, n, true);
	if (st == STORE_OK)
		condstore_reply_expunged(s, condstore_highest(s), "Expunge completed.");
	else
		reply_status(s, st, NULL);
}
