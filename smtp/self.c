/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtp/self.h"

#include <string.h>

#include "lib/conf/conf.h"
#include "lib/conf/mastercf.h"
#include "lib/io/dns.h"
#include "lib/service/endpoint.h"

enum { ADDRESSES_MAX = 256, PORT_SMTP = 25 };

static struct netaddr own[ADDRESSES_MAX];
static size_t nown;
static uint16_t smtp_port = PORT_SMTP;

static void add(struct netaddr a)
{
	if (nown == ADDRESSES_MAX)
		return;
	a.port = smtp_port;
	own[nown++] = a;
}

static void add_named(struct span word)
{
	struct arena a = ARENA_INIT;
	struct dns_answer answer;
	struct netaddr addr;

	if (word.len > 2 && word.ptr[0] == '[')
		word = span_of(word.ptr + 1, word.len - 2);
	if (netaddr_parse(word, &addr))
		add(addr);
	else if (dns_native_addresses(&a, word, DNS_WANT_A | DNS_WANT_AAAA, &answer) == DNS_OK)
		for (size_t i = 0; i < answer.nrecords; i++)
			add(answer.records[i].addr);
	arena_free(&a);
}

static void add_interfaces(bool loopback_only)
{
	struct netaddr found[ADDRESSES_MAX];
	size_t n = netaddr_interfaces(found, ADDRESSES_MAX);

	for (size_t i = 0; i < n; i++)
		if (!loopback_only || netaddr_is_loopback(&found[i]))
			add(found[i]);
}

static void add_list(const char *list)
{
	struct span rest = span_cstr(list), word;

	while (span_word(&rest, ", \t\r\n", &word)) {
		if (span_iis(word, "all") || span_iis(word, "loopback-only"))
			add_interfaces(!span_iis(word, "all"));
		else
			add_named(word);
	}
}

/* An address of all zeroes listens on every interface. */
static void add_endpoint(const struct netaddr *a)
{
	static const unsigned char any[sizeof a->bytes];

	if (a->port != smtp_port)
		return;
	if (memcmp(a->bytes, any, sizeof any) == 0)
		add_interfaces(false);
	else
		add(*a);
}

static void add_service(const struct mastercf_service *s, struct arena *a, struct buf *messages)
{
	struct endpoints found;

	if (s->type != MASTERCF_INET || strcmp(s->program, "smtpd") != 0 || !endpoints_of(conf, s, a, &found, messages))
		return;
	for (size_t i = 0; i < found.count; i++)
		if (found.list[i].type == MASTERCF_INET)
			add_endpoint(&found.list[i].addr);
}

static void add_listeners(void)
{
	struct arena a = ARENA_INIT;
	struct mastercf services = { 0 };
	struct buf messages;

	buf_init(&messages, 65536);
	/* What is wrong with master.cf, master has said. */
	if (mastercf_load(conf->config_directory, &a, &services, &messages) != CONF_ERROR)
		for (size_t i = 0; i < services.count; i++)
			add_service(&services.services[i], &a, &messages);
	buf_free(&messages);
	arena_free(&a);
}

/*
 * Without privileges another server of this machine may well own the SMTP port of an interface, and the next instance
 * that of another address: there, only what our own smtpd listens on counts.
 */
void self_init(void)
{
	bool unprivileged = conf_unprivileged(conf);

	smtp_port = unprivileged ? PORT_SMTP + UNPRIVILEGED_PORT_OFFSET : PORT_SMTP;
	add_listeners();
	if (unprivileged)
		return;
	add_list(conf->inet_interfaces);
	add_list(conf->proxy_interfaces);
}

bool self_is_port(uint16_t port)
{
	return port == smtp_port;
}

bool self_is_us(const struct netaddr *addr)
{
	for (size_t i = 0; i < nown; i++)
		if (own[i].port == addr->port && netaddr_eq(&own[i], addr))
			return true;
	return false;
}
