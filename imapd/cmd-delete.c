/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/box.h"
#include "imapd/imapd.h"

static bool selected_is(const struct session *s, struct span name)
{
	return s->box != NULL && span_is(name, s->box->name);
}

/* Sessions that have the folder open keep their box and learn of it at their next look at the files. */
void cmd_delete(struct session *s, struct imap_scan *a)
{
	struct span name;
	struct box *b;
	enum store_status st;

	if (!scan_mailbox(s, a, &name))
		return;
	if (!imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	if (span_is(name, "INBOX")) {
		reply(s, "NO [CANNOT] INBOX can't be deleted.");
		return;
	}
	if (selected_is(s, name))
		view_close(s);
	b = box_get(name);
	box_lock(b);
	st = store_delete(store_lock(), name);
	store_unlock();
	if (st == STORE_OK)
		box_changed(b, s);
	box_unlock(b);
	if (st == STORE_OK)
		box_forget(name);
	box_put(b);
	reply_status(s, st, "Delete completed.");
}
