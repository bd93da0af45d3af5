/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules about sender and recipient. */
#include <string.h>

#include "lib/conf/conf.h"
#include "lib/io/dns.h"
#include "lib/map/match.h"
#include "lib/proto/mailhost.h"
#include "lib/route/route.h"
#include "smtpd/mx_backup.h"
#include "smtpd/restrict.h"

struct about_text about_text(const struct check *c, enum about about)
{
	const struct smtpd_session *s = c->s;
	struct span rcpt = c->recipient.len ? c->recipient_given : SPAN_NONE;

	switch (about) {
	case ABOUT_CLIENT:
		return (struct about_text){ span_cstr(s->client), s->client_name, "Client host", true };
	case ABOUT_REVERSE_CLIENT:
		return (struct about_text){ s->reverse_name, s->reverse_name, "Unverified Client host", true };
	case ABOUT_HELO:
		return (struct about_text){ s->helo, s->helo, "Helo command", s->helo.len > 0 };
	case ABOUT_SENDER:
		return (struct about_text){ s->txn.sender_given, addr_split(s->txn.env.sender).domain, "Sender address",
					    s->txn.have_sender && s->txn.env.sender.len };
	case ABOUT_RECIPIENT:
		return (struct about_text){ rcpt, addr_split(c->recipient).domain, "Recipient address", c->recipient.len > 0 };
	case ABOUT_ETRN:
		return (struct about_text){ c->etrn, c->etrn, "Etrn command", c->etrn.len > 0 };
	case ABOUT_NONE:
		break;
	}
	return (struct about_text){ c->name, SPAN_NONE, c->what, false };
}

/* As the client wrote it: what the rewriting appends does not make it better. */
enum decision reject_non_fqdn_address(struct check *c, const struct use *u)
{
	struct about_text t = about_text(c, u->rule->about);
	ptrdiff_t at = span_rchr(t.name, '@');
	struct span domain = at < 0 ? SPAN_NONE : span_skip(t.name, (size_t)at + 1);

	if (domain.len > 1 && domain.ptr[domain.len - 1] == '.')
		domain.len--;
	if (!t.present || (domain.len && (domain.ptr[0] == '[' || (span_chr(domain, '.') > 0 && mailhost_name_valid(domain)))))
		return NEXT;
	if (u->rule->about == ABOUT_RECIPIENT && span_iis(t.name, "postmaster"))
		return NEXT;
	return refuse(c, (int)conf->non_fqdn_reject_code, "5.5.2", "<" SPAN_FMT ">: %s rejected: need fully-qualified address",
		      SPAN_ARG(t.name), t.what);
}

/* A domain that no answer could reach. One that is ours in the end needs no DNS. */
static enum decision domain_must_exist(struct check *c, struct about_text t, bool is_sender)
{
	struct dns_answer answer;
	enum dns_status status;
	const char *dsn = is_sender ? "4.1.8" : "4.1.2";
	bool unsure;

	status = dns_lookup(&c->s->cmd, t.domain, DNS_MX, &answer);
	if (status == DNS_OK && dns_is_null_mx(&answer))
		return refuse(c, is_sender ? 550 : 556, is_sender ? "4.7.27" : "4.1.10",
			      "<" SPAN_FMT ">: %s rejected: Domain " SPAN_FMT " does not accept mail (nullMX)",
			      SPAN_ARG(t.name), t.what, SPAN_ARG(t.domain));
	unsure = status == DNS_TEMP;
	if (status != DNS_OK)
		status = dns_addresses(&c->s->cmd, t.domain, DNS_WANT_A | DNS_WANT_AAAA, &answer);
	if (status == DNS_OK)
		return NEXT;
	if (status == DNS_TEMP || unsure)
		return put_off(c, conf->unknown_address_tempfail_action, 450, dsn, "<" SPAN_FMT ">: %s rejected: Domain not found",
			       SPAN_ARG(t.name), t.what);
	return refuse(c, (int)conf->unknown_address_reject_code, dsn, "<" SPAN_FMT ">: %s rejected: Domain not found",
		      SPAN_ARG(t.name), t.what);
}

enum decision reject_unknown_domain(struct check *c, const struct use *u)
{
	struct about_text t = about_text(c, u->rule->about);
	enum route_class class;
	bool temp;

	if (!t.present || t.domain.len == 0 || t.domain.ptr[0] == '[')
		return NEXT;
	class = route_class_of(t.domain, &temp);
	if (temp)
		return refuse_lookup(c, t.name);
	return class == ROUTE_RELAY || class == ROUTE_DEFAULT ? domain_must_exist(c, t, u->rule->about == ABOUT_SENDER) : NEXT;
}

