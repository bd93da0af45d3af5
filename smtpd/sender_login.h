/* SPDX-License-Identifier: BSD-2-Clause */
/* Who may use which sender address: smtpd_sender_login_maps against the login name of the session. */
#pragma once
#include "smtpd/restrict.h"

enum sender_login {
	SENDER_LOGIN_AUTHENTICATED = 1, /* logged in: only addresses that are his */
	SENDER_LOGIN_UNAUTHENTICATED,   /* not logged in: only addresses that are nobody's */
	SENDER_LOGIN_MISMATCH,          /* both */
	SENDER_LOGIN_KNOWN,             /* logged in: addresses that are his, or nobody's */
};

enum decision reject_sender_login(struct check *c, const struct use *u);
