/* SPDX-License-Identifier: BSD-2-Clause */
/* Values of main.cf as numbers. */
#include "lib/conf/conf.h"

static int64_t unit_ms(struct span unit)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {
		{ "s", 1000 },       { "m", 60000 },       { "h", 3600000 },      { "d", 86400000 },
		{ "w", 604800000 },  { "ms", 1 },          { "sec", 1000 },       { "secs", 1000 },
		{ "min", 60000 },    { "mins", 60000 },    { "hour", 3600000 },   { "hours", 3600000 },
		{ "day", 86400000 }, { "days", 86400000 }, { "week", 604800000 }, { "weeks", 604800000 },
		{ "msec", 1 },       { "msecs", 1 },
	};

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (span_iis(unit, units[i].name))
			return units[i].ms;
	return 0;
}

/* ".25" at the start of *s: 250. More than three digits are not one. */
static bool take_fraction(struct span *s, int64_t *thousandths_r)
{
	int64_t worth = 100;
	size_t at = 1;

	for (*thousandths_r = 0; at < s->len && ascii_isdigit(s->ptr[at]) && worth > 0; at++, worth /= 10)
		*thousandths_r += worth * (s->ptr[at] - '0');
	*s = span_skip(*s, at);
	return at > 1;
}

bool conf_parse_time_ms(struct span text, char default_unit, int64_t *ms_r)
{
	struct span s = span_trim(text), number, unit;
	size_t digits = 0;
	uint64_t n;
	int64_t each, thousandths = 0;

	while (digits < s.len && ascii_isdigit(s.ptr[digits]))
		digits++;
	number = span_head(s, digits);
	unit = span_skip(s, digits);
	if (span_starts(unit, ".") && !take_fraction(&unit, &thousandths))
		return false;
	unit = span_trim(unit);
	each = unit_ms(unit.len ? unit : span_of(&default_unit, 1));
	if (each == 0 || !span_u64(number, INT64_MAX, &n) || __builtin_mul_overflow((int64_t)n, each, ms_r))
		return false;
	return !__builtin_add_overflow(*ms_r, thousandths * each / 1000, ms_r);
}

bool conf_parse_bool(struct span text, bool *value_r)
{
	struct span s = span_trim(text);

	*value_r = span_iis(s, "yes");
	return *value_r || span_iis(s, "no");
}

bool conf_parse_int(struct span text, int64_t *value_r)
{
	struct span s = span_trim(text);
	bool negative = span_starts(s, "-");
	uint64_t n;

	if (!span_u64(negative ? span_skip(s, 1) : s, INT64_MAX, &n))
		return false;
	*value_r = negative ? -(int64_t)n : (int64_t)n;
	return true;
}
