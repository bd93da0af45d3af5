/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses in standard form. */
#include "lib/conf/conf.h"
#include "lib/proto/addr.h"
#include "lib/route/route.h"

/* An address without a domain that holds one in the way of other times: site!user, user%domain. */
static bool hidden_domain(struct addr *addr)
{
	struct span local = addr->local, user = SPAN_NONE, domain = SPAN_NONE;
	ptrdiff_t bang = conf->swap_bangpath ? span_chr(local, '!') : -1;
	ptrdiff_t percent = conf->allow_percent_hack ? span_rchr(local, '%') : -1;

	if (bang > 0) {
		domain = span_head(local, (size_t)bang);
		user = span_skip(local, (size_t)bang + 1);
	} else if (percent > 0) {
		user = span_head(local, (size_t)percent);
		domain = span_skip(local, (size_t)percent + 1);
	}
	if (user.len == 0 || domain.len == 0)
		return false;
	*addr = (struct addr){ user, domain };
	return true;
}

struct span route_rewrite(struct arena *a, struct span address)
{
	struct addr addr = addr_split(address);
	const char *suffix = "";

	if (address.len == 0)
		return SPAN_NONE;
	while (addr.domain.len > 1 && span_ends(addr.domain, "."))
		addr.domain.len--;
	if (addr.domain.len == 0 && !hidden_domain(&addr)) {
		if (!conf->append_at_myorigin || addr.local.len == 0)
			return arena_span(a, addr.local);
		return span_cstr(arena_printf(a, SPAN_FMT "@%s", SPAN_ARG(addr.local), conf->myorigin));
	}
	if (conf->append_dot_mydomain && span_chr(addr.domain, '.') < 0 && !span_starts(addr.domain, "["))
		suffix = arena_printf(a, ".%s", conf->mydomain);
	return span_cstr(
	    arena_printf(a, SPAN_FMT "@" SPAN_FMT "%s", SPAN_ARG(addr.local), SPAN_ARG(addr.domain), suffix));
}
