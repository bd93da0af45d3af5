/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses as keys: the order of virtual(5) and canonical(5). */
#include "lib/map/map.h"

#include "lib/proto/addr.h"

struct parts {
	struct span user;      /* local part without extension */
	struct span local;     /* with it */
	struct span at_domain; /* "@example.com" */
	struct span ext;       /* "+ext", or empty */
};

static struct parts split(struct span address, const char *delimiters)
{
	struct addr addr = addr_split(address);
	struct parts p = { .user = addr.local, .local = addr.local };
	struct span ext;

	p.at_domain = span_skip(address, addr.local.len);
	if (addr_split_ext(addr.local, span_cstr(delimiters), &p.user, &ext))
		p.ext = span_skip(addr.local, p.user.len);
	return p;
}

static enum map_status get_joined(struct map_list *l, struct arena *a, struct span left, struct span right,
				  struct span *value_r)
{
	return map_list_get(l, a, span_cstr(arena_printf(a, SPAN_FMT SPAN_FMT, SPAN_ARG(left), SPAN_ARG(right))),
			    value_r);
}

enum map_status map_list_get_address(struct map_list *l, struct arena *a, struct span address, const char *delimiters,
				     bool is_local, struct span *value_r, struct span *ext_r)
{
	struct parts p = split(address, delimiters);
	enum map_status st;

	*ext_r = SPAN_NONE;
	if (map_list_empty(l) || address.len == 0)
		return MAP_NOTFOUND;
	if ((st = map_list_get(l, a, address, value_r)) != MAP_NOTFOUND)
		return st;
	if (p.ext.len > 0 && p.at_domain.len > 0 &&
	    (st = get_joined(l, a, p.user, p.at_domain, value_r)) != MAP_NOTFOUND) {
		*ext_r = p.ext;
		return st;
	}
	if (is_local && p.at_domain.len > 0 && (st = map_list_get(l, a, p.local, value_r)) != MAP_NOTFOUND)
		return st;
	if ((is_local || p.at_domain.len == 0) && p.ext.len > 0 &&
	    (st = map_list_get(l, a, p.user, value_r)) != MAP_NOTFOUND) {
		*ext_r = p.ext;
		return st;
	}
	return p.at_domain.len > 0 ? map_list_get(l, a, p.at_domain, value_r) : MAP_NOTFOUND;
}
