/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/base/htab.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/mem.h"
#include "lib/base/must.h"

struct htab_entry {
	struct htab_entry *next;
	uint64_t hash;
	void *value;
	size_t len;
	char key[];
};

enum { AHEAD = 16 };

static uint64_t secret[2];

__attribute__((constructor)) static void choose_secret(void)
{
	if (getrandom(secret, sizeof secret, GRND_NONBLOCK) != sizeof secret)
		secret[0] = (uint64_t)(uintptr_t)&secret; /* early boot: address randomisation must do */
}

static uint64_t rotl(uint64_t x, int b)
{
	return (x << b) | (x >> (64 - b));
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

/* SipHash with one compression and three finalisation rounds (Aumasson, Bernstein 2012). */
uint64_t hash_bytes(struct span s)
{
	uint64_t v[4] = { secret[0] ^ 0x736f6d6570736575u, secret[1] ^ 0x646f72616e646f6du,
			  secret[0] ^ 0x6c7967656e657261u, secret[1] ^ 0x7465646279746573u };
	uint64_t word;
	size_t i;

	for (i = 0; i + 8 <= s.len; i += 8) {
		memcpy(&word, s.ptr + i, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	word = (uint64_t)s.len << 56;
	for (size_t j = i; j < s.len; j++)
		word |= (uint64_t)(unsigned char)s.ptr[j] << (8 * (j - i));
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	for (int round = 0; round < 3; round++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct htab_entry **find(const struct htab *t, struct span key, uint64_t hash)
{
	struct htab_entry **at = &t->slots[hash & (t->nslots - 1)];

	while (*at && ((*at)->hash != hash || !span_eq(span_of((*at)->key, (*at)->len), key)))
		at = &(*at)->next;
	return at;
}

void *htab_get(const struct htab *t, struct span key)
{
	struct htab_entry *e;

	if (t->nslots == 0)
		return NULL;
	e = *find(t, key, hash_bytes(key));
	return e ? e->value : NULL;
}

static void grow(struct htab *t)
{
	size_t nslots = t->nslots ? t->nslots * 2 : 16;
	struct htab_entry **slots = mem_zalloc(nslots * sizeof *slots);

	for (size_t i = 0; i < t->nslots; i++) {
		struct htab_entry *e = t->slots[i];

		while (e) {
			struct htab_entry *next = e->next;
			struct htab_entry **to = &slots[e->hash & (nslots - 1)];

			e->next = *to;
			*to = e;
			e = next;
		}
	}
	free(t->slots);
	t->slots = slots;
	t->nslots = nslots;
}

void *htab_put(struct htab *t, struct span key, void *value)
{
	uint64_t hash = hash_bytes(key);
	struct htab_entry **at, *e;

	must(value != NULL);
	if (t->count >= t->nslots)
		grow(t);
	at = find(t, key, hash);
	if (*at) {
		void *old = (*at)->value;

		(*at)->value = value;
		return old;
	}
	e = mem_alloc(sizeof *e + key.len);
	*e = (struct htab_entry){ .hash = hash, .value = value, .len = key.len };
	if (key.len)
		memcpy(e->key, key.ptr, key.len);
	*at = e;
	t->count++;
	return NULL;
}

void *htab_del(struct htab *t, struct span key)
{
	struct htab_entry **at, *e;
	void *value;

	if (t->nslots == 0)
		return NULL;
	at = find(t, key, hash_bytes(key));
	e = *at;
	if (e == NULL)
		return NULL;
	value = e->value;
	*at = e->next;
	free(e);
	t->count--;
	return value;
}

bool htab_walk(struct htab *t, size_t *at, size_t n, void (*each)(struct span key, void *value, void *arg), void *arg)
{
	size_t end = t->nslots - *at > n ? *at + n : t->nslots;

	for (size_t i = *at; i < end; i++) {
		/* Entries lie anywhere in memory: fetch some ahead. */
		if (i + AHEAD < t->nslots)
			__builtin_prefetch(t->slots[i + AHEAD]);
		for (struct htab_entry *e = t->slots[i], *next; e; e = next) {
			next = e->next;
			each(span_of(e->key, e->len), e->value, arg);
		}
	}
	*at = end;
	return end < t->nslots;
}

void htab_each(struct htab *t, void (*each)(struct span key, void *value, void *arg), void *arg)
{
	size_t at = 0;

	(void)htab_walk(t, &at, t->nslots, each, arg);
}

void htab_free(struct htab *t)
{
	for (size_t i = 0; i < t->nslots; i++)
		for (struct htab_entry *e = t->slots[i], *next; e; e = next) {
			next = e->next;
			free(e);
		}
	free(t->slots);
	*t = HTAB_INIT;
}
