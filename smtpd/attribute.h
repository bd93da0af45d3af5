/* SPDX-License-Identifier: BSD-2-Clause */
/* What a session knows, under Postfix's names, for templates of replies: smtpd_reject_footer, default_rbl_reply. */
#pragma once
#include "smtpd/session.h"

/*
 * client, client_address, client_name, client_port, helo_name, localtime, recipient, recipient_domain, recipient_name,
 * reverse_client_name, sender, sender_domain, sender_name, server_name. False: no such name. What smtpd_expansion_filter does not
 * let through is "_". The value is in a, or lives as long as the session.
 */
bool attribute_find(struct smtpd_session *s, struct arena *a, struct span name, struct span *value_r);
