/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/imap_match.h"

#include <string.h>

enum { WORDS_MAX = IMAP_PATTERN_MAX / 64 + 1 };

static void set_bit(uint64_t *row, size_t bit)
{
	row[bit / 64] |= 1ULL << (bit % 64);
}

static void add_literal(struct imap_pattern *p, char c, bool no_case)
{
	p->last++;
	set_bit(p->step + (unsigned char)c * p->words, p->last);
	if (no_case && ascii_isalpha(c))
		set_bit(p->step + (unsigned char)(c ^ 0x20) * p->words, p->last);
}

bool imap_pattern_compile(struct arena *a, struct span pattern, char sep, bool no_case, struct imap_pattern *p_r)
{
	struct imap_pattern *p = p_r;

	if (pattern.len > IMAP_PATTERN_MAX)
		return false;
	*p = (struct imap_pattern){ .words = pattern.len / 64 + 1, .sep = sep };
	p->step = arena_array(a, 256 * p->words, sizeof(uint64_t));
	p->any = arena_array(a, p->words, sizeof(uint64_t));
	p->level = arena_array(a, p->words, sizeof(uint64_t));
	for (size_t i = 0; i < pattern.len; i++) {
		if (pattern.ptr[i] == '*')
			set_bit(p->any, p->last);
		else if (pattern.ptr[i] == '%')
			set_bit(p->level, p->last);
		else
			add_literal(p, pattern.ptr[i], no_case);
	}
	return true;
}

/* One octet: returns whether any state is left. */
static bool advance(const struct imap_pattern *p, uint64_t *state, char c)
{
	const uint64_t *step = p->step + (unsigned char)c * p->words;
	uint64_t carry = 0, alive = 0;

	for (size_t w = 0; w < p->words; w++) {
		uint64_t old = state[w], stay = p->any[w] | (c == p->sep ? 0 : p->level[w]);

		state[w] = ((old << 1 | carry) & step[w]) | (old & stay);
		carry = old >> 63;
		alive |= state[w];
	}
	return alive != 0;
}

enum imap_match imap_pattern_match(const struct imap_pattern *p, struct span name)
{
	uint64_t state[WORDS_MAX] = { 1 };

	for (size_t i = 0; i < name.len; i++)
		if (!advance(p, state, name.ptr[i]))
			return IMAP_MATCH_NO;
	if ((state[p->last / 64] >> (p->last % 64) & 1) != 0)
		return IMAP_MATCH_YES;
	return advance(p, state, p->sep) ? IMAP_MATCH_PARENT : IMAP_MATCH_NO;
}
