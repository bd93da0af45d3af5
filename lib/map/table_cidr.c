/* SPDX-License-Identifier: BSD-2-Clause */
/* cidr: address blocks asked in turn. */
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/io/netaddr.h"
#include "lib/map/rules.h"

struct cidr_table {
	struct table table;
	struct arena arena;
	struct rules rules;
	struct netblock *blocks; /* one for each rule that has a pattern */
	size_t nblocks;
};

struct cidr_key {
	const struct cidr_table *t;
	struct netaddr addr;
};

static enum map_status cidr_holds(void *ctx, const struct rule *rule)
{
	const struct cidr_key *k = ctx;

	return netblock_contains(&k->t->blocks[rule->pattern], &k->addr) ? MAP_OK : MAP_NOTFOUND;
}

static enum map_status cidr_get(struct table *table, struct arena *a, struct span key, struct span *value_r)
{
	struct cidr_table *t = (struct cidr_table *)table;
	struct cidr_key k = { .t = t };
	const struct rule *hit;
	enum map_status st;

	if (!netaddr_parse(key, &k.addr))
		return MAP_NOTFOUND;
	st = rules_find(&t->rules, cidr_holds, &k, &hit);
	if (st == MAP_OK)
		*value_r = arena_span(a, hit->value);
	return st;
}

static void cidr_free(struct table *table)
{
	struct cidr_table *t = (struct cidr_table *)table;

	rules_free(&t->rules);
	free(t->blocks);
	arena_free(&t->arena);
}

/* Tables write IPv6 blocks without brackets, with or without a length. */
static bool parse_block(struct span text, struct netblock *out)
{
	struct arena tmp = ARENA_INIT;
	ptrdiff_t slash = span_chr(text, '/');
	struct span addr = slash < 0 ? text : span_head(text, (size_t)slash);
	bool ok;

	if (span_chr(addr, ':') >= 0 && !span_starts(addr, "["))
		text = span_cstr(
		    arena_printf(&tmp, "[" SPAN_FMT "]" SPAN_FMT, SPAN_ARG(addr), SPAN_ARG(span_skip(text, addr.len))));
	ok = netblock_parse(text, out);
	arena_free(&tmp);
	return ok;
}

static const char *cidr_compile(void *ctx, struct span *rest, struct rule *rule)
{
	struct cidr_table *t = ctx;
	struct netblock block;
	struct span pattern;

	if (!span_word(rest, " \t", &pattern) || !parse_block(pattern, &block))
		return "an address or a block like 192.168.0.0/16 or 2001:db8::/32 is expected, without host bits";
	rule->pattern = t->nblocks;
	t->blocks = mem_realloc_array(t->blocks, t->nblocks + 1, sizeof *t->blocks);
	t->blocks[t->nblocks++] = block;
	return NULL;
}

struct table *table_cidr_parse(const char *file, struct span text, struct buf *warnings)
{
	struct cidr_table *t = (struct cidr_table *)table_alloc(sizeof *t, cidr_get, cidr_free);

	rules_parse(&t->rules, &t->arena, file, text, cidr_compile, t, warnings);
	return &t->table;
}
