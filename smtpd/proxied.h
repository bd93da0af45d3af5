/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection that a load balancer passed on: smtpd_upstream_proxy_protocol. */
#pragma once
#include "lib/service/service.h"

/*
 * Read the balancer's header off the descriptor, before anything else is read from it, and put the real client in place of the
 * balancer. False: there is none in time, it is broken, or the peer is not one that may send it (smtpd_upstream_proxy_hosts): the
 * connection is to be closed, and the log says why. Nothing to do without smtpd_upstream_proxy_protocol.
 */
bool proxied_session(struct service_session *ss);
