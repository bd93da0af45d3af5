/* SPDX-License-Identifier: BSD-2-Clause */
/* DNS lists of addresses and domains (RFC 5782): block lists and allow lists. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/htab.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/conf/expand.h"
#include "lib/io/dns.h"
#include "lib/proto/mailhost.h"
#include "smtpd/attribute.h"
#include "smtpd/rbl_filter.h"
#include "smtpd/restrict.h"

enum { CACHE_MAX = 100, REASON_MAX = 500 };

/* What a session has asked already: the same lists look at every recipient. */
struct rbl_cached {
	struct rbl_cached *next;
	struct span query;
	enum dns_status status;
	struct dns_answer answer;
};

static struct rbl_cached *ask(struct smtpd_session *s, struct span query)
{
	struct rbl_cached *r;
	unsigned n = 0;

	for (r = s->rbl_asked; r; r = r->next, n++)
		if (span_ieq(r->query, query))
			return r;
	r = arena_alloc(n < CACHE_MAX ? &s->arena : &s->cmd, sizeof *r);
	r->query = arena_span(n < CACHE_MAX ? &s->arena : &s->cmd, query);
	r->status = dns_lookup(n < CACHE_MAX ? &s->arena : &s->cmd, query, DNS_A, &r->answer);
	if (n < CACHE_MAX) {
		r->next = s->rbl_asked;
		s->rbl_asked = r;
	}
	if (r->status == DNS_TEMP)
		log_warn(SPAN_FMT ": RBL lookup error: %s", SPAN_ARG(query), dns_status_str(r->status));
	return r;
}

/* Some lists answer 127.255.255.x to whoever may not ask (a public resolver, too many questions): that is about us. */
static bool is_error_code(const struct netaddr *a, struct span query)
{
	static _Atomic bool told;

	if (a->bytes[1] != 255 || a->bytes[2] != 255)
		return false;
	if (!atomic_exchange(&told, true))
		log_warn(SPAN_FMT " answers 127.255.255.%u: it refuses questions from this resolver; that is not a listing",
			 SPAN_ARG(query), a->bytes[3]);
	return true;
}

static bool is_listing(const struct rbl_cached *r, struct span filter)
{
	for (size_t i = 0; i < r->answer.nrecords; i++) {
		const struct netaddr *a = &r->answer.records[i].addr;

		if (a->family != AF_INET || a->bytes[0] != 127 || is_error_code(a, r->query))
			continue;
		if (filter.len == 0 || rbl_filter_match(filter, a->bytes))
			return true;
	}
	return false;
}

struct listing {
	struct span list, filter, query; /* list: "sbl.example=127.0.0.2" as configured */
	struct span what;
	const char *class;
	struct span reason;
};

static struct span list_domain(struct span arg, struct span *filter)
{
	*filter = arg;
	return span_cut(filter, '=');
}

static bool listed(struct check *c, const struct use *u, struct span subject, struct listing *l, enum dns_status *status)
{
	struct rbl_cached *r;
	struct span domain = list_domain(u->arg, &l->filter);

	l->list = u->arg;
	l->query = span_cstr(arena_printf(&c->s->cmd, SPAN_FMT "." SPAN_FMT, SPAN_ARG(subject), SPAN_ARG(domain)));
	r = ask(c->s, l->query);
	*status = r->status;
	return r->status == DNS_OK && is_listing(r, l->filter);
}

/* 1.2.3.4 is asked for as 4.3.2.1, an IPv6 address nibble by nibble. */
static struct span reversed(struct check *c)
{
	const struct netaddr *p = &c->s->peer;
	struct buf b;
	struct span text;

	buf_init(&b, 80);
	if (p->family == AF_INET)
		buf_addf(&b, "%u.%u.%u.%u", p->bytes[3], p->bytes[2], p->bytes[1], p->bytes[0]);
	for (int i = 15; p->family == AF_INET6 && i >= 0; i--)
		buf_addf(&b, "%x.%x%s", p->bytes[i] & 15u, p->bytes[i] >> 4u, i ? "." : "");
	text = arena_span(&c->s->cmd, buf_span(&b));
	buf_free(&b);
	return text;
}

/* --- the reply ---------------------------------------------------------------------------------------------------- */

struct reply_names {
	struct check *c;
	const struct listing *l;
};

static bool reply_name(struct expand *e, struct arena *a, struct span name, struct span *value_r)
{
	struct reply_names *n = e->ctx;
	struct smtpd_session *s = n->c->s;
	struct span filter;
	const struct {
		const char *name;
		struct span value;
	} names[] = {
		{ "rbl_code", span_cstr(arena_printf(a, "%d", (int)conf->maps_rbl_reject_code)) },
		{ "rbl_class", span_cstr(n->l->class) },
		{ "rbl_what", n->l->what },
		{ "rbl_domain", list_domain(n->l->list, &filter) },
		{ "rbl_reason", n->l->reason },
		{ "rbl_txt", n->l->reason },
		{ "recipient", n->c->recipient_given }, /* the one that is asked about now */
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (!span_is(name, names[i].name))
			continue;
		*value_r = names[i].value;
		return true;
	}
	if (attribute_find(s, a, name, value_r))
		return true;
	*value_r = span_cstr(conf_value(conf, a, arena_cstr(a, name)));
	return value_r->len > 0;
}

