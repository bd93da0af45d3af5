/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/imapd.h"
#include "lib/proto/imap_caps.h"

void cmd_capability(struct session *s, struct imap_scan *a)
{
	if (!imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	stream_puts(s->io, "* CAPABILITY " IMAP_CAPABILITIES_USER "\r\n");
	reply(s, "OK Capability completed.");
}
