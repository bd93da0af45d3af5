/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/box.h"
#include "imapd/imapd.h"

void cmd_rename(struct session *s, struct imap_scan *a)
{
	struct span from, to;
	struct box *b;
	enum store_status st;

	if (!scan_mailbox(s, a, &from))
		return;
	if (!imap_scan_sp(a)) {
		reply_bad(s, a->error);
		return;
	}
	if (!scan_mailbox(s, a, &to))
		return;
	if (!imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	b = box_get(from);
	box_lock(b);
	st = store_rename(store_lock(), from, to);
	store_unlock();
	if (st == STORE_OK)
		box_changed(b, s);
	box_unlock(b);
	/* INBOX stays, only its messages have moved. */
	if (st == STORE_OK && !span_is(from, "INBOX"))
		box_forget(from);
	box_put(b);
	reply_status(s, st, "Rename completed.");
}
