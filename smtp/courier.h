/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A delivery slot of qmgr: takes jobs, one after the other, and keeps the connection to the destination between them
 * until it has been IDLE for smtp_connection_cache_time_limit, qmgr names another next hop, or the connection fails. See
 * lib/queue/job.h for what is said to qmgr.
 *
 *	has		event				does
 *	nothing		JOB				resolve, connect, send; has a peer, or reports why not
 *	a peer		JOB, same next hop		send
 *	a peer		JOB, another next hop		QUIT; as with nothing
 *	a peer		stale when used again		connect once more; nothing is held against anybody
 *	a peer		temporary refusal		the next host, while smtp_mx_session_limit allows
 *	a peer		IDLE				keeps it for a moment
 *	an idle peer	its time is over		QUIT
 *	anything	end of qmgr, stop		QUIT
 */
#pragma once
#include "lib/service/service.h"

void courier_session(const struct service_session *session);
