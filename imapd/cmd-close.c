/* SPDX-License-Identifier: BSD-2-Clause */
/* CLOSE expunges without a word, UNSELECT (RFC 3691) does not. */
#include "imapd/imapd.h"

void cmd_close(struct session *s, struct imap_scan *a)
{
	enum store_status st = STORE_OK;
	uint64_t highest;

	if (!imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	if (!s->read_only)
		st = expunge_run(s, NULL, 0, true);
	highest = condstore_highest(s);
	view_close(s);
	if (st == STORE_OK)
		condstore_reply_expunged(s, highest, "Close completed.");
	else
		reply_status(s, st, NULL);
}

void cmd_unselect(struct session *s, struct imap_scan *a)
{
	if (!imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	view_close(s);
	reply(s, "OK Unselect completed.");
}
