/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtpd/proxied.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/io/wait.h"
#include "lib/map/match.h"
#include "lib/proto/proxy_header.h"

/* Exactly the header: what follows may be a TLS handshake. */
static bool receive(int fd, struct proxy_header *h, const char **why)
{
	int64_t deadline = clock_deadline(conf->smtpd_upstream_proxy_timeout_ms);
	char bytes[PROXY_HEADER_MAX];
	size_t have = 0, want;
	enum proxy_status status;

	while ((status = proxy_header_read(span_of(bytes, have), h, &want)) == PROXY_MORE) {
		ssize_t n;

		*why = "no header in time";
		if (io_wait(fd, POLLIN, deadline) != IO_OK)
			return false;
		n = recv(fd, bytes + have, want, 0);
		*why = "lost connection";
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		have += n > 0 ? (size_t)n : 0;
	}
	*why = "bad header";
	return status == PROXY_OK;
}

static void take(struct netaddr *to, const struct addr_ip *ip, uint16_t port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };

	if (ip->family == AF_INET6) { /* by way of a sockaddr: an IPv4 address in disguise is taken for what it is */
		memcpy(&six.sin6_addr, ip->bytes, 16);
		netaddr_from_sockaddr(to, (const struct sockaddr *)&six);
	} else {
		*to = (struct netaddr){ .family = AF_INET };
		memcpy(to->bytes, ip->bytes, 4);
	}
	to->port = port;
}

bool proxied_session(struct service_session *ss)
{
	char text[NETADDR_TEXT_MAX];
	struct proxy_header h;
	const char *why = "not a host of smtpd_upstream_proxy_hosts";

	if (!*conf->smtpd_upstream_proxy_protocol || ss->peer.family == AF_UNIX || ss->peer.family == 0)
		return true;
	if (match_netaddr(match_open(conf->smtpd_upstream_proxy_hosts, MATCH_NETWORK), &ss->peer, SPAN_NONE) != MAP_OK ||
	    !receive(ss->fd, &h, &why)) {
		log_warn("haproxy header from %s: %s", netaddr_text(&ss->peer, text), why);
		return false;
	}
	if (h.local)
		return true;
	take(&ss->peer, &h.client, h.client_port);
	take(&ss->local, &h.server, h.server_port);
	return true;
}
