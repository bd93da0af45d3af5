/* SPDX-License-Identifier: BSD-2-Clause */
/* SORT and THREAD: what is read of each message (sort-load.c) before they are compared. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "imapd/search.h"

enum sort_key {
	SORT_ARRIVAL,
	SORT_CC,
	SORT_DATE,
	SORT_DISPLAYFROM, /* RFC 5957 */
	SORT_DISPLAYTO,
	SORT_FROM,
	SORT_SIZE,
	SORT_SUBJECT,
	SORT_TO,
	SORT_KEYS,
	SORT_IDS = SORT_KEYS, /* no key of SORT: what THREAD wants */
};

struct sort_msg {
	uint32_t at; /* position in the view */
	bool reply;
	int64_t arrival, date;
	uint64_t size;
	struct span text[SORT_KEYS]; /* folded, for keys that are text */
	struct span id, *refs;
	size_t nrefs;
};

/* Read messages; needs: bits 1 << sort_key. In s->arena. Those that are gone are left out. */
struct sort_msg *sort_load(struct session *s, const uint32_t *at, uint32_t n, unsigned needs, uint32_t *n_r);
