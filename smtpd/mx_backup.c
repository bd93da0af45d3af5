/* SPDX-License-Identifier: BSD-2-Clause */
/* permit_mx_backup: we are an exchanger of the recipient's domain, and not one of the best. */
#include <netdb.h>

#include "lib/conf/conf.h"
#include "lib/io/dns.h"
#include "lib/map/match.h"
#include "lib/route/route.h"
#include "smtpd/mx_backup.h"

/* What could not be found out is no reason to refuse for good. */
static void unsure(struct check *c, const char *what, struct span host, const char *why)
{
	(void)put_off_if_reject(c, 450, "4.4.4", "<" SPAN_FMT ">: Recipient address rejected: %s" SPAN_FMT "%s%s",
				SPAN_ARG(c->recipient_given), what, SPAN_ARG(host), why ? ": " : "", why ? why : "");
}

static bool is_our_name(struct span host)
{
	bool temp;

	return route_class_of(host, &temp) == ROUTE_LOCAL && !temp;
}

static bool has_our_address(struct check *c, struct span host)
{
	struct dns_answer addresses;
	enum dns_status status = dns_native_addresses(&c->s->cmd, host, DNS_WANT_A | DNS_WANT_AAAA, &addresses);

	if (status != DNS_OK) {
		unsure(c, "Unable to look up mail exchanger host ", host,
		       gai_strerror(status == DNS_TEMP ? EAI_AGAIN : EAI_NONAME));
		return false;
	}
	for (size_t i = 0; i < addresses.nrecords; i++)
		if (route_is_own(&addresses.records[i].addr))
			return true;
	return false;
}

static bool we_are_among(struct check *c, const struct dns_record *hosts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_our_name(hosts[i].name))
			return true;
	for (size_t i = 0; i < n; i++)
		if (has_our_address(c, hosts[i].name))
			return true;
	return false;
}

static bool in_networks(struct check *c, struct span host)
{
	struct match *networks = match_open(conf->permit_mx_backup_networks, MATCH_NETWORK);
	struct dns_answer addresses;
	enum dns_status status = dns_addresses(&c->s->cmd, host, DNS_WANT_A | DNS_WANT_AAAA, &addresses);
	struct span as = span_cstr(arena_printf(&c->s->cmd, SPAN_FMT " as mail exchanger", SPAN_ARG(host)));

	if (status != DNS_OK) {
		unsure(c, "Unable to look up host ", as, dns_status_str(status));
		return false;
	}
	for (size_t i = 0; i < addresses.nrecords; i++) {
		enum map_status st = match_netaddr(networks, &addresses.records[i].addr, host);

		if (st == MAP_TEMP)
			unsure(c, "Unable to verify host ", as, NULL);
		if (st != MAP_OK)
			return false;
	}
	return true;
}

/* The best come first; the others keep their order. Returns how many are best. */
static size_t best_first(struct arena *a, struct dns_answer *mx)
{
	struct dns_record *sorted = arena_array(a, mx->nrecords, sizeof *sorted);
	uint16_t best = UINT16_MAX;
	size_t n = 0, nbest;

	for (size_t i = 0; i < mx->nrecords; i++)
		best = mx->records[i].preference < best ? mx->records[i].preference : best;
	for (size_t i = 0; i < mx->nrecords; i++)
		if (mx->records[i].preference == best)
			sorted[n++] = mx->records[i];
	nbest = n;
	for (size_t i = 0; i < mx->nrecords; i++)
		if (mx->records[i].preference != best)
			sorted[n++] = mx->records[i];
	mx->records = sorted;
	return nbest;
}

bool mx_backup(struct check *c, struct span domain)
{
	struct dns_answer mx;
	enum dns_status status = dns_lookup(&c->s->cmd, domain, DNS_MX, &mx);
	size_t nbest;

	if (status == DNS_TEMP)
		unsure(c, "Unable to look up mail exchanger information", SPAN_NONE, dns_status_str(status));
	if (status != DNS_OK || dns_is_null_mx(&mx))
		return false;
	nbest = best_first(&c->s->cmd, &mx);
	if (we_are_among(c, mx.records, nbest) || !we_are_among(c, mx.records + nbest, mx.nrecords - nbest))
		return false;
	for (size_t i = 0; i < nbest && conf->permit_mx_backup_networks[0]; i++)
		if (!in_networks(c, mx.records[i].name))
			return false;
	return true;
}
