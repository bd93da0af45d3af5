/* SPDX-License-Identifier: BSD-2-Clause */
/* check_*_a_access, check_*_mx_access, check_*_ns_access: the hosts and addresses behind a name, in an access(5) table. */
#include "lib/base/log.h"
#include "lib/io/dns.h"
#include "lib/proto/addr.h"
#include "smtpd/restrict.h"

enum { HOSTS_MAX = 100 };

/* Somebody else's DNS records cannot be a permission: whoever writes that has meant something else, and is to find it out. */
enum decision no_permission(struct check *c, const struct use *u, enum decision d)
{
	if (d != PERMIT || c->s->txn.actions.discard)
		return d;
	log_warn("restriction %s returns OK for " SPAN_FMT "; this is not allowed, use DUNNO to make an exception", u->rule->name,
		 SPAN_ARG(c->name));
	return refuse_config(c);
}

static enum decision check_addresses(struct check *c, const struct use *u, struct span host, struct about_text t)
{
	struct dns_answer answer;
	char text[NETADDR_TEXT_MAX];
	enum decision d = NEXT;

	if (dns_native_addresses(&c->s->cmd, host, DNS_WANT_A | DNS_WANT_AAAA, &answer) != DNS_OK)
		return NEXT;
	for (size_t i = 0; i < answer.nrecords && d == NEXT; i++)
		d = check_address(c, u, arena_span(&c->s->cmd, span_cstr(netaddr_text(&answer.records[i].addr, text))),
				  t.name, t.what);
	return d;
}

static enum decision check_hosts(struct check *c, const struct use *u, const struct dns_answer *hosts, struct about_text t)
{
	enum decision d = NEXT;

	for (size_t i = 0; i < hosts->nrecords && i < HOSTS_MAX && d == NEXT; i++) {
		struct span host = hosts->records[i].name;

		if (host.len == 0)
			continue;
		d = check_domain(c, u, host, t.name, t.what);
		if (d == NEXT)
			d = check_addresses(c, u, host, t);
	}
	return d;
}

/* [1.2.3.4]: that address. */
static bool literal(struct check *c, const struct use *u, struct about_text t, enum decision *d)
{
	struct addr_ip ip;
	struct netaddr a = { 0 };
	char text[NETADDR_TEXT_MAX];

	if (t.domain.len == 0 || t.domain.ptr[0] != '[')
		return false;
	*d = NEXT;
	if (!addr_literal_parse(t.domain, &ip))
		return true;
	a.family = (sa_family_t)ip.family;
	for (int i = 0; i < 16; i++)
		a.bytes[i] = ip.bytes[i];
	*d = check_address(c, u, arena_span(&c->s->cmd, span_cstr(netaddr_text(&a, text))), t.name, t.what);
	return true;
}

static bool has_name(struct about_text t)
{
	return t.present && t.domain.len && !span_is(t.domain, "unknown");
}

enum decision check_a_access(struct check *c, const struct use *u)
{
	struct about_text t = about_text(c, u->rule->about);
	enum decision d;

	if (!has_name(t))
		return NEXT;
	if (!literal(c, u, t, &d))
		d = check_addresses(c, u, t.domain, t);
	return no_permission(c, u, d);
}

enum decision check_mx_access(struct check *c, const struct use *u)
{
	struct about_text t = about_text(c, u->rule->about);
	struct dns_answer mx;
	enum dns_status status;
	enum decision d;

	if (!has_name(t))
		return NEXT;
	if (literal(c, u, t, &d))
		return no_permission(c, u, d);
	status = dns_lookup(&c->s->cmd, t.domain, DNS_MX, &mx);
	if (status == DNS_OK)
		return no_permission(c, u, check_hosts(c, u, &mx, t));
	if (status == DNS_TEMP)
		log_warn("Unable to look up MX host for " SPAN_FMT ": %s", SPAN_ARG(t.domain), dns_status_str(status));
	if (status != DNS_NODATA && status != DNS_NXDOMAIN)
		return NEXT;
	d = check_domain(c, u, t.domain, t.name, t.what);
	return no_permission(c, u, d == NEXT ? check_addresses(c, u, t.domain, t) : d);
}

enum decision check_ns_access(struct check *c, const struct use *u)
{
	struct about_text t = about_text(c, u->rule->about);
	struct span domain = t.domain;
	struct dns_answer ns;
	enum dns_status status;

	if (!has_name(t) || domain.ptr[0] == '[')
		return NEXT;
	/* The zone is the name itself or one of its parents. */
	for (;;) {
		status = dns_lookup(&c->s->cmd, domain, DNS_NS, &ns);
		if ((status != DNS_NODATA && status != DNS_NXDOMAIN) || span_chr(domain, '.') < 0)
			break;
		(void)span_cut(&domain, '.');
	}
	if (status == DNS_TEMP)
		log_warn("Unable to look up NS host for " SPAN_FMT ": %s", SPAN_ARG(t.domain), dns_status_str(status));
	return status == DNS_OK ? no_permission(c, u, check_hosts(c, u, &ns, t)) : NEXT;
}
