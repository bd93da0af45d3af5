/* SPDX-License-Identifier: BSD-2-Clause */
/* The question to auth: one connection, one frame (with the client's descriptor for a mailbox), one reply. */
#pragma once
#include "lib/service/handover.h"

enum auth_ask {
	AUTH_SAID = 0,  /* *reply_r is what it said */
	AUTH_NOT_TAKEN, /* it has not read the question: the client is still ours */
	AUTH_UNKNOWN,   /* no reply came: the client may have been handed over */
};

/* path: "private/auth"; from login's jail "login/auth". client: descriptor to hand over, or -1. Spans of *reply_r in a. */
enum auth_ask auth_ask(const char *path, const struct handover_login *q, int client, struct arena *a,
		       struct handover_reply *reply_r);
