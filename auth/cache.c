/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Passwords that were right a moment ago. An entry is a keyed digest of everything that decided: user, password,
 * service, mechanism, and the state of the files that were asked; when one of them changes, no old entry fits any more.
 * Refusals are not kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "auth/auth.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/base/pack.h"
#include "lib/conf/conf.h"
#include "lib/io/frame.h"
#include "lib/map/fresh.h"

struct entry {
	unsigned char digest[SECRET_DIGEST_BYTES];
	int64_t until_ms;
};

enum { DAY_S = 86400, WAYS = 4 };

static struct entry *entries;
static size_t nentries;

void cache_setup(void)
{
	nentries = (size_t)conf->auth_cache_size / sizeof *entries / WAYS * WAYS;
	if (nentries)
		entries = mem_zalloc(nentries * sizeof *entries);
}

static void put_file(struct buf *b, const char *path)
{
	struct file_id id;

	memset(&id, 0, sizeof id);
	(void)file_id_get(path, &id);
	pack_u64(b, (uint64_t)id.dev);
	pack_u64(b, (uint64_t)id.ino);
	pack_u64(b, (uint64_t)id.size);
	pack_u64(b, (uint64_t)id.mtime.tv_sec << 20 ^ (uint64_t)id.mtime.tv_nsec);
	pack_u64(b, (uint64_t)id.ctime.tv_sec << 20 ^ (uint64_t)id.ctime.tv_nsec);
}

static void make_key(const struct attempt *at, const char *file, struct cache_key *key_r)
{
	struct buf b;

	buf_init(&b, FRAME_MAX);
	pack_span(&b, span_cstr(at->name));
	pack_span(&b, span_cstr(at->password));
	pack_span(&b, at->login.service);
	pack_u8(&b, (uint8_t)at->mech);
	pack_span(&b, span_cstr(file));
	put_file(&b, file);
	pack_u64(&b, (uint64_t)(clock_wall() / DAY_S)); /* accounts expire by the day */
	must(!b.overflow);
	secret_digest(buf_span(&b), key_r->digest);
	buf_wipe(&b);
}

static struct entry *place(const struct cache_key *key)
{
	uint64_t home;

	memcpy(&home, key->digest, sizeof home);
	return entries + home % (nentries / WAYS) * WAYS;
}

bool cache_knows(const struct attempt *at, const char *file, struct cache_key *key_r)
{
	const struct entry *e;
	bool known = false;

	key_r->usable = nentries > 0 && attempt_by_password(at);
	if (!key_r->usable)
		return false;
	make_key(at, file, key_r);
	e = place(key_r);
	for (int i = 0; i < WAYS; i++)
		known |= memcmp(e[i].digest, key_r->digest, sizeof e[i].digest) == 0 && e[i].until_ms > clock_mono_ms();
	return known;
}

void cache_keep(const struct cache_key *key)
{
	struct entry *e, *oldest;

	if (!key->usable)
		return;
	oldest = e = place(key);
	for (int i = 0; i < WAYS; i++)
		if (e[i].until_ms < oldest->until_ms)
			oldest = &e[i];
	memcpy(oldest->digest, key->digest, sizeof oldest->digest);
	oldest->until_ms = clock_mono_ms() + conf->auth_cache_ttl_ms;
}
