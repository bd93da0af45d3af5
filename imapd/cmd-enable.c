/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 5161. No extension that has to be enabled is offered, so none is. */
#include "imapd/imapd.h"

void cmd_enable(struct session *s, struct imap_scan *a)
{
	struct span atom;

	do {
		if (!imap_scan_atom(a, &atom)) {
			reply_bad(s, a->error);
			return;
		}
	} while (imap_scan_peek(a, ' ') && imap_scan_sp(a));
	if (!imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	stream_puts(s->io, "* ENABLED\r\n");
	reply(s, "OK Enabled.");
}
