/* SPDX-License-Identifier: BSD-2-Clause */
/* Who may send where: smtpd_relay_restrictions and smtpd_recipient_restrictions, and whether the recipient exists. */
#pragma once
#include "smtpd/session.h"

/* Read the restriction lists of the configuration, before threads start. A name that is not known makes every RCPT answer
 * "451 4.3.5 Server configuration problem" and is logged, here and then. */
void access_init(void);

/*
 * Decide on one recipient. address: rewritten, internal form; given: as the client wrote it, for the texts. True: accept. False:
 * *text_r is the whole reply.
 */
bool access_rcpt(struct smtpd_session *s, struct span address, struct span given, const char **text_r);
