/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/endpoint.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

enum { ENDPOINTS_MAX = 60, WELL_KNOWN = 1024 }; /* a worker takes 64 listeners */

const struct endpoint_program *endpoint_program(const char *program)
{
	static const struct endpoint_program known[] = {
		{ "imapd", "imap", true },
		{ "pop3d", "pop3", true },
		{ NULL, NULL, false },
	};
	const struct endpoint_program *p = known;

	while (p->program && strcmp(p->program, program) != 0)
		p++;
	return p;
}

static bool protocol_listed(const struct conf *c, const char *protocol)
{
	struct span rest = span_cstr(c->protocols), word;

	while (span_word(&rest, ", \t", &word))
		if (span_iis(word, protocol))
			return true;
	return false;
}

bool endpoint_wanted(const struct conf *c, const struct mastercf_service *s)
{
	const char *protocol = endpoint_program(s->program)->protocol;

	for (size_t i = 0; i < s->nargs; i++)
		if (strcmp(s->args[i], "-P") == 0 && i + 1 < s->nargs)
			protocol = s->args[i + 1];
		else if (strncmp(s->args[i], "-P", 2) == 0 && s->args[i][2])
			protocol = s->args[i] + 2;
	return protocol == NULL || protocol_listed(c, protocol);
}

/* A minimal system has no /etc/services; these are the names that a mail system is configured with. */
uint16_t endpoint_port(struct span name)
{
	static const struct {
		const char *name;
		uint16_t port;
	} known[] = {
		{ "smtp", 25 },   { "submission", 587 }, { "submissions", 465 }, { "smtps", 465 }, { "pop3", 110 },
		{ "pop-3", 110 }, { "pop3s", 995 },      { "imap", 143 },        { "imap2", 143 }, { "imaps", 993 },
		{ "lmtp", 24 },   { "sieve", 4190 },     { "qmtp", 209 },
	};
	struct servent entry, *found = NULL;
	char text[64], space[1024];
	uint64_t number;

	if (span_u64(name, 65535, &number))
		return (uint16_t)number;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (span_iis(name, known[i].name))
			return known[i].port;
	if (name.len >= sizeof text)
		return 0;
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	if (getservbyname_r(text, "tcp", &entry, space, sizeof space, &found) != 0 || found == NULL)
		return 0;
	return ntohs((uint16_t)found->s_port);
}

struct build {
	const struct conf *conf;
	const struct mastercf_service *service;
	struct endpoints *out;
	struct buf *messages;
	bool ok;
};

static void fail(struct build *b, const char *what, struct span value)
{
	buf_addf(b->messages, "error: master.cf:%d: service %s: %s: " SPAN_FMT "\n", b->service->line, b->service->name,
		 what, SPAN_ARG(value));
	b->ok = false;
}

static bool protocol_on(const struct build *b, sa_family_t family)
{
	struct span rest = span_cstr(b->conf->inet_protocols), word;

	while (span_word(&rest, ", \t", &word))
		if (span_iis(word, "all") || span_iis(word, family == AF_INET ? "ipv4" : "ipv6"))
			return true;
	return false;
}

static void add(struct build *b, const struct endpoint *e)
{
	for (size_t i = 0; i < b->out->count; i++)
		if (endpoint_eq(&b->out->list[i], e))
			return;
	if (b->out->count == ENDPOINTS_MAX)
		fail(b, "too many addresses in", SPAN("inet_interfaces"));
	else
		b->out->list[b->out->count++] = *e;
}

static void add_address(struct build *b, const struct netaddr *addr, uint16_t port, bool optional)
{
	struct endpoint e = { .type = MASTERCF_INET, .addr = *addr, .optional = optional };

	e.addr.port = port;
	if (protocol_on(b, addr->family))
		add(b, &e);
}

static void add_text_address(struct build *b, const char *text, uint16_t port)
{
	struct netaddr addr;

	if (netaddr_parse(span_cstr(text), &addr))
		add_address(b, &addr, port, addr.family == AF_INET6);
}

