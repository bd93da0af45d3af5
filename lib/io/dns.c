/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/io/dns.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

enum { QUERY_MAX = 512, OPT_BYTES = 11, UDP_PAYLOAD = 1232, CLIENT_TIMEOUT_S = 3, CLIENT_TRIES = 1 };

/* Set once before threads start. family 0: resolv.conf decides. */
static struct netaddr server;

const char *dns_status_str(enum dns_status s)
{
	switch (s) {
	case DNS_OK:
		return "success";
	case DNS_NXDOMAIN:
		return "Host not found";
	case DNS_NODATA:
		return "Host found but no data record of requested type";
	case DNS_TEMP:
		return "Host not found, try again";
	case DNS_BAD:
		return "Malformed or unexpected name server reply";
	}
	return "unknown error";
}

const char *dns_type_str(enum dns_type type)
{
	switch (type) {
	case DNS_A:
		return "A";
	case DNS_NS:
		return "NS";
	case DNS_CNAME:
		return "CNAME";
	case DNS_PTR:
		return "PTR";
	case DNS_MX:
		return "MX";
	case DNS_TXT:
		return "TXT";
	case DNS_AAAA:
		return "AAAA";
	}
	return "unknown";
}

/* --- the resolver's state ----------------------------------------------------------------------------------------- */

bool dns_set_server(struct span text)
{
	struct netaddr a = { 0 };
	struct span host = text, port = SPAN_NONE;
	ptrdiff_t colon = span_rchr(text, ':');
	uint64_t number = 53;

	if (text.len && text.ptr[0] == '[') {
		ptrdiff_t close = span_chr(text, ']');

		if (close < 0)
			return false;
		host = span_of(text.ptr + 1, (size_t)close - 1);
		port = span_skip(text, (size_t)close + 1);
		if (port.len && port.ptr[0] != ':')
			return false;
		port = span_skip(port, 1);
	} else if (colon >= 0 && span_chr(text, ':') == colon) {
		host = span_head(text, (size_t)colon);
		port = span_skip(text, (size_t)colon + 1);
	}
	if (text.len && (!netaddr_parse(host, &a) || (port.len && !span_u64(port, 65535, &number))))
		return false;
	a.port = (uint16_t)number;
	server = a;
	return true;
}

/*
 * Point the state at the one server. glibc keeps an IPv6 server in memory of its own that res_nclose frees, and takes
 * nsaddr_list[] for unset there when its family is 0.
 */
static void use_server(struct __res_state *state)
{
	struct sockaddr_storage sa;

	if (server.family == 0)
		return;
	netaddr_to_sockaddr(&server, &sa);
	state->nscount = 1;
	if (server.family == AF_INET) {
		memcpy(&state->nsaddr_list[0], &sa, sizeof state->nsaddr_list[0]);
		return;
	}
	if (state->_u._ext.nsaddrs[0] == NULL)
		state->_u._ext.nsaddrs[0] = malloc(sizeof(struct sockaddr_in6));
	memcpy(state->_u._ext.nsaddrs[0], &sa, sizeof(struct sockaddr_in6));
	state->nsaddr_list[0].sin_family = 0;
}

static bool server_is_here(const struct __res_state *state, int i)
{
	struct netaddr a = { 0 };

	if (state->nsaddr_list[i].sin_family == AF_INET)
		netaddr_from_sockaddr(&a, (const struct sockaddr *)&state->nsaddr_list[i]);
	else if (state->_u._ext.nsaddrs[i])
		netaddr_from_sockaddr(&a, (const struct sockaddr *)state->_u._ext.nsaddrs[i]);
	return netaddr_is_loopback(&a);
}

/* Is the AD bit worth anything? Not when it crossed a network. */
static bool ad_counts(const struct __res_state *state)
{
	if (state->options & RES_TRUSTAD)
		return true;
	for (int i = 0; i < state->nscount; i++)
		if (!server_is_here(state, i))
			return false;
	return state->nscount > 0;
}

/* --- one question ------------------------------------------------------------------------------------------------- */

/* EDNS0, so that more than 512 bytes fit into a datagram. */
static int add_opt(unsigned char *query, int len)
{
	static const unsigned char opt[OPT_BYTES] = { 0, 0, ns_t_opt, UDP_PAYLOAD >> 8, UDP_PAYLOAD & 0xFF };

	if (len + OPT_BYTES > QUERY_MAX)
		return len;
	memcpy(query + len, opt, OPT_BYTES);
	query[11]++; /* additional records */
	return len + OPT_BYTES;
}

