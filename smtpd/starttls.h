/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS of an SMTP session: STARTTLS (RFC 3207) and from the first byte. */
#pragma once
#include <stdbool.h>

#include "smtpd/session.h"

/* Before the jail: what the parameters say. */
void starttls_open(void);
void starttls_first_look(void); /* after it: complain now, not at the first handshake */
/* Is STARTTLS offered in this session now? */
bool starttls_offered(const struct smtpd_session *s);
/* Is this session in the clear though it must not go on so (smtpd_tls_security_level = encrypt)? */
bool starttls_missing(const struct smtpd_session *s);
/* smtpd_tls_wrappermode: the handshake before the greeting. False: it failed, nothing may be sent. */
bool starttls_wrapped(struct smtpd_session *s);
/* The lines of the Received: field that say so, if smtpd_tls_received_header is set. */
void starttls_received(struct buf *b, const struct smtpd_session *s);
