/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sasl: Dovecot's authentication protocol for other programs of this machine. One connection is one thread; it may have several
 * exchanges going on, and refusals that wait for their time hold up nothing else.
 */
#pragma once
#include "lib/service/service.h"

/* auth_mechanisms without those that are tied to a TLS channel, SASL_BIT(). */
extern unsigned sasl_mechanisms;

void sasl_session(const struct service_session *ss);