static struct span without_brackets(struct span host)
{
	if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		return span_of(host.ptr + 1, host.len - 2);
	return host;
}

static void add_host(struct build *b, struct arena *a, struct span host, uint16_t port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
	struct netaddr addr;
	int err;

	host = without_brackets(host);
	if (netaddr_parse(host, &addr)) {
		add_address(b, &addr, port, false);
		return;
	}
	err = getaddrinfo(arena_cstr(a, host), NULL, &hints, &found);
	if (err) {
		fail(b, "host name without an address", host);
		return;
	}
	for (struct addrinfo *ai = found; ai; ai = ai->ai_next) {
		netaddr_from_sockaddr(&addr, ai->ai_addr);
		add_address(b, &addr, port, false);
	}
	freeaddrinfo(found);
}

static void add_interfaces(struct build *b, struct arena *a, uint16_t port)
{
	struct span rest = span_cstr(b->conf->inet_interfaces), word;

	while (span_word(&rest, ", \t", &word))
		if (span_iis(word, "all")) {
			add_text_address(b, "0.0.0.0", port);
			add_text_address(b, "::", port);
		} else if (span_iis(word, "loopback-only")) {
			add_text_address(b, "127.0.0.1", port);
			add_text_address(b, "::1", port);
		} else {
			add_host(b, a, word, port);
		}
}

/* "smtp", "2025", "127.0.0.1:smtp", "[::1]:25", "mail.example.com:smtp" */
static void add_inet(struct build *b, struct arena *a)
{
	struct span name = span_cstr(b->service->name);
	ptrdiff_t colon = span_rchr(name, ':');
	struct span port_name = colon < 0 ? name : span_skip(name, (size_t)colon + 1);
	uint16_t port = endpoint_port(port_name);

	if (port == 0) {
		fail(b, "no port is called", port_name);
		return;
	}
	if (port < WELL_KNOWN && conf_unprivileged(b->conf))
		port = (uint16_t)(port + UNPRIVILEGED_PORT_OFFSET);
	if (colon > 0)
		add_host(b, a, span_head(name, (size_t)colon), port);
	else
		add_interfaces(b, a, port);
}

static void add_path(struct build *b, const char *dir)
{
	struct endpoint e = { .type = b->service->type };

	if ((size_t)snprintf(e.path, sizeof e.path, "%s/%s", dir, b->service->name) >= sizeof e.path ||
	    strchr(b->service->name, '/'))
		fail(b, "not usable as a socket name", span_cstr(b->service->name));
	else
		add(b, &e);
}

bool endpoints_of(const struct conf *c, const struct mastercf_service *s, struct arena *a, struct endpoints *out,
		  struct buf *messages)
{
	struct build b = { .conf = c, .service = s, .out = out, .messages = messages, .ok = true };

	*out = (struct endpoints){ .list = arena_array(a, ENDPOINTS_MAX, sizeof *out->list) };
	if (s->type == MASTERCF_INET) {
		add_inet(&b, a);
		if (b.ok && out->count == 0)
			fail(&b, "no address to listen on: inet_interfaces is", span_cstr(c->inet_interfaces));
		return b.ok;
	}
	add_path(&b, s->is_private ? "private" : "public");
	if (strcmp(s->name, "auth") == 0) /* login sees nothing but its own directory */
		add_path(&b, "login");
	return b.ok;
}

bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
	if (a->type != b->type)
		return false;
	if (a->type == MASTERCF_INET)
		return netaddr_eq(&a->addr, &b->addr) && a->addr.port == b->addr.port;
	return strcmp(a->path, b->path) == 0;
}

const char *endpoint_text(const struct endpoint *e, char to[ENDPOINT_TEXT_MAX])
{
	char host[NETADDR_TEXT_MAX];

	if (e->type != MASTERCF_INET)
		snprintf(to, ENDPOINT_TEXT_MAX, "%s", e->path);
	else
		snprintf(to, ENDPOINT_TEXT_MAX, e->addr.family == AF_INET6 ? "[%s]:%u" : "%s:%u",
			 netaddr_text(&e->addr, host), e->addr.port);
	return to;
}
