/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extensions that a client is not offered: smtpd_discard_ehlo_keywords, or what smtpd_discard_ehlo_keyword_address_maps say of its
 * address. AUTH, STARTTLS, DSN, SMTPUTF8 and CHUNKING are refused then, too; of the others only the word is left out.
 */
#pragma once
#include "smtpd/session.h"

enum {
	DISCARD_8BITMIME = 1,
	DISCARD_AUTH = 2,
	DISCARD_ETRN = 4,
	DISCARD_PIPELINING = 8,
	DISCARD_SIZE = 16,
	DISCARD_VRFY = 32,
	DISCARD_XCLIENT = 64,
	DISCARD_XFORWARD = 128,
	DISCARD_STARTTLS = 256,
	DISCARD_ENHANCEDSTATUSCODES = 512,
	DISCARD_DSN = 1024,
	DISCARD_SMTPUTF8 = 2048,
	DISCARD_CHUNKING = 4096,
	DISCARD_LIMITS = 8192,
	DISCARD_SILENTLY = 1 << 14, /* silent-discard */
	DISCARD_UNKNOWN = 1 << 15,  /* the table cannot be asked now */
};

/* At the start of a session: s->discard. sendmail(1) gets everything. */
void discard_decide(struct smtpd_session *s);
/* At EHLO: log what is left out. False: what to leave out is not known, the reply is given and the session ends. */
bool discard_known(struct smtpd_session *s);
