/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtpd/mx_backup.h"

#include "lib/conf/conf.h"
#include "lib/io/dns.h"
#include "lib/map/match.h"

enum { INTERFACES_MAX = 256 };

static bool address_is_ours(const struct netaddr *addr)
{
	struct netaddr own[INTERFACES_MAX];
	size_t n = netaddr_interfaces(own, INTERFACES_MAX);

	for (size_t i = 0; i < n; i++)
		if (netaddr_eq(&own[i], addr))
			return true;
	return conf->proxy_interfaces[0] &&
	       match_netaddr(match_open(conf->proxy_interfaces, MATCH_NETWORK), addr, SPAN_NONE) == MAP_OK;
}

static enum map_status host_is_us(struct arena *a, struct span host)
{
	struct dns_answer addresses;
	enum dns_status status;

	if (span_iis(host, conf->myhostname))
		return MAP_OK;
	status = dns_addresses(a, host, DNS_WANT_A | DNS_WANT_AAAA, &addresses);
	for (size_t i = 0; status == DNS_OK && i < addresses.nrecords; i++)
		if (address_is_ours(&addresses.records[i].addr))
			return MAP_OK;
	return status == DNS_TEMP ? MAP_TEMP : MAP_NOTFOUND;
}

enum map_status mx_backup(struct arena *a, struct span domain)
{
	enum map_status worst = MAP_NOTFOUND;
	struct dns_answer mx;
	enum dns_status status = dns_lookup(a, domain, DNS_MX, &mx);

	if (status != DNS_OK)
		return status == DNS_TEMP ? MAP_TEMP : MAP_NOTFOUND;
	for (size_t i = 0; i < mx.nrecords; i++) {
		enum map_status us = host_is_us(a, mx.records[i].name);

		if (us == MAP_OK)
			return MAP_OK;
		if (us == MAP_TEMP)
			worst = MAP_TEMP;
	}
	return worst;
}
