/* SPDX-License-Identifier: BSD-2-Clause */
/* virtual_alias_maps. */
#include <stdlib.h>

#include "lib/base/htab.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/proto/addr.h"
#include "lib/route/route.h"
#include "lib/route/tables.h"

enum { DEPTH_MAX = 20 };

/* What is known of an address during one expansion. */
static char being_expanded, expanded;

struct expansion {
	struct arena *a;
	struct span address; /* the one asked for, for the log */
	size_t max;
	struct span *list;
	size_t n;
	struct htab state;   /* lower-case address to &being_expanded or &expanded */
	struct htab results; /* those in list */
};

static enum map_status add_result(struct expansion *x, struct span address)
{
	struct span key = arena_lower(x->a, address);

	if (htab_put(&x->results, key, &expanded) != NULL)
		return MAP_OK;
	if (x->n >= x->max) {
		log_warn("virtual alias <" SPAN_FMT "> has more than %zu addresses", SPAN_ARG(x->address), x->max);
		return MAP_NOTFOUND;
	}
	if ((x->n & (x->n - 1)) == 0)
		x->list = mem_realloc_array(x->list, x->n ? 2 * x->n : 1, sizeof *x->list);
	x->list[x->n++] = arena_span(x->a, address);
	return MAP_OK;
}

/* The next address of a right side: commas or blanks between them, quotes keep them together. */
static bool next_address(struct span *rest, struct span *word_r)
{
	bool quoted = false;
	size_t n = 0;

	while (rest->len > 0 && (ascii_isspace(rest->ptr[0]) || rest->ptr[0] == ','))
		*rest = span_skip(*rest, 1);
	for (; n < rest->len; n++) {
		char c = rest->ptr[n];

		if (!quoted && (ascii_isspace(c) || c == ','))
			break;
		if (c == '\\' && n + 1 < rest->len)
			n++;
		else if (c == '"')
			quoted = !quoted;
	}
	*word_r = span_head(*rest, n);
	*rest = span_skip(*rest, n);
	return n > 0;
}

/* A word of a right side as an address: unquoted, with the user of @domain, with the extension, in standard form. */
static struct span make_address(struct arena *a, struct span word, struct span from, struct span ext)
{
	struct addr addr;

	if (span_starts(word, "@"))
		return route_rewrite(a, addr_internal(a, (struct addr){ addr_split(from).local, span_skip(word, 1) }));
	if (span_chr(word, '"') < 0 || addr_mailbox_parse(a, word, ADDR_LENIENT, &addr) != ADDR_OK)
		addr = addr_split(word);
	if (ext.len > 0)
		addr.local = span_cstr(arena_printf(a, SPAN_FMT SPAN_FMT, SPAN_ARG(addr.local), SPAN_ARG(ext)));
	return route_rewrite(a, addr_internal(a, addr));
}

static enum map_status expand(struct expansion *x, struct span address, unsigned depth);

static enum map_status expand_value(struct expansion *x, struct span address, struct span value, struct span ext,
				    unsigned depth)
{
	struct span word;
	enum map_status st = MAP_OK;

	while (st == MAP_OK && next_address(&value, &word)) {
		struct span to = make_address(x->a, word, address, ext);

		if (to.len > 0)
			st = expand(x, to, depth + 1);
	}
	return st;
}

static enum map_status expand(struct expansion *x, struct span address, unsigned depth)
{
	struct span key = arena_lower(x->a, address), value, ext;
	char *state = htab_get(&x->state, key);
	enum map_status st;

	/* An alias that leads back to itself means: there, too. One that was expanded before has nothing to add. */
	if (state)
		return state == &being_expanded ? add_result(x, address) : MAP_OK;
	if (depth > DEPTH_MAX) {
		log_warn("virtual alias <" SPAN_FMT "> is nested more than %d deep", SPAN_ARG(x->address), DEPTH_MAX);
		return MAP_NOTFOUND;
	}
	htab_put(&x->state, key, &being_expanded);
	st = map_list_get_address(route_tables.virtual_alias, x->a, address, conf->recipient_delimiter,
				  route_is_local_name(addr_split(address).domain), &value, &ext);
	if (st == MAP_NOTFOUND)
		st = add_result(x, address);
	else if (st == MAP_OK)
		st = expand_value(x, address, value, ext, depth);
	htab_put(&x->state, key, &expanded);
	return st;
}

enum map_status route_virtual_alias(struct arena *a, struct span address, size_t max, struct span **list_r, size_t *n_r)
{
	struct expansion x = { .a = a, .address = address, .max = max };
	enum map_status st =
	    map_list_empty(route_tables.virtual_alias) ? add_result(&x, address) : expand(&x, address, 0);

	*n_r = 0;
	*list_r = NULL;
	if (st == MAP_OK) {
		*n_r = x.n;
		*list_r = arena_array(a, x.n, sizeof *x.list);
		for (size_t i = 0; i < x.n; i++)
			(*list_r)[i] = x.list[i];
	}
	free(x.list);
	htab_free(&x.state);
	htab_free(&x.results);
	return st;
}
