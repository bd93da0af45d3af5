/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much a client may do in a unit of time, over all processes of all smtpd services: connections, messages, recipients,
 * AUTH commands, new TLS sessions. The counts lie in a file that all processes map. Clients of one network count as one
 * (smtpd_client_ipv4_prefix_length, smtpd_client_ipv6_prefix_length), each service (smtp, submission) for itself.
 */
#pragma once
#include "smtpd/session.h"

enum rate { RATE_CONNECTION, RATE_MESSAGE, RATE_RECIPIENT, RATE_AUTH, RATE_TLS, RATES };

/* As root, in queue_directory, before the jail. Logs and counts nothing when the file cannot be had. */
void rates_open(void);

/*
 * Count one event. True: fine. False: more than smtpd_client_*_rate_limit in anvil_rate_time_unit; it is logged and the reply is
 * given (421 for a connection or a TLS session, which also ends the session; 450 else). Clients in
 * smtpd_client_event_limit_exceptions are never refused.
 */
bool rates_allow(struct smtpd_session *s, enum rate what);

/* The same without a reply, where none can be sent. */
bool rates_count(const struct smtpd_session *s, enum rate what);
/* Was the limit passed in this unit of time? Counts and logs nothing. */
bool rates_exceeded(const struct smtpd_session *s, enum rate what);

/* Is the client in smtpd_client_event_limit_exceptions, or local? */
bool rates_exempt(const struct smtpd_session *s);
