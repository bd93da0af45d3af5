/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/imapd.h"

void cmd_logout(struct session *s, struct imap_scan *a)
{
	(void)a;
	stream_puts(s->io, "* BYE Logging out\r\n");
	reply(s, "OK Logout completed.");
	session_end(s, "Disconnected: Logged out");
}
