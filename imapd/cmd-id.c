/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 2971. Who the client says it is goes to no one. */
#include "imapd/imapd.h"

void cmd_id(struct session *s, struct imap_scan *a)
{
	struct span atom;

	if (imap_scan_peek(a, '(') ? a->in.ptr[a->in.len - 1] != ')'
				   : !imap_scan_atom(a, &atom) || !span_iis(atom, "NIL")) {
		reply_bad(s, "Expected a list or NIL");
		return;
	}
	stream_puts(s->io, "* ID (\"name\" \"Posthouse\")\r\n");
	reply(s, "OK ID completed.");
}
