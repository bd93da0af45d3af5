/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hash table from a byte string to a pointer. Keyed with a random secret of the process, so that nobody outside can
 * choose colliding keys. Keys are copied; values are the caller's. Not safe for two threads at once.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/span.h"

struct htab_entry;

struct htab {
	struct htab_entry **slots;
	size_t nslots, count;
};

#define HTAB_INIT ((struct htab){ NULL, 0, 0 })

void *htab_get(const struct htab *t, struct span key);                /* NULL when absent */
void *htab_put(struct htab *t, struct span key, void *value);         /* the old value, or NULL; value not NULL */
void *htab_del(struct htab *t, struct span key);                      /* the removed value, or NULL */
/* Call each(key, value, arg) for every entry; each may delete the entry it is called for. */
void htab_each(struct htab *t, void (*each)(struct span key, void *value, void *arg), void *arg);
/*
 * The same in pieces of n slots, about as many entries: *at is 0 at first; false: that was the last piece. Between two calls
 * entries may come and go; what is there all the time is visited, twice perhaps when the table grows.
 */
bool htab_walk(struct htab *t, size_t *at, size_t n, void (*each)(struct span key, void *value, void *arg), void *arg);
void htab_free(struct htab *t); /* the table and its keys; not the values */

uint64_t hash_bytes(struct span s); /* SipHash-1-3 under the process's secret */
