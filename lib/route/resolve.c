/* SPDX-License-Identifier: BSD-2-Clause */
/* Transport and next hop. */
#include "lib/conf/conf.h"
#include "lib/proto/addr.h"
#include "lib/route/route.h"
#include "lib/route/tables.h"

/* transport:nexthop, either part may be empty. */
static void split_transport(struct span text, struct span *transport_r, struct span *nexthop_r)
{
	struct span rest = span_trim(text);

	*transport_r = span_cut(&rest, ':');
	*nexthop_r = rest;
}

/* The name as written by conf for the class; nexthop empty when it does not say one. */
static void class_transport(enum route_class class, bool probe, struct span *transport_r, struct span *nexthop_r)
{
	static const struct span no_alias = SPAN("error:5.1.1 User unknown in virtual alias table");
	const struct span by_class[][2] = {
		[ROUTE_LOCAL] = { span_cstr(conf->local_transport), span_cstr(conf->address_verify_local_transport) },
		[ROUTE_VIRTUAL_ALIAS] = { no_alias, no_alias },
		[ROUTE_VIRTUAL_MAILBOX] = { span_cstr(conf->virtual_transport), span_cstr(conf->address_verify_virtual_transport) },
		[ROUTE_RELAY] = { span_cstr(conf->relay_transport), span_cstr(conf->address_verify_relay_transport) },
		[ROUTE_DEFAULT] = { span_cstr(conf->default_transport), span_cstr(conf->address_verify_default_transport) },
	};

	split_transport(by_class[class][probe], transport_r, nexthop_r);
	if (nexthop_r->len == 0 && (class == ROUTE_RELAY || class == ROUTE_DEFAULT))
		*nexthop_r = span_cstr(probe ? conf->address_verify_relayhost : conf->relayhost);
}

/* --- transport_maps ----------------------------------------------------------------------------------------------- */

static enum map_status ask_address(struct map_list *maps, struct arena *a, struct span address, struct span *value_r)
{
	struct addr addr = addr_split(address);
	struct span user, ext;
	enum map_status st = map_list_get(maps, a, address, value_r);

	if (st != MAP_NOTFOUND || !addr_split_ext(addr.local, span_cstr(conf->recipient_delimiter), &user, &ext))
		return st;
	return map_list_get(maps, a, addr_internal(a, (struct addr){ user, addr.domain }), value_r);
}

/* user+ext@domain, user@domain, domain, .parent of each level, *. */
static enum map_status ask_transport_maps(struct map_list *maps, struct arena *a, struct span address, struct span *value_r)
{
	struct span name = addr_split(address).domain;
	enum map_status st = ask_address(maps, a, address, value_r);

	while (st == MAP_NOTFOUND && name.len > 0) {
		ptrdiff_t dot;

		st = map_list_get(maps, a, name, value_r);
		dot = span_chr(span_skip(name, 1), '.');
		name = dot < 0 ? SPAN_NONE : span_skip(name, (size_t)dot + 1);
	}
	return st == MAP_NOTFOUND ? map_list_get(maps, a, SPAN("*"), value_r) : st;
}

/* An empty transport keeps the one there is; a transport without next hop means the recipient's domain. */
static void apply(struct span value, struct span *transport, struct span *nexthop)
{
	struct span new_transport, new_nexthop;

	split_transport(value, &new_transport, &new_nexthop);
	if (new_transport.len > 0) {
		*transport = new_transport;
		*nexthop = new_nexthop;
	} else if (new_nexthop.len > 0) {
		*nexthop = new_nexthop;
	}
}

/* --- all together ------------------------------------------------------------------------------------------------- */

static bool is_per_user(struct span transport)
{
	return span_is(transport, "local") || span_is(transport, "virtual");
}

/* One mailbox, whatever extension and case it was written with. */
static struct span user_destination(struct arena *a, struct addr addr)
{
	struct span user, ext;

	(void)addr_split_ext(addr.local, span_cstr(conf->recipient_delimiter), &user, &ext);
	return arena_lower(a, addr_internal(a, (struct addr){ user, addr.domain }));
}

static enum map_status resolve(struct arena *a, struct span address, bool probe, struct route *route_r)
{
	struct map_list *maps = probe ? route_tables.probe_transport : route_tables.transport;
	struct addr addr = addr_split(address);
	struct span transport, nexthop, value;
	bool temp;

	*route_r = (struct route){ .class = route_class_of(addr.domain, &temp) };
	if (temp)
		return MAP_TEMP;
	class_transport(route_r->class, probe, &transport, &nexthop);
	if (route_r->class != ROUTE_VIRTUAL_ALIAS && !map_list_empty(maps)) {
		enum map_status st = ask_transport_maps(maps, a, address, &value);

		if (st == MAP_TEMP)
			return MAP_TEMP;
		if (st == MAP_OK)
			apply(value, &transport, &nexthop);
	}
	if (nexthop.len == 0 || is_per_user(transport))
		nexthop = addr.domain.len ? addr.domain : span_cstr(conf->myhostname);
	route_r->transport = arena_span(a, transport);
	route_r->nexthop = arena_span(a, nexthop);
	route_r->destination = is_per_user(transport) ? user_destination(a, addr) : arena_lower(a, nexthop);
	return MAP_OK;
}

enum map_status route_resolve(struct arena *a, struct span address, struct route *route_r)
{
	return resolve(a, address, false, route_r);
}

enum map_status route_resolve_probe(struct arena *a, struct span address, struct route *route_r)
{
	return resolve(a, address, true, route_r);
}

void route_filtered(struct arena *a, struct span filter, struct span address, struct route *route_r)
{
	struct span transport, nexthop, domain = addr_split(address).domain;

	split_transport(filter, &transport, &nexthop);
	if (nexthop.len == 0)
		nexthop = domain.len ? domain : span_cstr(conf->myhostname);
	*route_r = (struct route){ .class = ROUTE_DEFAULT,
				   .transport = arena_span(a, transport),
				   .nexthop = arena_span(a, nexthop),
				   .destination = is_per_user(transport) ? user_destination(a, addr_split(address))
									 : arena_lower(a, nexthop) };
}
