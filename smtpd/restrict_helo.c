/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules about the name in HELO and EHLO. */
#include "lib/conf/conf.h"
#include "lib/io/dns.h"
#include "lib/proto/mailhost.h"
#include "smtpd/restrict.h"

/* Letters past ASCII come with SMTPUTF8, which a client can only ask for later. */
static bool all_ascii(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] > 127)
			return false;
	return true;
}

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
	return mailhost_name_valid(helo) && all_ascii(helo) ? NEXT : invalid(c, "Invalid name");
}

enum decision reject_non_fqdn_helo(struct check *c, const struct use *u)
{
	enum mailhost_helo kind = mailhost_helo_kind(c->s->helo);

	(void)u;
	if (c->s->helo.len == 0 || kind == MAILHOST_HELO_LITERAL)
		return NEXT;
	if (c->s->helo.ptr[0] == '[')
		return invalid(c, "invalid ip address");
	if (kind == MAILHOST_HELO_FQDN && (c->s->txn.env.flags & QUEUE_SMTPUTF8 || all_ascii(c->s->helo)))
		return NEXT;
	return refuse(c, (int)conf->non_fqdn_reject_code, "5.5.2",
		      "<" SPAN_FMT ">: Helo command rejected: need fully-qualified hostname", SPAN_ARG(c->s->helo));
}

enum decision reject_unknown_helo(struct check *c, const struct use *u)
{
	struct span helo = c->s->helo;
	struct dns_answer answer;
	enum dns_status status;
	bool unsure;

	(void)u;
	if (helo.len == 0)
		return NEXT;
	if (helo.ptr[0] == '[')
		return mailhost_literal_valid(helo) ? NEXT : invalid(c, "invalid ip address");
	status = dns_addresses(&c->s->cmd, helo, DNS_WANT_A | DNS_WANT_AAAA, &answer);
	unsure = status == DNS_TEMP;
	if (status != DNS_OK)
		status = dns_lookup(&c->s->cmd, helo, DNS_MX, &answer);
	if (status == DNS_OK)
		return NEXT;
	if (status != DNS_TEMP && !unsure)
		return refuse(c, (int)conf->unknown_hostname_reject_code, "4.7.1",
			      "<" SPAN_FMT ">: Helo command rejected: Host not found", SPAN_ARG(helo));
	return put_off(c, conf->unknown_helo_hostname_tempfail_action, 450, "4.7.1",
		       "<" SPAN_FMT ">: Helo command rejected: Host not found", SPAN_ARG(helo));
}
