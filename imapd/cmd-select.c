/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/imapd.h"

/* "(CONDSTORE)" and the like, RFC 4466: none is known. */
static bool end_of_args(struct session *s, struct imap_scan *a)
{
	if (a->in.len == 0 || imap_scan_end(a))
		return true;
	reply_bad(s, "Unknown parameter");
	return false;
}

static void select_mailbox(struct session *s, struct imap_scan *a, bool read_only)
{
	struct span name;
	enum store_status st;

	if (!scan_mailbox(s, a, &name) || !end_of_args(s, a))
		return;
	if (s->box != NULL) {
		view_close(s);
		stream_puts(s->io, "* OK [CLOSED] Previous mailbox closed.\r\n");
	}
	st = view_open(s, name, read_only);
	if (st != STORE_OK) {
		reply_status(s, st, NULL);
		return;
	}
	if (s->rev2)
		list_send_one(s, name);
	reply(s, "OK [%s] %s completed.", s->read_only ? "READ-ONLY" : "READ-WRITE", read_only ? "Examine" : "Select");
}

void cmd_select(struct session *s, struct imap_scan *a)
{
	select_mailbox(s, a, false);
}

void cmd_examine(struct session *s, struct imap_scan *a)
{
	select_mailbox(s, a, true);
}
