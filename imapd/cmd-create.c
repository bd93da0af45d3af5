/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/box.h"
#include "imapd/imapd.h"

/* "CREATE name (USE (\\Sent))" of RFC 6154 is not offered (CREATE-SPECIAL-USE). */
void cmd_create(struct session *s, struct imap_scan *a)
{
	struct span name;
	enum store_status st;

	if (!scan_mailbox(s, a, &name))
		return;
	if (!imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	st = store_create(store_lock(), name);
	store_unlock();
	reply_status(s, st, "Create completed.");
}
