/* SPDX-License-Identifier: BSD-2-Clause */
/* A client's name costs two questions to the resolver; clients come back, so answers are kept for a while. */
#include <pthread.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/htab.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/io/dns.h"
#include "smtpd/session.h"

enum { CACHE_MAX = 4096, KEEP_MS = 300 * 1000, KEEP_UNSURE_MS = 20 * 1000 };

struct cached {
	int64_t until_ms;
	char *name, *reverse;
	enum dns_status name_status, reverse_status;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct htab cache;

static void drop(struct span key, void *value, void *arg)
{
	struct cached *c = value;

	(void)key;
	(void)arg;
	free(c->name);
	free(c->reverse);
	free(c);
}

static bool look_in_cache(struct span key, struct arena *a, struct dns_client *client_r)
{
	struct cached *c;
	bool fresh;

	pthread_mutex_lock(&lock);
	c = htab_get(&cache, key);
	fresh = c && c->until_ms > clock_mono_ms();
	if (fresh)
		*client_r = (struct dns_client){ arena_span(a, span_cstr(c->name)), arena_span(a, span_cstr(c->reverse)),
						 c->name_status, c->reverse_status };
	pthread_mutex_unlock(&lock);
	return fresh;
}

static void keep(struct span key, const struct dns_client *client, int64_t for_ms)
{
	struct cached *c = mem_alloc(sizeof *c);
	struct cached *old;

	c->until_ms = clock_deadline(for_ms);
	c->name = mem_strndup(client->name.ptr, client->name.len);
	c->reverse = mem_strndup(client->reverse.ptr, client->reverse.len);
	c->name_status = client->name_status;
	c->reverse_status = client->reverse_status;
	pthread_mutex_lock(&lock);
	if (cache.count >= CACHE_MAX) { /* rare, and cheaper than keeping an order of age */
		htab_each(&cache, drop, NULL);
		htab_free(&cache);
	}
	old = htab_put(&cache, key, c);
	if (old)
		drop(key, old, NULL);
	pthread_mutex_unlock(&lock);
}

void client_names(struct smtpd_session *s)
{
	struct span key = span_cstr(s->peer_text);
	struct dns_client client = { SPAN("unknown"), SPAN("unknown"), DNS_NXDOMAIN, DNS_NXDOMAIN };

	if (conf->smtpd_peername_lookup && !look_in_cache(key, &s->arena, &client)) {
		dns_client_look(&s->arena, &s->peer, &client);
		keep(key, &client, client.name_status == DNS_TEMP ? KEEP_UNSURE_MS : KEEP_MS);
	}
	s->client_name = client.name;
	s->reverse_name = client.reverse;
	s->name_status = client.name_status;
	s->reverse_status = client.reverse_status;
}