/* Lengths, and no byte that the resolver's text form gives a meaning of its own. */
static bool askable(struct span name)
{
	struct span rest = name;

	if (name.len == 0 || name.len > DNS_NAME_MAX - 2)
		return false;
	while (rest.len) {
		struct span label = span_cut(&rest, '.');

		if (label.len == 0 || label.len > 63)
			return false;
	}
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] == '\\' || name.ptr[i] == '"' || (unsigned char)name.ptr[i] <= ' ' ||
		    (unsigned char)name.ptr[i] >= 127)
			return false;
	return name.ptr[name.len - 1] != '.';
}

static enum dns_status ask(struct arena *a, struct __res_state *state, struct span name, enum dns_type type,
			   struct dns_answer *answer_r)
{
	unsigned char query[QUERY_MAX];
	char text[DNS_NAME_MAX + 1];
	AUTO_FREE unsigned char *packet = NULL;
	bool trusted = ad_counts(state);
	enum dns_status status;
	int len;

	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	state->options |= RES_TRUSTAD;
	len = res_nmkquery(state, ns_o_query, text, ns_c_in, (int)type, NULL, 0, NULL, query, sizeof query);
	if (len < 0)
		return DNS_NXDOMAIN;
	len = add_opt(query, len);
	packet = mem_alloc(DNS_ANSWER_MAX);
	len = res_nsend(state, query, len, packet, DNS_ANSWER_MAX);
	if (len < 0)
		return DNS_TEMP;
	status = dns_read(a, span_of((char *)packet, (size_t)len), name, type, answer_r);
	answer_r->authentic = answer_r->authentic && trusted;
	return status;
}

/* The answer's names must not point into the packet or the caller's memory. */
static void settle(struct arena *a, enum dns_status status, struct dns_answer *answer)
{
	if (status != DNS_OK)
		*answer = (struct dns_answer){ 0 };
	answer->canonical = arena_span(a, answer->canonical);
}

enum dns_status dns_lookup(struct arena *a, struct span name, enum dns_type type, struct dns_answer *answer_r)
{
	struct __res_state state = { 0 };
	enum dns_status status = DNS_BAD;
	bool authentic = true;

	*answer_r = (struct dns_answer){ 0 };
	name.len -= name.len && name.ptr[name.len - 1] == '.';
	if (!askable(name))
		return DNS_NXDOMAIN;
	if (res_ninit(&state) < 0)
		return DNS_TEMP;
	use_server(&state);
	for (int aliases = 0; aliases <= DNS_ALIASES_MAX; aliases++) {
		status = ask(a, &state, name, type, answer_r);
		authentic = authentic && answer_r->authentic;
		if (status != DNS_NODATA || span_ieq(answer_r->canonical, name))
			break;
		/* The server gave an alias, but not what it stands for. */
		name = answer_r->canonical;
		status = DNS_BAD;
	}
	res_nclose(&state);
	answer_r->authentic = authentic;
	settle(a, status, answer_r);
	return status;
}

bool dns_is_null_mx(const struct dns_answer *mx)
{
	return mx->nrecords == 1 && mx->records[0].name.len == 0;
}

/* --- addresses ---------------------------------------------------------------------------------------------------- */

static void join(struct arena *a, struct dns_answer *to, const struct dns_answer *more)
{
	struct dns_record *all = arena_array(a, to->nrecords + more->nrecords, sizeof *all);

	if (to->nrecords)
		memcpy(all, to->records, to->nrecords * sizeof *all);
	if (more->nrecords)
		memcpy(all + to->nrecords, more->records, more->nrecords * sizeof *all);
	to->authentic = more->authentic && (to->nrecords == 0 || to->authentic);
	to->records = all;
	to->nrecords += more->nrecords;
	to->canonical = more->canonical;
}

enum dns_status dns_addresses(struct arena *a, struct span host, unsigned families, struct dns_answer *answer_r)
{
	static const enum dns_type types[] = { DNS_A, DNS_AAAA };
	enum dns_status worst = DNS_NODATA;

	*answer_r = (struct dns_answer){ 0 };
	for (unsigned i = 0; i < 2; i++) {
		struct dns_answer one;
		enum dns_status status;

		if (!(families & 1u << i))
			continue;
		status = dns_lookup(a, host, types[i], &one);
		if (status == DNS_OK)
			join(a, answer_r, &one);
		else if (status == DNS_NXDOMAIN)
			return answer_r->nrecords ? DNS_OK : status;
		else if (status > worst)
			worst = status;
	}
	return answer_r->nrecords ? DNS_OK : worst;
}

