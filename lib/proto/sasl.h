/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages of SASL mechanisms that carry a password: PLAIN (RFC 4616) and the older LOGIN. */
#pragma once
#include <stdbool.h>

#include "lib/base/span.h"

struct sasl_plain {
	struct span authzid; /* on whose behalf; empty: the same user */
	struct span authcid; /* who */
	struct span password;
};

/* decoded: the response after base64. False: not "[authzid] NUL authcid NUL password", or an empty authcid or password. */
bool sasl_plain_parse(struct span decoded, struct sasl_plain *out) __attribute__((warn_unused_result));

/* The prompts of LOGIN, in base64: "Username:", "Password:". Outlook Express wants exactly these. */
#define SASL_LOGIN_USERNAME "VXNlcm5hbWU6"
#define SASL_LOGIN_PASSWORD "UGFzc3dvcmQ6"
