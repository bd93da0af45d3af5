/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtp/self.h"

#include <unistd.h>

#include "lib/conf/conf.h"
#include "lib/conf/mastercf.h"
#include "lib/io/dns.h"

enum { ADDRESSES_MAX = 256, PORT_SMTP = 25, PORT_SMTP_UNPRIVILEGED = 2025 };

static struct netaddr own[ADDRESSES_MAX];
static size_t nown;
static bool unprivileged;

static void add(struct netaddr a, uint16_t port)
{
	if (nown == ADDRESSES_MAX)
		return;
	a.port = port;
	own[nown++] = a;
}

static void add_named(struct span word, uint16_t port)
{
	struct arena a = ARENA_INIT;
	struct dns_answer answer;
	struct netaddr addr;

	if (word.len > 2 && word.ptr[0] == '[')
		word = span_of(word.ptr + 1, word.len - 2);
	if (netaddr_parse(word, &addr))
		add(addr, port);
	else if (dns_native_addresses(&a, word, DNS_WANT_A | DNS_WANT_AAAA, &answer) == DNS_OK)
		for (size_t i = 0; i < answer.nrecords; i++)
			add(answer.records[i].addr, port);
	arena_free(&a);
}

static void add_interfaces(bool loopback_only, uint16_t port)
{
	struct netaddr found[ADDRESSES_MAX];
	size_t n = netaddr_interfaces(found, ADDRESSES_MAX);

	for (size_t i = 0; i < n; i++)
		if (!loopback_only || netaddr_is_loopback(&found[i]))
			add(found[i], port);
}

static void add_list(const char *list, uint16_t port)
{
	struct span rest = span_cstr(list), word;

	while (span_word(&rest, ", \t\r\n", &word)) {
		if (span_iis(word, "all") || span_iis(word, "loopback-only"))
			add_interfaces(!span_iis(word, "all"), port);
		else
			add_named(word, port);
	}
}

/* The service name of an inet line: "smtp", "2025", "127.0.0.1:smtp", "[::1]:25". */
static void add_listener(struct span name)
{
	ptrdiff_t colon = span_rchr(name, ':');
	struct span host = span_head(name, colon < 0 ? 0 : (size_t)colon);
	struct span service = span_skip(name, colon < 0 ? 0 : (size_t)colon + 1);

	if (!span_is(service, "smtp") && !span_is(service, "25") && !span_is(service, "2025"))
		return;
	if (host.len)
		add_named(host, PORT_SMTP_UNPRIVILEGED);
	else
		add_list(conf->inet_interfaces, PORT_SMTP_UNPRIVILEGED);
}

/*
 * Without privileges another server of this machine may well own port 25, and the next instance port 2025 of another
 * address: only what master.cf says counts.
 */
static void add_listeners(void)
{
	struct arena a = ARENA_INIT;
	struct mastercf services;
	struct buf messages;

	buf_init(&messages, 65536);
	if (mastercf_load(conf->config_directory, &a, &services, &messages) == CONF_ERROR)
		services.count = 0; /* master has said why */
	for (size_t i = 0; i < services.count; i++)
		if (services.services[i].type == MASTERCF_INET && span_is(span_cstr(services.services[i].program), "smtpd"))
			add_listener(span_cstr(services.services[i].name));
	buf_free(&messages);
	arena_free(&a);
}

void self_init(void)
{
	unprivileged = geteuid() != 0;
	if (unprivileged) {
		add_listeners();
		return;
	}
	add_list(conf->inet_interfaces, PORT_SMTP);
	add_list(conf->proxy_interfaces, PORT_SMTP);
}

bool self_is_port(uint16_t port)
{
	return port == (unprivileged ? PORT_SMTP_UNPRIVILEGED : PORT_SMTP);
}

bool self_is_us(const struct netaddr *addr)
{
	for (size_t i = 0; i < nown; i++)
		if (own[i].port == addr->port && netaddr_eq(&own[i], addr))
			return true;
	return false;
}
