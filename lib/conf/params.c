/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables of names: conf/params.def and conf/foreign.def. */
#include <string.h>

#include "lib/conf/conf.h"
#include "lib/conf/raw.h"

#define AT(field) offsetof(struct conf, field)
#define PARAM_STR(name, def, owners, help) { #name, def, owners, help, 0, 0, AT(name), 's', 0 },
#define PARAM_RAW(name, def, owners, help) { #name, def, owners, help, 0, 0, AT(name), 'r', 0 },
#define PARAM_INT(name, def, min, max, owners, help) { #name, def, owners, help, min, max, AT(name), 'i', 0 },
#define PARAM_TIME(name, def, unit, min, max, owners, help)                                                            \
	{ #name, def, owners, help, min, max, AT(name##_ms), 't', unit },
#define PARAM_BOOL(name, def, owners, help) { #name, def, owners, help, 0, 0, AT(name), 'b', 0 },
const struct conf_param conf_params[] = {
#include "conf/params.def"
};
const size_t conf_nparams = sizeof conf_params / sizeof conf_params[0];

#define FOREIGN(name) #name,
static const char *const foreign[] = {
#include "conf/foreign.def"
};
enum { NFOREIGN = sizeof foreign / sizeof foreign[0] };

bool conf_is_foreign(struct span name)
{
	for (size_t i = 0; i < NFOREIGN; i++)
		if (span_is(name, foreign[i]))
			return true;
	return false;
}

const char *conf_transport_suffix(struct span name)
{
	static const char *const suffixes[] = {
		"_destination_concurrency_limit",
		"_destination_recipient_limit",
		"_destination_rate_delay",
		"_transport_rate_delay",
		"_time_limit",
		"_initial_destination_concurrency",
		"_delivery_slot_cost",
		"_delivery_slot_loan",
		"_delivery_slot_discount",
		"_minimum_delivery_slots",
		"_recipient_limit",
		"_extra_recipient_limit",
		"_recipient_refill_limit",
		"_recipient_refill_delay",
		"_destination_concurrency_positive_feedback",
		"_destination_concurrency_negative_feedback",
		"_destination_concurrency_failed_cohort_limit",
	};

	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
		if (span_ends(name, suffixes[i]) && name.len > strlen(suffixes[i]))
			return suffixes[i];
	return NULL;
}

enum { PARAM_NAME_MAX = 80 };

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap neighbours) that turn a into b. */
static size_t distance(struct span a, struct span b)
{
	size_t rows[3][PARAM_NAME_MAX + 1], *before = rows[0], *above = rows[1], *row = rows[2], *spare;

	for (size_t j = 0; j <= b.len; j++)
		above[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			row[j] = least(above[j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]), least(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
		spare = before;
		before = above;
		above = row;
		row = spare;
	}
	return above[b.len];
}

const char *conf_nearest(const char *name)
{
	struct span s = span_cstr(name);
	size_t best = 2 + s.len / 6;
	const char *nearest = NULL;

	if (s.len == 0 || s.len > PARAM_NAME_MAX)
		return NULL;
	for (size_t i = 0; i < conf_nparams + NFOREIGN; i++) {
		const char *known = i < conf_nparams ? conf_params[i].name : foreign[i - conf_nparams];
		size_t len = strlen(known), apart = len > s.len ? len - s.len : s.len - len;
		size_t d = apart > best || len > PARAM_NAME_MAX ? best : distance(s, span_cstr(known));

		if (d < best) {
			best = d;
			nearest = known;
		}
	}
	return nearest;
}
