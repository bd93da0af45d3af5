/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/box.h"
#include "imapd/imapd.h"

void cmd_check(struct session *s, struct imap_scan *a)
{
	enum store_status st;

	if (!imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	box_lock(s->box);
	st = s->read_only ? STORE_OK : mailbox_flush(s->mb);
	box_unlock(s->box);
	reply_status(s, st, "Check completed.");
}
