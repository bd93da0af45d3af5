/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules about the name in HELO and EHLO. */
#include "lib/conf/conf.h"
#include "lib/io/dns.h"
#include "lib/proto/mailhost.h"
#include "smtpd/restrict.h"

static enum decision invalid(struct check *c, const char *what)
{
	return refuse(c, (int)conf->invalid_hostname_reject_code, "5.5.2", "<" SPAN_FMT ">: Helo command rejected: %s",
		      SPAN_ARG(c->s->helo), what);
}

enum decision reject_invalid_helo(struct check *c, const struct use *u)
{
	struct span helo = c->s->helo;

	(void)u;
	if (helo.len == 0)
		return NEXT;
	if (helo.ptr[0] == '[')
		return mailhost_literal_valid(helo) ? NEXT : invalid(c, "invalid ip address");
	if (mailhost_ip_valid(helo))
		return NEXT;
	return mailhost_name_valid(helo) ? NEXT : invalid(c, "Invalid name");
}

enum decision reject_non_fqdn_helo(struct check *c, const struct use *u)
{
	enum mailhost_helo kind = mailhost_helo_kind(c->s->helo);

	(void)u;
	if (c->s->helo.len == 0 || kind == MAILHOST_HELO_FQDN || kind == MAILHOST_HELO_LITERAL)
		return NEXT;
	return refuse(c, (int)conf->non_fqdn_reject_code, "5.5.2",
		      "<" SPAN_FMT ">: Helo command rejected: need fully-qualified hostname", SPAN_ARG(c->s->helo));
}

enum decision reject_unknown_helo(struct check *c, const struct use *u)
{
	struct span helo = c->s->helo;
	struct dns_answer answer;
	enum dns_status status;

	(void)u;
	if (helo.len == 0 || helo.ptr[0] == '[' || mailhost_ip_valid(helo))
		return helo.len && helo.ptr[0] != '[' ? invalid(c, "Invalid name") : NEXT;
	status = dns_addresses(&c->s->cmd, helo, DNS_WANT_A | DNS_WANT_AAAA, &answer);
	if (status == DNS_NXDOMAIN || status == DNS_NODATA)
		status = dns_lookup(&c->s->cmd, helo, DNS_MX, &answer);
	if (status == DNS_OK)
		return NEXT;
	if (status == DNS_NXDOMAIN || status == DNS_NODATA)
		return refuse(c, (int)conf->unknown_hostname_reject_code, "4.7.1",
			      "<" SPAN_FMT ">: Helo command rejected: Host not found", SPAN_ARG(helo));
	return put_off(c, conf->unknown_helo_hostname_tempfail_action, 450, "4.7.1",
		       "<" SPAN_FMT ">: Helo command rejected: Host not found", SPAN_ARG(helo));
}