static struct span find_reason(struct check *c, struct span query)
{
	struct dns_answer txt;
	struct span reason;
	struct buf all;

	if (dns_lookup(&c->s->cmd, query, DNS_TXT, &txt) != DNS_OK)
		return SPAN_NONE;
	buf_init(&all, REASON_MAX);
	for (size_t i = 0; i < txt.nrecords; i++) {
		if (i > 0 && all.max - all.len > 3)
			buf_adds(&all, " / ");
		buf_add_span(&all, span_head(txt.records[i].name, all.max - all.len));
	}
	reason = arena_span(&c->s->cmd, buf_span(&all));
	buf_free(&all);
	log_escape((char *)(uintptr_t)reason.ptr, reason.len);
	return reason;
}

/* A template of one list that makes no sense is no reason to be silent: the one for all lists is there. */
static const char *expand_reply(struct check *c, struct listing *l, struct span template)
{
	struct reply_names names = { c, l };
	struct expand e = { .lookup = reply_name, .ctx = &names, .a = &c->s->cmd };
	const char *text = expand_text(&e, template);

	if (text)
		return text;
	log_warn("bad rbl reply template for domain " SPAN_FMT ": %s", SPAN_ARG(l->list), e.error);
	e.error = NULL;
	text = expand_text(&e, span_cstr(conf->default_rbl_reply));
	return text ? text : "";
}

static enum decision refuse_listed(struct check *c, struct listing *l)
{
	const char *text, *dsn = "4.7.1";
	struct span template = span_cstr(conf->default_rbl_reply), rest, word, peek;
	uint64_t code;

	if (map_list_get(map_list_open(conf->rbl_reply_maps), &c->s->cmd, l->list, &template) == MAP_TEMP)
		return refuse_config(c);
	l->reason = find_reason(c, l->query);
	text = expand_reply(c, l, template);
	rest = span_cstr(text);
	if (!span_word(&rest, " ", &word) || word.len != 3 || !span_u64(word, 599, &code) || code < 400) {
		log_warn("rbl response code configuration error: %s", text);
		return refuse(c, 450, "4.7.1", "Service unavailable");
	}
	peek = rest;
	if (span_word(&peek, " ", &word) && verdict_dsn_valid(word)) {
		dsn = arena_cstr(&c->s->cmd, word);
		rest = peek;
	}
	rest = span_trim(rest);
	return refuse(c, (int)code, fit_dsn(c, dsn, l->class), SPAN_FMT, SPAN_ARG(rest.len ? rest : SPAN("Service unavailable")));
}

/* --- rules -------------------------------------------------------------------------------------------------------- */

enum decision reject_rbl_client(struct check *c, const struct use *u)
{
	struct listing l = { .what = span_cstr(c->s->peer_text), .class = "Client host" };
	enum dns_status status;

	return listed(c, u, reversed(c), &l, &status) ? refuse_listed(c, &l) : NEXT;
}

static bool has_domain(struct about_text t)
{
	ptrdiff_t dot = span_rchr(t.domain, '.');
	struct span top = span_skip(t.domain, dot < 0 ? 0 : (size_t)dot + 1);
	bool number = top.len > 0; /* part of an address: no list of domains is asked for that */

	for (size_t i = 0; i < top.len; i++)
		number = number && ascii_isdigit(top.ptr[i]);
	return t.present && !number && mailhost_name_valid(t.domain) && !span_is(t.domain, "unknown");
}

enum decision reject_rhsbl(struct check *c, const struct use *u)
{
	struct about_text t = about_text(c, u->rule->about);
	bool by_name = u->rule->about == ABOUT_CLIENT || u->rule->about == ABOUT_REVERSE_CLIENT;
	struct listing l = { .what = by_name ? t.domain : t.name, .class = t.what };
	enum dns_status status;

	return has_domain(t) && listed(c, u, t.domain, &l, &status) ? refuse_listed(c, &l) : NEXT;
}

/* A list of friends is no permission to relay. */
static enum decision permit_listed(struct check *c, const struct use *u, struct span query, struct span name)
{
	enum decision d = c->recipient.len && strcmp(c->where, "RCPT") == 0 ? permit_auth_destination(c, NULL) : PERMIT;
	struct listing l = { 0 };
	enum dns_status status;

	if (d != PERMIT)
		return d;
	if (listed(c, u, query, &l, &status))
		return PERMIT;
	if (status == DNS_TEMP || status == DNS_BAD)
		return put_off_if_reject(c, 450, "4.7.1", "<" SPAN_FMT ">: Client host rejected: Service unavailable",
					 SPAN_ARG(name));
	return NEXT;
}

enum decision permit_dnswl_client(struct check *c, const struct use *u)
{
	return permit_listed(c, u, reversed(c), span_cstr(c->s->peer_text));
}

enum decision permit_rhswl_client(struct check *c, const struct use *u)
{
	struct about_text t = about_text(c, ABOUT_CLIENT);

	return has_domain(t) ? permit_listed(c, u, t.domain, t.domain) : NEXT;
}