/*
 * getaddrinfo and getnameinfo ask with the resolver state of their thread. It is made the first time a thread gets
 * here, with short times: a client waits for this before it sees a banner.
 */
static void prepare_thread(void)
{
	static _Thread_local bool prepared;

	if (prepared || res_init() < 0)
		return;
	prepared = true;
	_res.retrans = CLIENT_TIMEOUT_S;
	_res.retry = CLIENT_TRIES;
	use_server(&_res);
}

static enum dns_status from_gai(int rc)
{
	switch (rc) {
	case 0:
		return DNS_OK;
	case EAI_NONAME:
	case EAI_FAIL:
		return DNS_NXDOMAIN;
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		return DNS_NODATA;
	default:
		return DNS_TEMP;
	}
}

enum dns_status dns_native_addresses(struct arena *a, struct span host, unsigned families, struct dns_answer *answer_r)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	size_t n = 0;
	int rc;

	*answer_r = (struct dns_answer){ 0 };
	if (!askable(host))
		return DNS_NXDOMAIN;
	if (server.family)
		prepare_thread();
	hints.ai_family = families == DNS_WANT_A ? AF_INET : families == DNS_WANT_AAAA ? AF_INET6 : AF_UNSPEC;
	rc = getaddrinfo(arena_cstr(a, host), NULL, &hints, &list);
	if (rc != 0)
		return from_gai(rc);
	for (struct addrinfo *p = list; p; p = p->ai_next)
		n++;
	answer_r->records = arena_array(a, n < DNS_RECORDS_MAX ? n : DNS_RECORDS_MAX, sizeof *answer_r->records);
	for (struct addrinfo *p = list; p && answer_r->nrecords < DNS_RECORDS_MAX; p = p->ai_next)
		netaddr_from_sockaddr(&answer_r->records[answer_r->nrecords++].addr, p->ai_addr);
	answer_r->canonical = arena_span(a, host);
	freeaddrinfo(list);
	return answer_r->nrecords ? DNS_OK : DNS_NODATA;
}

/* --- the name of a client ----------------------------------------------------------------------------------------- */

/* A name that is an address in disguise, or holds bytes that no host name has, is no name. */
static bool usable_name(struct span name)
{
	struct netaddr a;

	if (!askable(name) || netaddr_parse(name, &a))
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_isalnum(name.ptr[i]) && !strchr("-_.", name.ptr[i]))
			return false;
	return true;
}

static enum dns_status has_address(struct arena *a, struct span name, const struct netaddr *client)
{
	struct dns_answer answer;
	enum dns_status status;

	status = dns_native_addresses(a, name, client->family == AF_INET ? DNS_WANT_A : DNS_WANT_AAAA, &answer);
	if (status != DNS_OK)
		return status;
	for (size_t i = 0; i < answer.nrecords; i++)
		if (netaddr_eq(&answer.records[i].addr, client))
			return DNS_OK;
	return DNS_NXDOMAIN;
}

static enum dns_status reverse_name(struct arena *a, const struct netaddr *client, struct span *name_r)
{
	struct sockaddr_storage sa;
	char host[NI_MAXHOST];
	int rc;

	if (client->family != AF_INET && client->family != AF_INET6)
		return DNS_NXDOMAIN;
	prepare_thread();
	rc = getnameinfo((struct sockaddr *)&sa, netaddr_to_sockaddr(client, &sa), host, sizeof host, NULL, 0, NI_NAMEREQD);
	if (rc != 0)
		return from_gai(rc);
	if (!usable_name(span_cstr(host)))
		return DNS_NXDOMAIN;
	*name_r = arena_span(a, span_cstr(host));
	return DNS_OK;
}

void dns_client_look(struct arena *a, const struct netaddr *client, struct dns_client *c)
{
	c->name = c->reverse = SPAN("unknown");
	c->name_status = c->reverse_status = reverse_name(a, client, &c->reverse);
	if (c->reverse_status != DNS_OK)
		return;
	c->name_status = has_address(a, c->reverse, client);
	if (c->name_status == DNS_OK)
		c->name = c->reverse;
}

enum dns_status dns_client_name(struct arena *a, const struct netaddr *client, struct span *name_r)
{
	struct dns_client c;

	dns_client_look(a, client, &c);
	*name_r = c.name;
	return c.name_status;
}
