/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtp/site.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/conf/conf.h"
#include "lib/io/dns.h"
#include "lib/proto/mailhost.h"
#include "lib/service/endpoint.h"
#include "smtp/self.h"

enum { HOSTS_MAX = 20, ADDRESSES_MAX = HOSTS_MAX * 20, PORT_SMTP = 25 };

/* --- order -------------------------------------------------------------------------------------------------------- */

static int family_rank(const struct site_host *h, enum site_prefer prefer)
{
	if (prefer == SITE_PREFER_ANY)
		return 0;
	return (h->addr.family == AF_INET) != (prefer == SITE_PREFER_IPV4);
}

static bool comes_before(const struct site_host *x, const struct site_host *y, enum site_prefer prefer)
{
	int rx = family_rank(x, prefer);
	int ry = family_rank(y, prefer);

	if (x->preference != y->preference)
		return x->preference < y->preference;
	return rx != ry ? rx < ry : x->lot < y->lot;
}

/* Insertion: there are a handful. */
static void sort_hosts(struct site_host *hosts, size_t n, enum site_prefer prefer)
{
	for (size_t i = 1; i < n; i++) {
		struct site_host h = hosts[i];
		size_t at = i;

		for (; at > 0 && comes_before(&h, &hosts[at - 1], prefer); at--)
			hosts[at] = hosts[at - 1];
		hosts[at] = h;
	}
}

static size_t count_family(const struct site_host *hosts, size_t n, sa_family_t family)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += hosts[i].addr.family == family;
	return count;
}

/* How many IPv4 addresses may stay when limit of n stay in all. */
static size_t share_of_ipv4(const struct site_host *hosts, size_t n, size_t limit)
{
	size_t v4 = count_family(hosts, n, AF_INET), v6 = n - v4;
	size_t now = count_family(hosts, limit, AF_INET);
	size_t least = v4 < limit / 2 ? v4 : limit / 2;
	size_t most = limit - (v6 < limit / 2 ? v6 : limit / 2);

	return now < least ? least : now > most ? most : now;
}

size_t site_order(struct site_host *hosts, size_t n, enum site_prefer prefer, size_t limit)
{
	size_t v4, v6, kept = 0;

	sort_hosts(hosts, n, prefer);
	if (limit == 0 || n <= limit)
		return n;
	v4 = share_of_ipv4(hosts, n, limit);
	v6 = limit - v4;
	for (size_t i = 0; i < n && kept < limit; i++) {
		size_t *left = hosts[i].addr.family == AF_INET ? &v4 : &v6;

		if (*left == 0)
			continue;
		--*left;
		hosts[kept++] = hosts[i];
	}
	return kept;
}

/* --- what was looked up ------------------------------------------------------------------------------------------- */

struct search {
	struct arena *a;
	struct site *site;
	struct span host;
	uint16_t port;
	unsigned families;
	bool transient; /* a look-up failed for now: what was not found may exist */
};

static void name_trouble(struct search *s, struct span name, enum dns_type type, enum dns_status status)
{
	bool transient = status == DNS_TEMP || status == DNS_BAD;

	if (s->transient && !transient)
		return;
	s->transient = transient;
	s->site->unreachable = transient;
	s->site->trouble =
	    verdict_make(s->a, transient ? "4.4.3" : "5.4.4",
			 "Host or domain name not found. Name service error for name=" SPAN_FMT " type=%s: %s",
			 SPAN_ARG(name), dns_type_str(type), dns_status_str(status));
}

static uint32_t draw(void)
{
	uint32_t lot;

	return getentropy(&lot, sizeof lot) == 0 ? lot : (uint32_t)clock_wall_us();
}

static enum dns_status addresses_of(struct search *s, struct span host, struct dns_answer *answer)
{
	enum dns_status status = DNS_NXDOMAIN;
	bool native =
	    conf->disable_dns_lookups || strstr(conf->smtp_host_lookup, "native") || span_iis(host, "localhost");

	if (!conf->disable_dns_lookups && strstr(conf->smtp_host_lookup, "dns") && !span_iis(host, "localhost"))
		status = dns_addresses(s->a, host, s->families, answer);
	if (status != DNS_OK && native)
		status = dns_native_addresses(s->a, host, s->families, answer);
	return status;
}

