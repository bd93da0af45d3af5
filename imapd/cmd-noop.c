/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/imapd.h"

void cmd_noop(struct session *s, struct imap_scan *a)
{
	(void)a;
	reply(s, "OK NOOP completed.");
}
