/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/imapd.h"

static bool scan_param(struct session *s, struct imap_scan *a, struct resync *r)
{
	struct span name;

	if (!imap_scan_atom(a, &name))
		return false;
	if (span_iis(name, "CONDSTORE")) {
		s->condstore = true;
		return true;
	}
	if (!span_iis(name, "QRESYNC") || r->wanted)
		return imap_scan_fail(a, "Unknown parameter");
	return s->qresync ? resync_scan(s, a, r) : imap_scan_fail(a, "QRESYNC is not enabled");
}

/* "(CONDSTORE)", "(QRESYNC (...))": RFC 4466. */
static bool scan_params(struct session *s, struct imap_scan *a, struct resync *r)
{
	*r = (struct resync){ 0 };
	if (a->in.len == 0 || imap_scan_end(a))
		return true;
	if (imap_scan_sp(a) && imap_scan_open(a)) {
		do {
			if (!scan_param(s, a, r))
				break;
			if (imap_scan_peek(a, ')') && imap_scan_close(a) && imap_scan_end(a))
				return true;
		} while (imap_scan_sp(a));
	}
	reply_bad(s, a->error);
	return false;
}

static void select_mailbox(struct session *s, struct imap_scan *a, bool read_only)
{
	struct resync r;
	struct span name;
	enum store_status st;

	if (!scan_mailbox(s, a, &name) || !scan_params(s, a, &r))
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
	if (r.wanted)
		resync_tell(s, &r);
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