/* Returns true when one of its addresses is our own. */
static bool add_host(struct search *s, struct span host, uint32_t preference)
{
	struct site *site = s->site;
	struct dns_answer answer = { 0 };
	enum dns_status status = addresses_of(s, host, &answer);
	bool us = false;

	if (status != DNS_OK)
		name_trouble(s, host, s->families & DNS_WANT_A ? DNS_A : DNS_AAAA, status);
	for (size_t i = 0; i < answer.nrecords && site->nhosts < ADDRESSES_MAX; i++) {
		struct site_host *h = &site->hosts[site->nhosts++];

		*h = (struct site_host){ .name = arena_span(s->a, host), .addr = answer.records[i].addr };
		h->preference = preference;
		h->lot = draw();
		h->addr.port = s->port;
		us = us || self_is_us(&h->addr);
	}
	return us;
}

static void loop_trouble(struct search *s)
{
	s->site->nhosts = 0;
	s->site->unreachable = false;
	s->site->trouble =
	    verdict_make(s->a, "4.4.6",
			 "mail for " SPAN_FMT " loops back to myself: if it is to be delivered here, list it in "
			 "mydestination, virtual_mailbox_domains or virtual_alias_domains; if it is to be passed "
			 "on, in relay_domains with a next hop in transport_maps",
			 SPAN_ARG(s->host));
}

static void single_host(struct search *s)
{
	if (add_host(s, s->host, 0) && !site_lmtp)
		loop_trouble(s);
}

/* --- MX ----------------------------------------------------------------------------------------------------------- */

static int by_preference(const void *x, const void *y)
{
	const struct dns_record *a = x, *b = y;

	return (a->preference > b->preference) - (a->preference < b->preference);
}

/* Look up all hosts of one preference. Returns true when we are one of them. */
static bool add_group(struct search *s, const struct dns_record *mx, size_t n)
{
	bool us = false;

	for (size_t i = 0; i < n; i++)
		if (mx[i].name.len)
			us = add_host(s, mx[i].name, mx[i].preference) || us;
	return us;
}

/*
 * Best preference first, until there are enough addresses. Where we are among the hosts ourselves, these and all worse
 * ones are out (RFC 5321 5.1): they would send the mail to us.
 */
static void add_groups(struct search *s, const struct dns_record *mx, size_t n)
{
	size_t limit = (size_t)conf->smtp_mx_address_limit;

	for (size_t at = 0, end = 0; at < n && at < HOSTS_MAX; at = end) {
		size_t before = s->site->nhosts;

		while (end < n && end < HOSTS_MAX && mx[end].preference == mx[at].preference)
			end++;
		if (add_group(s, mx + at, end - at)) {
			s->site->nhosts = before;
			if (before == 0)
				loop_trouble(s);
			return;
		}
		if (limit && s->site->nhosts >= limit)
			return;
	}
}

/* More hosts of one preference than are looked up: let chance decide which. */
static void shuffle(struct dns_record *mx, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t with = draw() % i;
		struct dns_record kept = mx[i - 1];

		mx[i - 1] = mx[with];
		mx[with] = kept;
	}
}

static void mx_hosts(struct search *s)
{
	struct dns_answer mx;
	enum dns_status status = dns_lookup(s->a, s->host, DNS_MX, &mx);

	if (status == DNS_NODATA) {
		single_host(s);
	} else if (status != DNS_OK) {
		name_trouble(s, s->host, DNS_MX, status);
	} else if (dns_is_null_mx(&mx)) {
		s->site->trouble =
		    verdict_make(s->a, "5.1.0", "Domain " SPAN_FMT " does not accept mail (nullMX)", SPAN_ARG(s->host));
	} else {
		shuffle(mx.records, mx.nrecords);
		qsort(mx.records, mx.nrecords, sizeof *mx.records, by_preference);
		add_groups(s, mx.records, mx.nrecords);
	}
}

bool site_lmtp;

/* --- next hop ----------------------------------------------------------------------------------------------------- */