/* Postfix's words: a sender of ours that does not exist is 5.1.0, one that could not be sent to says why. */
static const char *unlisted_dsn(struct check *c, struct about_text t, const struct verdict *v)
{
	bool temp;

	if (strcmp(t.what, "Sender address") == 0 && span_starts(v->text, "User unknown") &&
	    route_class_of(t.domain, &temp) != ROUTE_VIRTUAL_ALIAS)
		return "5.1.0";
	return fit_dsn(c, v->dsn, t.what);
}

enum decision reject_unlisted(struct check *c, const struct use *u)
{
	struct about_text t = about_text(c, u->rule->about);
	struct span address = u->rule->about == ABOUT_SENDER ? c->s->txn.env.sender : c->recipient;
	bool *asked = u->rule->about == ABOUT_SENDER ? &c->sender_listed : &c->rcpt_listed;
	int code = 450;
	struct verdict v;

	if (!t.present || *asked)
		return NEXT;
	*asked = c->warn_depth == 0;
	v = route_recipient(&c->s->cmd, address, &code);
	if (v.class == VERDICT_OK)
		return NEXT;
	if (code == 0)
		return refuse_lookup(c, t.name);
	/* The code is a parameter; the class of the enhanced code follows it. */
	return refuse(c, code, unlisted_dsn(c, t, &v), "<" SPAN_FMT ">: %s rejected: " SPAN_FMT,
		      SPAN_ARG(t.name), t.what, SPAN_ARG(v.text));
}

/* A bounce has one recipient: whoever sends one to several is no mail system. */
enum decision reject_multi_recipient_bounce(struct check *c, const struct use *u)
{
	bool more = c->s->txn.accepted > (strcmp(c->where, "RCPT") == 0 ? 0 : 1);

	(void)u;
	if (!c->s->txn.have_sender || c->s->txn.env.sender.len || !more)
		return NEXT;
	return refuse(c, (int)conf->multi_recipient_bounce_reject_code, "5.5.3",
		      "<" SPAN_FMT ">: %s rejected: Multi-recipient bounce", SPAN_ARG(c->name), c->what);
}

/* --- relaying ----------------------------------------------------------------------------------------------------- */

bool is_routed(struct span address)
{
	struct span local = addr_split(address).local;

	return span_chr(local, '@') >= 0 || (conf->allow_percent_hack && span_chr(local, '%') >= 0) ||
	       (conf->swap_bangpath && span_chr(local, '!') >= 0);
}

/* A destination of ours, not one that a local part with % or ! would send elsewhere (RFC 5321 7.7, hazards of old relays). */
static enum map_status our_destination(const struct check *c)
{
	struct span domain = addr_split(c->recipient).domain;

	if (domain.len == 0)
		return MAP_OK;
	return is_routed(c->recipient) ? MAP_NOTFOUND : route_is_ours(domain);
}

static enum decision unauth_destination(struct check *c, int code)
{
	if (c->recipient.len == 0)
		return NEXT;
	switch (our_destination(c)) {
	case MAP_OK:
		return NEXT;
	case MAP_TEMP:
		return refuse_lookup(c, c->recipient_given);
	default:
		return refuse(c, code, "5.7.1", "<" SPAN_FMT ">: Relay access denied", SPAN_ARG(c->recipient_given));
	}
}

enum decision reject_unauth_destination(struct check *c, const struct use *u)
{
	(void)u;
	return unauth_destination(c, (int)conf->relay_domains_reject_code);
}

enum decision defer_unauth_destination(struct check *c, const struct use *u)
{
	(void)u;
	return unauth_destination(c, (int)conf->relay_domains_reject_code - 100);
}

enum decision permit_auth_destination(struct check *c, const struct use *u)
{
	enum map_status ours;

	(void)u;
	if (c->recipient.len == 0)
		return NEXT;
	ours = our_destination(c);
	return ours == MAP_OK ? PERMIT : ours == MAP_TEMP ? refuse_lookup(c, c->recipient_given) : NEXT;
}

enum decision permit_mx_backup(struct check *c, const struct use *u)
{
	struct span domain = addr_split(c->recipient).domain;

	(void)u;
	if (c->recipient.len == 0)
		return NEXT;
	switch (our_destination(c)) {
	case MAP_OK:
		return PERMIT;
	case MAP_TEMP:
		return refuse_lookup(c, c->recipient_given);
	default:
		return domain.ptr[0] != '[' && !is_routed(c->recipient) && mx_backup(c, domain) ? PERMIT : NEXT;
	}
}
