/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables whose lines are rules tried from the top (regexp, pcre, cidr): `pattern value', `!pattern value', `if
 * pattern', `if !pattern', `endif'. The first rule that holds gives the value; a block is skipped when its `if' does
 * not hold.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "lib/map/table.h"

enum { RULES_DEPTH_MAX = 100, RULES_MAX = 1000000 };

struct rule {
	enum { RULE_VALUE, RULE_IF, RULE_ENDIF } kind;
	bool negated;
	size_t pattern;    /* the table's own number of it */
	size_t endif;      /* of RULE_IF: index of its RULE_ENDIF */
	struct span value; /* of RULE_VALUE */
	int line;
};

struct rules {
	struct rule *v;
	size_t n;
};

/*
 * Parse text; compile takes a pattern off *rest, fills in rule->pattern and returns NULL, or what is wrong with it. It
 * may look at rule->kind and negated, and at *rest after it, which then is the value.
 */
void rules_parse(struct rules *r, struct arena *a, const char *file, struct span text,
		 const char *(*compile)(void *ctx, struct span *rest, struct rule *rule), void *ctx,
		 struct buf *warnings);
/* The first rule that holds. holds: MAP_OK, MAP_NOTFOUND or MAP_TEMP, which ends the search. */
enum map_status rules_find(const struct rules *r, enum map_status (*holds)(void *ctx, const struct rule *rule),
			   void *ctx, const struct rule **hit_r);
void rules_free(struct rules *r);
