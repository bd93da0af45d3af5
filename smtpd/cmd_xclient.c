/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XCLIENT and XFORWARD, Postfix's extensions for hosts that stand between a client and this server. XCLIENT: treat the session as
 * that client's. XFORWARD: only log who the client was. Both for listed hosts, by the address that really connected.
 */
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/utf8.h"
#include "lib/conf/conf.h"
#include "lib/map/match.h"
#include "lib/route/route.h"
#include "smtpd/access.h"

enum { VALUE_MAX = 255, ATTRIBUTES_MAX = 20 };

struct attribute {
	struct span name, value; /* value decoded; empty when [UNAVAILABLE] */
	bool unsure;             /* [TEMPUNAVAIL] */
};

static bool listed(const struct smtpd_session *s, const char *list)
{
	return !s->is_unix && *list && match_netaddr(match_open(list, MATCH_NETWORK), &s->real_peer, SPAN_NONE) == MAP_OK;
}

bool xclient_allowed(const struct smtpd_session *s)
{
	return listed(s, conf->smtpd_authorized_xclient_hosts);
}

bool xforward_allowed(const struct smtpd_session *s)
{
	return listed(s, conf->smtpd_authorized_xforward_hosts);
}

bool verp_allowed(const struct smtpd_session *s)
{
	struct match *list = match_open(conf->smtpd_authorized_verp_clients, MATCH_NETWORK);

	return s->is_unix || match_netaddr(list, &s->peer, s->client_name) == MAP_OK;
}

/* A value goes into log lines and headers: printable, of a sane length. */
static bool is_clean(struct span value)
{
	if (value.len > VALUE_MAX)
		return false;
	for (size_t i = 0; i < value.len; i++)
		if (ascii_iscntrl(value.ptr[i]))
			return false;
	return true;
}

/* One name=xtext; false: the reply is given. */
static bool read_attribute(struct smtpd_session *s, const char *command, struct span word, struct attribute *attr)
{
	struct span value = word;

	*attr = (struct attribute){ .name = span_cut(&value, '=') };
	if (attr->name.len == word.len) {
		reply(s, "501 5.5.4 Error: attribute=value expected");
		return false;
	}
	attr->unsure = span_iis(value, "[TEMPUNAVAIL]");
	if (attr->unsure || span_iis(value, "[UNAVAILABLE]"))
		return true;
	if (!xtext_decode(&s->cmd, value, &attr->value) || !is_clean(attr->value)) {
		reply(s, "501 5.5.4 Bad %s attribute value: " SPAN_FMT, command, SPAN_ARG(span_head(value, 100)));
		return false;
	}
	return true;
}

/* All of them; -1: the reply is given. */
static int read_attributes(struct smtpd_session *s, const char *command, struct span args, struct attribute *attrs)
{
	struct span word;
	int n = 0;

	while (span_word(&args, " \t", &word)) {
		if (n == ATTRIBUTES_MAX || !read_attribute(s, command, word, &attrs[n])) {
			if (n == ATTRIBUTES_MAX)
				reply(s, "501 5.5.4 Error: too many attributes");
			return -1;
		}
		n++;
	}
	if (n == 0)
		reply(s, "501 5.5.4 Syntax: %s attribute=value...", command);
	return n ? n : -1;
}

static bool may_come_now(struct smtpd_session *s, bool allowed)
{
	if (s->txn.have_sender)
		reply(s, "503 5.5.1 Error: MAIL transaction in progress");
	else if (!allowed)
		reply(s, "550 5.7.0 Error: insufficient authorization");
	else
		return true;
	return false;
}

/* --- XCLIENT ------------------------------------------------------------------------------------------------------ */

struct client {
	struct netaddr peer, local;
	struct span name, reverse, helo, login;
	enum dns_status name_status, reverse_status;
	bool has_name, has_address, has_reverse, has_helo, has_login, has_proto, esmtp;
};

static bool take_address(struct attribute a, struct netaddr *to)
{
	struct netaddr parsed;
	uint16_t port = to->port;

	if (a.value.len == 0)
		return true;
	if (!netaddr_parse(span_istarts(a.value, "IPV6:") ? span_skip(a.value, 5) : a.value, &parsed))
		return false;
	*to = parsed;
	to->port = port;
	return true;
}

static bool take_port(struct attribute a, struct netaddr *to)
{
	uint64_t port = 0;

	if (a.value.len && !span_u64(a.value, 65535, &port))
		return false;
	to->port = (uint16_t)port;
	return true;
}

static struct span or_unknown(struct span value)
{
	return value.len ? value : SPAN("unknown");
}

static enum dns_status status_of(struct attribute a)
{
	return a.value.len ? DNS_OK : a.unsure ? DNS_TEMP : DNS_NXDOMAIN;
}

