/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What was worked out about messages: per message one entry with named items (an envelope as IMAP has it, the fields a client asks
 * for). posthouse-cache is a header and entries, each with its checksum; records say where an entry is. Entries are added at the
 * end, and the file is written anew when more than half of it is of no use any more. An entry that is not what it should be does
 * not exist.
 *
 * All under the folder's mutex.
 */
#pragma once
#include "lib/store/store-int.h"

/* The items of r's entry, packed. Points into a buffer that is good until the next call. */
bool cache_get(struct folder *f, const struct rec *r, struct span *entry_r);
/* Give r another entry. */
void cache_put(struct folder *f, struct rec *r, struct span entry);
/* After the index was loaded: what it says about the file counts only when it is that file. */
void cache_open(struct folder *f);
/* Write what is waiting; before the index. */
void cache_save(struct folder *f);
void cache_free(struct folder *f);

/* Items in an entry, pure: name and value, each with its length. */
bool cache_find(struct span entry, struct span name, struct span *value_r);
