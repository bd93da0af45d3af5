/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking things up in access(5) tables: which forms of a name or address are tried, and in which order. */
#include <string.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "smtpd/restrict.h"

/* Patterns see the whole name only: parts of it would match too much. */
static bool whole_only(struct span table)
{
	static const char *const types[] = { "regexp:", "pcre:", "cidr:" };

	if (span_starts(table, "proxy:"))
		table = span_skip(table, strlen("proxy:"));
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (span_starts(table, types[i]))
			return true;
	return false;
}

/* One key. False: not in the table. */
static bool look(struct check *c, const struct use *u, struct span key, struct span name, const char *what, enum decision *d)
{
	struct span value;

	switch (map_get(u->table, &c->s->cmd, key, &value)) {
	case MAP_OK:
		*d = apply_result(c, u->arg.ptr, key, value, name, what);
		return true;
	case MAP_TEMP:
		log_warn("%s: table lookup problem", u->arg.ptr);
		*d = refuse_table(c, name, what);
		return true;
	default:
		return false;
	}
}

static bool parents_match(void)
{
	struct span rest = span_cstr(conf->parent_domain_matches_subdomains), word;

	while (span_word(&rest, ", \t\r\n", &word))
		if (span_is(word, "smtpd_access_maps"))
			return true;
	return false;
}

bool parent_domain(struct span domain, struct span *name)
{
	ptrdiff_t dot;

	(void)domain;
	if (name->len < 2)
		return false;
	dot = span_chr(span_skip(*name, 1), '.');
	if (dot < 0)
		return false;
	*name = span_skip(*name, (size_t)dot + 1 + (parents_match() ? 1 : 0));
	return name->len > 0;
}

static bool look_domain(struct check *c, const struct use *u, struct span domain, struct span name, const char *what,
			enum decision *d)
{
	struct span part = domain;
	struct netaddr ip;
	bool numeric = netaddr_parse(domain, &ip);

	do {
		if (look(c, u, part, name, what, d))
			return true;
	} while (!numeric && !whole_only(u->arg) && parent_domain(domain, &part));
	return false;
}

static bool look_address(struct check *c, const struct use *u, struct span address, struct span name, const char *what,
			 enum decision *d)
{
	char sep = span_chr(address, ':') >= 0 ? ':' : '.';

	for (;;) {
		ptrdiff_t at;

		if (look(c, u, address, name, what, d))
			return true;
		at = whole_only(u->arg) ? -1 : span_rchr(address, sep);
		if (at <= 0)
			return false;
		address = span_head(address, (size_t)at);
		while (sep == ':' && address.len && address.ptr[address.len - 1] == ':')
			address.len--;
		if (address.len == 0)
			return false;
	}
}

enum decision check_domain(struct check *c, const struct use *u, struct span domain, struct span name, const char *what)
{
	enum decision d = NEXT;

	(void)look_domain(c, u, domain, name, what, &d);
	return d;
}

enum decision check_address(struct check *c, const struct use *u, struct span address, struct span name, const char *what)
{
	enum decision d = NEXT;

	(void)look_address(c, u, address, name, what, &d);
	return d;
}

static enum decision check_name_and_address(struct check *c, const struct use *u, struct about_text t)
{
	enum decision d = NEXT;

	if (!look_domain(c, u, t.domain, t.name, t.what, &d))
		(void)look_address(c, u, span_cstr(c->s->peer_text), t.name, t.what, &d);
	return d;
}

enum decision check_client_access(struct check *c, const struct use *u)
{
	return check_name_and_address(c, u, about_text(c, ABOUT_CLIENT));
}

/* What somebody's address claims to be called is no permission. */
enum decision check_reverse_client_access(struct check *c, const struct use *u)
{
	return no_permission(c, u, check_name_and_address(c, u, about_text(c, ABOUT_REVERSE_CLIENT)));
}

enum decision check_domain_access(struct check *c, const struct use *u)
{
	struct about_text t = about_text(c, u->rule->about);

	return t.present ? check_domain(c, u, t.domain, t.name, t.what) : NEXT;
}

/* user+ext@domain, user@domain, domain and its parents, user+ext@, user@. */
static bool look_mail(struct check *c, const struct use *u, struct span address, struct about_text t, enum decision *d)
{
	struct addr whole = addr_split(address);
	struct span user, ext;
	bool extended = addr_split_ext(whole.local, span_cstr(conf->recipient_delimiter), &user, &ext);
	struct arena *a = &c->s->cmd;

	if (look(c, u, address, t.name, t.what, d) || whole_only(u->arg))
		return true;
	if (extended && whole.domain.len &&
	    look(c, u, span_cstr(arena_printf(a, SPAN_FMT "@" SPAN_FMT, SPAN_ARG(user), SPAN_ARG(whole.domain))),
		 t.name, t.what, d))
		return true;
	if (whole.domain.len && look_domain(c, u, whole.domain, t.name, t.what, d))
		return true;
	if (look(c, u, span_cstr(arena_printf(a, SPAN_FMT "@", SPAN_ARG(whole.local))), t.name, t.what, d))
		return true;
	return extended && look(c, u, span_cstr(arena_printf(a, SPAN_FMT "@", SPAN_ARG(user))), t.name, t.what, d);
}

enum decision check_mail_access(struct check *c, const struct use *u)
{
	struct about_text t = about_text(c, u->rule->about);
	struct span address = u->rule->about == ABOUT_SENDER ? c->s->txn.env.sender : c->recipient;
	enum decision d = NEXT;

	if (u->rule->about == ABOUT_SENDER && c->s->txn.have_sender && address.len == 0)
		(void)look(c, u, span_cstr(conf->smtpd_null_access_lookup_key), t.name, t.what, &d);
	else if (t.present)
		(void)look_mail(c, u, address, t, &d);
	/* Where it goes in the end is not what the table was asked about. */
	return d == PERMIT && u->rule->about == ABOUT_RECIPIENT && is_routed(address) ? NEXT : d;
}

enum decision check_sasl_access(struct check *c, const struct use *u)
{
	enum decision d = NEXT;

	if (c->s->sasl_user.len)
		(void)look(c, u, c->s->sasl_user, c->s->sasl_user, "SASL login name", &d);
	return d;
}

/* The fingerprint of the client's certificate, then that of its key. */
enum decision check_ccert_access(struct check *c, const struct use *u)
{
	const struct tls_info *tls = c->s->tls;
	enum decision d = NEXT;

	if (tls && tls->peer_cert) {
		struct span name = span_cstr(tls->peer_subject);

		(void)look(c, u, span_cstr(tls->peer_fingerprint), name, "Client certificate", &d);
		if (d == NEXT)
			(void)look(c, u, span_cstr(tls->peer_key_fingerprint), name, "Client certificate", &d);
	}
	return d;
}
