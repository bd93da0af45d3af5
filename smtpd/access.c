/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtpd/access.h"


#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/route/route.h"
#include "smtpd/mx_backup.h"

/* What one rule says about a recipient. */
enum decision { NEXT, PERMIT, REFUSE };

struct request {
	struct smtpd_session *session;
	struct span address, given, domain;
	const char **text;
};

static enum decision refuse(const struct request *r, const char *code, const char *dsn, const char *why)
{
	*r->text = arena_printf(&r->session->cmd, "%s %s <" SPAN_FMT ">: %s", code, dsn, SPAN_ARG(r->given), why);
	return REFUSE;
}

static enum decision refuse_lookup(const struct request *r)
{
	return refuse(r, "451", "4.3.0", "Temporary lookup failure");
}

static enum decision permit(const struct request *r)
{
	(void)r;
	return PERMIT;
}

static enum decision reject(const struct request *r)
{
	return refuse(r, "554", "5.7.1", "Recipient address rejected: Access denied");
}

static enum decision defer(const struct request *r)
{
	return refuse(r, "450", "4.7.1", "Recipient address rejected: Try again later");
}

static enum decision permit_mynetworks(const struct request *r)
{
	return r->session->trusted ? PERMIT : NEXT;
}

static enum decision permit_sasl_authenticated(const struct request *r)
{
	return r->session->sasl_user.len ? PERMIT : NEXT;
}

/* A destination of ours, not one that a local part with % or ! would send elsewhere (RFC 5321 7.7, hazards of old relays). */
static enum map_status our_destination(const struct request *r)
{
	struct span local = span_head(r->address, r->address.len - r->domain.len - (r->domain.len > 0));

	if (r->domain.len == 0)
		return MAP_OK;
	if (span_chr(local, '@') >= 0 || (conf->allow_percent_hack && span_chr(local, '%') >= 0) ||
	    (conf->swap_bangpath && span_chr(local, '!') >= 0))
		return MAP_NOTFOUND;
	return route_is_ours(r->domain);
}

static enum decision unauth_destination(const struct request *r, const char *code, const char *dsn)
{
	switch (our_destination(r)) {
	case MAP_OK:
		return NEXT;
	case MAP_TEMP:
		return refuse_lookup(r);
	default:
		return refuse(r, code, dsn, "Relay access denied");
	}
}

static enum decision reject_unauth_destination(const struct request *r)
{
	return unauth_destination(r, conf->relay_domains_reject_code >= 500 ? "554" : "454",
				  conf->relay_domains_reject_code >= 500 ? "5.7.1" : "4.7.1");
}

static enum decision defer_unauth_destination(const struct request *r)
{
	return unauth_destination(r, "454", "4.7.1");
}

static enum decision permit_auth_destination(const struct request *r)
{
	enum map_status ours = our_destination(r);

	return ours == MAP_OK ? PERMIT : ours == MAP_TEMP ? refuse_lookup(r) : NEXT;
}

static enum decision permit_mx_backup(const struct request *r)
{
	switch (mx_backup(&r->session->cmd, r->domain)) {
	case MAP_OK:
		return PERMIT;
	case MAP_TEMP:
		return refuse(r, "450", "4.4.4", "Recipient address rejected: MX lookup failed, try again later");
	default:
		return NEXT;
	}
}

static enum decision reject_non_fqdn_recipient(const struct request *r)
{
	if (r->domain.len && (span_chr(r->domain, '.') >= 0 || r->domain.ptr[0] == '['))
		return NEXT;
	return span_iis(r->given, "postmaster") ? NEXT : refuse(r, "504", "5.5.2", "Recipient address rejected: need fully-qualified address");
}

static const struct rule {
	const char *name;
	enum decision (*decide)(const struct request *r);
} rules[] = {
	{ "permit", permit },
	{ "reject", reject },
	{ "defer", defer },
	{ "permit_mynetworks", permit_mynetworks },
	{ "permit_sasl_authenticated", permit_sasl_authenticated },
	{ "permit_auth_destination", permit_auth_destination },
	{ "permit_mx_backup", permit_mx_backup },
	{ "reject_unauth_destination", reject_unauth_destination },
	{ "defer_unauth_destination", defer_unauth_destination },
	{ "reject_non_fqdn_recipient", reject_non_fqdn_recipient },
};

enum { RULES_MAX = 64 };

static struct restriction_list {
	const struct rule *rules[RULES_MAX];
	size_t n;
	bool broken;
} relay_rules, recipient_rules;

static const struct rule *find_rule(struct span name)
{
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (span_iis(name, rules[i].name))
			return &rules[i];
	return NULL;
}

static void read_list(struct restriction_list *l, const char *parameter, const char *text)
{
	struct span rest = span_cstr(text), word;

	while (span_word(&rest, ", \t\r\n", &word)) {
		const struct rule *rule = find_rule(word);

		if (rule == NULL || l->n == RULES_MAX) {
			log_error("%s: unknown restriction \"" SPAN_FMT "\": every recipient is deferred", parameter, SPAN_ARG(word));
			l->broken = true;
			continue;
		}
		if (rule->decide == permit_mx_backup)
			log_warn("%s: permit_mx_backup trusts other people's DNS records; name the domains in relay_domains instead",
				 parameter);
		l->rules[l->n++] = rule;
	}
}

void access_init(void)
{
	read_list(&relay_rules, "smtpd_relay_restrictions", conf->smtpd_relay_restrictions);
	read_list(&recipient_rules, "smtpd_recipient_restrictions", conf->smtpd_recipient_restrictions);
	if (relay_rules.n + recipient_rules.n == 0) {
		log_error("smtpd_relay_restrictions and smtpd_recipient_restrictions are both empty: every recipient is deferred");
		relay_rules.broken = true;
	}
}

static enum decision check_list(const struct restriction_list *l, const struct request *r)
{
	if (l->broken) {
		*r->text = "451 4.3.5 Server configuration problem";
		return REFUSE;
	}
	for (size_t i = 0; i < l->n; i++) {
		enum decision d = l->rules[i]->decide(r);

		if (d != NEXT)
			return d;
	}
	return NEXT;
}

static bool recipient_exists(const struct request *r)
{
	int code = 450;
	struct verdict v;

	if (!conf->smtpd_reject_unlisted_recipient)
		return true;
	v = route_recipient(&r->session->cmd, r->address, &code);
	if (v.class == VERDICT_OK)
		return true;
	if (v.class == VERDICT_TEMP) {
		*r->text = arena_printf(&r->session->cmd, "451 4.3.0 <" SPAN_FMT ">: Temporary lookup failure", SPAN_ARG(r->given));
		return false;
	}
	/* The code is a parameter; the class of the enhanced code follows it. */
	*r->text = arena_printf(&r->session->cmd, "%d %c%s <" SPAN_FMT ">: Recipient address rejected: " SPAN_FMT, code,
				code >= 500 ? '5' : '4', v.dsn + 1, SPAN_ARG(r->given), SPAN_ARG(v.text));
	return false;
}

bool access_rcpt(struct smtpd_session *s, struct span address, struct span given, const char **text_r)
{
	struct request r = { s, address, given, addr_split(address).domain, text_r };

	/* What sendmail(1) brings is returned to its user when it cannot be delivered: cron and scripts do not look at replies. */
	if (s->is_unix)
		return true;
	if (check_list(&relay_rules, &r) == REFUSE || check_list(&recipient_rules, &r) == REFUSE)
		return false;
	return recipient_exists(&r);
}
