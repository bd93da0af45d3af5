/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 2342: one personal namespace without a prefix. */
#include "imapd/imapd.h"

void cmd_namespace(struct session *s, struct imap_scan *a)
{
	if (!imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	stream_puts(s->io, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
	reply(s, "OK Namespace completed.");
}
