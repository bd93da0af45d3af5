/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS of a server process: the context of the newest certificates, for smtpd and login. A changed bundle is noticed at the next
 * handshake; one that cannot be used leaves the old context in place. See tlsset.h.
 */
#pragma once
#include <stdbool.h>

#include "lib/io/tls.h"
#include "lib/service/tlsset.h"

/* Before the jail. set: what does not come from certificates; its strings must stay. Nothing happens when no certificate is
 * configured. */
void tlsdoor_open(enum tls_kind kind, const struct tls_settings *set);
/* After the jail, and from any thread: can a handshake be had now? */
bool tlsdoor_ready(void);
/* The context for a handshake, tls_context_free() it afterwards; NULL: there is none. */
struct tls_context *tlsdoor_use(void);
