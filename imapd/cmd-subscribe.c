/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/box.h"
#include "imapd/imapd.h"

static void subscribe(struct session *s, struct imap_scan *a, bool on)
{
	struct span name;
	enum store_status st;

	if (!scan_mailbox(s, a, &name))
		return;
	if (!imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	st = store_subscribe(store_lock(), name, on);
	store_unlock();
	reply_status(s, st, on ? "Subscribe completed." : "Unsubscribe completed.");
}

void cmd_subscribe(struct session *s, struct imap_scan *a)
{
	subscribe(s, a, true);
}

void cmd_unsubscribe(struct session *s, struct imap_scan *a)
{
	subscribe(s, a, false);
}