static bool port_of(struct span service, uint16_t *port_r)
{
	if (service.len == 0 && !site_lmtp)
		*port_r = PORT_SMTP;
	else
		*port_r = endpoint_port(service.len ? service : span_cstr(conf->lmtp_tcp_port));
	return *port_r > 0;
}

static unsigned wanted_families(void)
{
	struct span rest = span_cstr(conf->inet_protocols), word;
	unsigned families = 0;

	while (span_word(&rest, ", \t\r\n", &word)) {
		if (span_iis(word, "ipv4") || span_iis(word, "all"))
			families |= DNS_WANT_A;
		if (span_iis(word, "ipv6") || span_iis(word, "all"))
			families |= DNS_WANT_AAAA;
	}
	return families ? families : DNS_WANT_A | DNS_WANT_AAAA;
}

static enum site_prefer wanted_preference(void)
{
	if (strcmp(conf->smtp_address_preference, "ipv4") == 0)
		return SITE_PREFER_IPV4;
	return strcmp(conf->smtp_address_preference, "ipv6") == 0 ? SITE_PREFER_IPV6 : SITE_PREFER_ANY;
}

/* Postfix takes a bare address for itself too, "relayhost = 192.0.2.1"; as a name it could only fail. */
static bool parse_hop(struct span text, struct mailhost_hop *hop)
{
	ptrdiff_t colon = span_chr(text, ':');

	if (mailhost_hop_parse(text, hop))
		return true;
	*hop = (struct mailhost_hop){ .host = span_head(text, colon < 0 ? text.len : (size_t)colon) };
	hop->service = span_skip(text, hop->host.len + 1);
	return mailhost_ip_valid(hop->host);
}

/* unix:PATH. False: it is something else. */
static bool unix_host(struct arena *a, struct span nexthop, struct site *site)
{
	if (!site_lmtp || !span_starts(nexthop, "unix:"))
		return false;
	site->hosts[site->nhosts++] = (struct site_host){
		.name = span_cstr(conf->myhostname),
		.path = arena_cstr(a, span_skip(nexthop, strlen("unix:"))),
		.addr = { .family = AF_UNIX },
	};
	return true;
}

void site_resolve(struct arena *a, struct span nexthop, struct site *site_r)
{
	struct search s = { .a = a, .site = site_r, .families = wanted_families() };
	struct mailhost_hop hop;
	struct netaddr literal;

	*site_r = (struct site){ .hosts = arena_array(a, ADDRESSES_MAX, sizeof *site_r->hosts) };
	if (unix_host(a, nexthop, site_r))
		return;
	if (site_lmtp && span_starts(nexthop, "inet:"))
		nexthop = span_skip(nexthop, strlen("inet:"));
	if (!parse_hop(nexthop, &hop)) {
		site_r->trouble = verdict_make(a, "5.4.4",
					       "Host or domain name not found. Name service error for name=" SPAN_FMT
					       ": invalid host or domain name",
					       SPAN_ARG(nexthop));
		return;
	}
	s.host = hop.host;
	if (!port_of(hop.service, &s.port)) {
		site_r->trouble = verdict_make(a, "4.3.5", "unknown service in next hop " SPAN_FMT, SPAN_ARG(nexthop));
		return;
	}
	if (netaddr_parse(hop.host, &literal)) {
		literal.port = s.port;
		site_r->hosts[site_r->nhosts++] =
		    (struct site_host){ .name = arena_span(a, hop.host), .addr = literal };
		if (self_is_us(&literal) && !site_lmtp)
			loop_trouble(&s);
	} else if (site_lmtp || hop.no_mx || conf->disable_dns_lookups) {
		single_host(&s);
	} else {
		mx_hosts(&s);
	}
	site_r->nhosts =
	    site_order(site_r->hosts, site_r->nhosts, wanted_preference(), (size_t)conf->smtp_mx_address_limit);
	if (site_r->nhosts == 0 && site_r->trouble.dsn[0] == '\0')
		site_r->trouble = verdict_make(a, "4.4.4", "no mail server found for " SPAN_FMT, SPAN_ARG(nexthop));
}
