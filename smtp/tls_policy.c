/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtp/tls_policy.h"

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/map/map.h"

static struct map_list *policies;

/* A level that is not known may have been meant to protect. */
static bool is_lax(struct span level)
{
	static const char *const lax[] = { "none", "may", "dane" };

	for (size_t i = 0; i < sizeof lax / sizeof *lax; i++)
		if (span_iis(level, lax[i]))
			return true;
	return false;
}

static bool default_forbids(void)
{
	struct span level = span_trim(span_cstr(conf->smtp_tls_security_level));

	return level.len > 0 ? !is_lax(level) : conf->smtp_enforce_tls;
}

void tls_policy_init(void)
{
	policies = map_list_open(conf->smtp_tls_policy_maps);
	if (default_forbids())
		log_warn("smtp_tls_security_level = %s: TLS is not available, mail will wait", conf->smtp_tls_security_level);
}

/* The destination itself, "example.com", "[mx.example.com]:587"; for a plain domain also ".example.com", ".com". */
static enum map_status find_policy(struct arena *a, struct span nexthop, struct span *value)
{
	enum map_status st = map_list_get(policies, a, nexthop, value);
	bool plain = span_chr(nexthop, '[') < 0 && span_chr(nexthop, ':') < 0;
	struct span rest = nexthop;

	while (st == MAP_NOTFOUND && plain) {
		ptrdiff_t dot = span_chr(rest, '.');

		if (dot < 0)
			break;
		st = map_list_get(policies, a, span_skip(rest, (size_t)dot), value);
		rest = span_skip(rest, (size_t)dot + 1);
	}
	return st;
}

bool tls_policy_forbids(struct arena *a, struct span nexthop, struct verdict *why_r)
{
	struct span value = SPAN_NONE, level = SPAN_NONE;
	enum map_status st;

	if (span_starts(nexthop, "unix:")) /* a socket of this machine: there is no wire to protect */
		return false;
	st = find_policy(a, nexthop, &value);
	if (st == MAP_OK) {
		(void)span_word(&value, " \t,", &level);
		if (is_lax(level))
			return false;
	}
	if (st == MAP_TEMP) {
		*why_r = verdict_make(a, "4.3.0", "TLS policy table lookup error for " SPAN_FMT, SPAN_ARG(nexthop));
		return true;
	}
	if (st == MAP_NOTFOUND && !default_forbids())
		return false;
	*why_r = verdict_make(a, "4.7.5", "TLS is required, but our TLS engine is unavailable");
	return true;
}
