/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/route/route.h"

#include <netdb.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/proto/addr.h"
#include "lib/proto/mailhost.h"
#include "lib/route/tables.h"

struct route_tables route_tables;

/* --- our addresses ------------------------------------------------------------------------------------------------ */

static void add_own(const struct netaddr *addr)
{
	if (route_is_own(addr))
		return;
	if (route_tables.nown < ROUTE_OWN_ADDRS_MAX)
		route_tables.own[route_tables.nown++] = *addr;
}

static void add_interfaces(bool loopback_only)
{
	struct netaddr all[ROUTE_OWN_ADDRS_MAX];
	size_t n = netaddr_interfaces(all, ROUTE_OWN_ADDRS_MAX);

	for (size_t i = 0; i < n; i++)
		if (!loopback_only || netaddr_is_loopback(&all[i]))
			add_own(&all[i]);
}

static void add_host(const char *parameter, const char *name)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
	int rc = getaddrinfo(name, NULL, &hints, &list);

	if (rc != 0) {
		log_warn("%s: %s: %s", parameter, name, gai_strerror(rc));
		return;
	}
	for (struct addrinfo *ai = list; ai; ai = ai->ai_next) {
		struct netaddr addr;

		netaddr_from_sockaddr(&addr, ai->ai_addr);
		add_own(&addr);
	}
	freeaddrinfo(list);
}

static void add_list(const char *parameter, const char *list)
{
	struct arena tmp = ARENA_INIT;
	struct span rest = span_cstr(list), word;

	while (span_word(&rest, ", \t\r\n", &word)) {
		struct netaddr addr;
		struct span bare = word;

		if (span_starts(word, "[") && span_ends(word, "]"))
			bare = span_of(word.ptr + 1, word.len - 2);
		if (span_is(word, "all") || span_is(word, "loopback-only"))
			add_interfaces(span_is(word, "loopback-only"));
		else if (netaddr_parse(bare, &addr))
			add_own(&addr);
		else
			add_host(parameter, arena_cstr(&tmp, word));
	}
	arena_free(&tmp);
}

static bool among(const struct netaddr *addr, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (netaddr_eq(&route_tables.own[i], addr))
			return true;
	return false;
}

bool route_is_interface(const struct netaddr *addr)
{
	return among(addr, route_tables.ninterfaces);
}

bool route_is_own(const struct netaddr *addr)
{
	return among(addr, route_tables.nown);
}

bool route_literal_is_own(struct span domain)
{
	struct addr_ip ip;
	struct netaddr addr = { 0 };

	if (!addr_literal_parse(domain, &ip))
		return false;
	addr.family = (sa_family_t)ip.family;
	memcpy(addr.bytes, ip.bytes, sizeof addr.bytes);
	return route_is_own(&addr);
}

/* --- start -------------------------------------------------------------------------------------------------------- */

struct class_list {
	const char *parameter, *list;
	struct match *match;
};

static void warn_if_both(const struct class_list *a, const struct class_list *b)
{
	struct span rest = span_cstr(a->list), word;

	while (map_list_word(&rest, &word)) {
		if (strchr("!/[.", word.ptr[0]) != NULL || span_chr(word, ':') >= 0)
			continue;
		if (match_name(a->match, word) == MAP_OK && match_name(b->match, word) == MAP_OK)
			log_warn("do not list domain " SPAN_FMT " in BOTH %s and %s", SPAN_ARG(word), a->parameter,
				 b->parameter);
	}
}

static void warn_of_double_domains(void)
{
	const struct class_list local = { "mydestination", conf->mydestination, route_tables.mydestination },
				alias = { "virtual_alias_domains", conf->virtual_alias_domains,
					  route_tables.virtual_alias_domains },
				mailbox = { "virtual_mailbox_domains", conf->virtual_mailbox_domains,
					    route_tables.virtual_mailbox_domains };

	warn_if_both(&local, &alias);
	warn_if_both(&local, &mailbox);
	warn_if_both(&alias, &mailbox);
}

static void warn_of_next_hops(void)
{
	struct mailhost_hop hop;

	if (*conf->relayhost && !mailhost_hop_parse(span_cstr(conf->relayhost), &hop))
		log_warn("relayhost = %s: example.com, [mail.example.com] or either with :port is expected",
			 conf->relayhost);
}

static bool parents_match(const char *parameter)
{
	struct span rest = span_cstr(conf->parent_domain_matches_subdomains), word;

	while (span_word(&rest, ", \t\r\n", &word))
		if (span_is(word, parameter))
			return true;
	return false;
}

void route_init(void)
{
	struct route_tables *t = &route_tables;

	t->mydestination = match_open(conf->mydestination, MATCH_STRING);
	t->virtual_alias_domains = match_open(conf->virtual_alias_domains, MATCH_STRING);
	t->virtual_mailbox_domains = match_open(conf->virtual_mailbox_domains, MATCH_STRING);
	t->relay_domains =
	    match_open(conf->relay_domains, parents_match("relay_domains") ? MATCH_PARENT : MATCH_DOMAIN);
	t->mynetworks = match_open(conf->mynetworks, MATCH_NETWORK);
	t->local_recipients = map_list_open(conf->local_recipient_maps);
	t->virtual_alias = map_list_open(conf->virtual_alias_maps);
	t->virtual_mailbox = map_list_open(conf->virtual_mailbox_maps);
	t->relay_recipients = map_list_open(conf->relay_recipient_maps);
	t->transport = map_list_open(conf->transport_maps);
	t->probe_transport = map_list_open(conf->address_verify_transport_maps);
	t->nown = 0;
	add_list("inet_interfaces", conf->inet_interfaces);
	t->ninterfaces = t->nown;
	add_list("proxy_interfaces", conf->proxy_interfaces);
	warn_of_double_domains();
	warn_of_next_hops();
}

/* --- classes ------------------------------------------------------------------------------------------------------ */

enum route_class route_class_of(struct span domain, bool *temp_r)
{
	const struct {
		struct match *match;
		enum route_class class;
	} classes[] = {
		{ route_tables.mydestination, ROUTE_LOCAL },
		{ route_tables.virtual_alias_domains, ROUTE_VIRTUAL_ALIAS },
		{ route_tables.virtual_mailbox_domains, ROUTE_VIRTUAL_MAILBOX },
		{ route_tables.relay_domains, ROUTE_RELAY },
	};

	*temp_r = false;
	if (span_ends(domain, "."))
		domain.len--;
	if (domain.len == 0 || route_literal_is_own(domain))
		return ROUTE_LOCAL;
	for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
		enum map_status st = match_name(classes[i].match, domain);

		if (st == MAP_NOTFOUND)
			continue;
		*temp_r = st == MAP_TEMP;
		return classes[i].class;
	}
	return ROUTE_DEFAULT;
}

enum map_status route_is_ours(struct span domain)
{
	bool temp;
	enum route_class class = route_class_of(domain, &temp);

	return temp ? MAP_TEMP : class == ROUTE_DEFAULT ? MAP_NOTFOUND : MAP_OK;
}

bool route_is_local_name(struct span domain)
{
	bool temp;

	return span_iis(domain, conf->myorigin) || (route_class_of(domain, &temp) == ROUTE_LOCAL && !temp);
}

enum map_status route_in_mynetworks(const struct netaddr *client)
{
	return client->family == AF_UNIX ? MAP_OK : match_netaddr(route_tables.mynetworks, client, SPAN_NONE);
}