static bool take(struct client *c, struct attribute a)
{
	if (span_iis(a.name, "NAME")) {
		c->has_name = true;
		c->name = or_unknown(a.value);
		c->name_status = status_of(a);
	} else if (span_iis(a.name, "REVERSE_NAME")) {
		c->has_reverse = true;
		c->reverse = or_unknown(a.value);
		c->reverse_status = status_of(a);
	} else if (span_iis(a.name, "ADDR")) {
		c->has_address = true;
		return take_address(a, &c->peer);
	} else if (span_iis(a.name, "PORT")) {
		return take_port(a, &c->peer);
	} else if (span_iis(a.name, "DESTADDR")) {
		return take_address(a, &c->local);
	} else if (span_iis(a.name, "DESTPORT")) {
		return take_port(a, &c->local);
	} else if (span_iis(a.name, "HELO")) {
		c->has_helo = true;
		c->helo = a.value;
	} else if (span_iis(a.name, "LOGIN")) {
		c->has_login = true;
		c->login = a.value;
	} else if (span_iis(a.name, "PROTO")) {
		c->has_proto = true;
		c->esmtp = span_iis(a.value, "ESMTP");
		return span_iis(a.value, "SMTP") || c->esmtp || a.value.len == 0;
	} else {
		return false;
	}
	return true;
}

static void become(struct smtpd_session *s, const struct client *c)
{
	struct arena *a = &s->arena;

	transaction_reset(s);
	s->peer = c->peer;
	s->local = c->local;
	netaddr_text(&s->peer, s->peer_text);
	if (c->has_address && !c->has_name && !c->has_reverse)
		client_names(s);
	if (c->has_name) {
		s->client_name = arena_span(a, c->name);
		s->name_status = c->name_status;
		if (!c->has_reverse) {
			s->reverse_name = s->client_name;
			s->reverse_status = c->name_status;
		}
	}
	if (c->has_reverse) {
		s->reverse_name = arena_span(a, c->reverse);
		s->reverse_status = c->reverse_status;
	}
	if (c->has_login) {
		s->sasl_user = arena_span(a, c->login);
		s->sasl_method = c->login.len ? "XCLIENT" : NULL;
	}
	s->client = client_label(s);
	client_trust(s);
	s->helo = c->has_helo ? arena_span(a, c->helo) : SPAN_NONE;
	s->esmtp = c->esmtp;
	s->rbl_asked = NULL;
	s->put_off_client = s->put_off_helo = NULL;
}

void cmd_xclient(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	struct client c = { .peer = s->peer, .local = s->local };
	struct attribute attrs[ATTRIBUTES_MAX];
	const char *why;
	int n;

	if (!may_come_now(s, xclient_allowed(s)))
		return;
	n = read_attributes(s, "XCLIENT", cmd->args, attrs);
	if (n < 0)
		return;
	for (int i = 0; i < n; i++) {
		if (take(&c, attrs[i]))
			continue;
		reply(s, "501 5.5.4 Bad XCLIENT attribute: " SPAN_FMT, SPAN_ARG(span_head(attrs[i].name, 100)));
		return;
	}
	become(s, &c);
	if (access_connect(s, &why)) {
		reply(s, "220 %s", conf->smtpd_banner);
		return;
	}
	s->refused = true;
	reply(s, "%s", why);
}

/* --- XFORWARD ----------------------------------------------------------------------------------------------------- */

void cmd_xforward(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	static const char *const others[] = { "PROTO", "HELO", "SOURCE" };
	struct attribute attrs[ATTRIBUTES_MAX];
	int n;

	if (!may_come_now(s, xforward_allowed(s)))
		return;
	n = read_attributes(s, "XFORWARD", cmd->args, attrs);
	for (int i = 0; i < n; i++) {
		struct span *to = span_iis(attrs[i].name, "NAME") ? &s->forward_name
				: span_iis(attrs[i].name, "ADDR") ? &s->forward_address
				: span_iis(attrs[i].name, "PORT") ? &s->forward_port
				: span_iis(attrs[i].name, "IDENT") ? &s->forward_id : NULL;
		bool known = to != NULL;

		for (size_t j = 0; j < sizeof others / sizeof *others; j++)
			known = known || span_iis(attrs[i].name, others[j]);
		if (!known) {
			reply(s, "501 5.5.4 Bad XFORWARD attribute name: " SPAN_FMT, SPAN_ARG(span_head(attrs[i].name, 100)));
			return;
		}
		if (to)
			*to = arena_span(&s->arena, attrs[i].value);
	}
	if (n > 0)
		reply(s, "250 2.0.0 Ok");
}

const char *xforward_log(struct smtpd_session *s)
{
	struct arena *a = &s->cmd;
	const char *id = "", *port = "";

	if (s->forward_address.len == 0 && s->forward_name.len == 0)
		return "";
	if (s->forward_id.len)
		id = arena_printf(a, ", orig_queue_id=" SPAN_FMT, SPAN_ARG(s->forward_id));
	if (conf->smtpd_client_port_logging)
		port = arena_printf(a, ":" SPAN_FMT, SPAN_ARG(or_unknown(s->forward_port)));
	return arena_printf(a, "%s, orig_client=" SPAN_FMT "[" SPAN_FMT "]%s", id, SPAN_ARG(or_unknown(s->forward_name)),
			    SPAN_ARG(or_unknown(s->forward_address)), port);
}
