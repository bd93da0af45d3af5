/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtpd/rates.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/map/match.h"
#include "lib/service/service.h"
#include "smtpd/peaks.h"

/* A client lives in one of the WAYS slots of its set; when they are taken, the one that began first gives way. */
enum { SETS = 8192, WAYS = 4 };

struct slot {
	_Atomic uint64_t client; /* 0: free */
	_Atomic int64_t began_ms;
	_Atomic uint32_t count[RATES];
	uint32_t unused;
};

struct table {
	_Atomic uint64_t seed; /* so that nobody outside can choose clients that share a set */
	uint64_t unused[7];
	struct slot slot[SETS * WAYS];
};

static struct table *table; /* NULL: nothing is counted */

static const struct {
	const char *what;
	const char *code, *error; /* "421 4.7.0", "too many connections" */
	bool goodbye;             /* the reply begins with our name */
	enum peak peak;
	bool named;               /* and ends with name and address of the client, else with its address */
} words[RATES] = {
	[RATE_CONNECTION] = { "Connection rate", "421 4.7.0", "too many connections", true, PEAK_CONNECTION_RATE, false },
	[RATE_MESSAGE] = { "Message delivery request rate", "450 4.7.1", "too much mail", false, PEAK_MESSAGE_RATE, false },
	[RATE_RECIPIENT] = { "Recipient address rate", "450 4.7.1", "too many recipients", false, PEAK_RECIPIENT_RATE, false },
	[RATE_AUTH] = { "AUTH command rate", "450 4.7.1", "too many AUTH commands", false, PEAK_AUTH_RATE, false },
	[RATE_TLS] = { "New TLS session rate", "421 4.7.0", "too many new TLS sessions", true, PEAK_TLS_RATE, true },
};

static int64_t limit_of(enum rate what)
{
	switch (what) {
	case RATE_CONNECTION:
		return conf->smtpd_client_connection_rate_limit;
	case RATE_MESSAGE:
		return conf->smtpd_client_message_rate_limit;
	case RATE_RECIPIENT:
		return conf->smtpd_client_recipient_rate_limit;
	case RATE_AUTH:
		return conf->smtpd_client_auth_rate_limit;
	default:
		return conf->smtpd_client_new_tls_session_rate_limit;
	}
}

/* Connections are then counted in any case, for the statistics. */
static bool anything_limited(void)
{
	if (conf->smtpd_client_connection_count_limit > 0)
		return true;
	for (int i = 0; i < RATES; i++)
		if (limit_of((enum rate)i) > 0)
			return true;
	return false;
}

void rates_open(void)
{
	char path[4096];
	struct stat st;
	uint64_t seed = 1, none = 0;
	void *map = MAP_FAILED;
	int fd;

	if (!anything_limited())
		return;
	peaks_open();
	snprintf(path, sizeof path, "%s/pid/smtpd.rates", conf->queue_directory);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_size == sizeof *table || ftruncate(fd, sizeof *table) == 0))
		map = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		log_warn("%s: %s: the rates of clients are not limited", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (map == MAP_FAILED)
		return;
	table = map;
	(void)!getrandom(&seed, sizeof seed, 0);
	atomic_compare_exchange_strong(&table->seed, &none, seed | 1);
}

/* --- who a client is ---------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++) {
		h = (h ^ p[i]) * 0x100000001b3u;
		h ^= h >> 29;
	}
	return h;
}

static uint64_t identity(const struct smtpd_session *s)
{
	bool v4 = s->peer.family == AF_INET;
	int64_t bits = v4 ? conf->smtpd_client_ipv4_prefix_length : conf->smtpd_client_ipv6_prefix_length;
	struct netaddr network = s->peer;
	uint64_t h = atomic_load(&table->seed);

	netaddr_mask(&network, (int)bits);
	h = mix(h, network.bytes, sizeof network.bytes);
	h = mix(h, &v4, sizeof v4);
	h = mix(h, service_name(), strlen(service_name()));
	return h ? h : 1;
}

/* --- counting ----------------------------------------------------------------------------------------------------- */

static void begin_period(struct slot *slot, int64_t now)
{
	for (int i = 0; i < RATES; i++)
		atomic_store(&slot->count[i], 0);
	atomic_store(&slot->began_ms, now);
}

/* The slot of a client, or NULL; *oldest_r: the one that gives way to a new client. */
static struct slot *look(uint64_t client, struct slot **oldest_r)
{
	struct slot *set = &table->slot[client % SETS * WAYS], *oldest = set;

	for (int i = 0; i < WAYS; i++) {
		if (atomic_load(&set[i].client) == client)
			return &set[i];
		if (atomic_load(&set[i].began_ms) < atomic_load(&oldest->began_ms))
			oldest = &set[i];
	}
	*oldest_r = oldest;
	return NULL;
}

/* The monotonic clock is the same for all processes of a machine; after a restart of it a period may lie in the future. */
static bool period_over(const struct slot *slot, int64_t now)
{
	int64_t age = now - atomic_load(&slot->began_ms);

	return age < 0 || age >= conf->anvil_rate_time_unit_ms;
}

static uint32_t count(const struct smtpd_session *s, enum rate what)
{
	uint64_t client = identity(s);
	int64_t now = clock_mono_ms();
	struct slot *oldest, *slot = look(client, &oldest);

	if (slot == NULL || period_over(slot, now)) {
		slot = slot ? slot : oldest;
		atomic_store(&slot->client, client);
		begin_period(slot, now);
		if (!rates_exempt(s))
			peaks_note_client();
	}
	return atomic_fetch_add(&slot->count[what], 1) + 1;
}

static bool counted(const struct smtpd_session *s, enum rate what)
{
	return table && (limit_of(what) > 0 || what == RATE_CONNECTION) && !s->is_unix;
}

bool rates_exempt(const struct smtpd_session *s)
{
	if (s->is_unix)
		return true;
	return match_netaddr(match_open(conf->smtpd_client_event_limit_exceptions, MATCH_NETWORK), &s->peer,
			     s->client_name) == MAP_OK;
}

static bool over(enum rate what, uint32_t n)
{
	return limit_of(what) > 0 && n > limit_of(what);
}

bool rates_count(const struct smtpd_session *s, enum rate what)
{
	uint32_t n = counted(s, what) ? count(s, what) : 0;

	if (n == 0 || (!over(what, n) && !peaks_is_higher(words[what].peak, n)) || rates_exempt(s))
		return true;
	peaks_note(words[what].peak, n, &s->peer);
	if (!over(what, n))
		return true;
	log_warn("%s limit exceeded: %u from %s for service %s", words[what].what, n, s->client, service_name());
	return false;
}

bool rates_allow(struct smtpd_session *s, enum rate what)
{
	if (rates_count(s, what))
		return true;
	reply(s, "%s %s%sError: %s from %s", words[what].code, words[what].goodbye ? conf->myhostname : "",
	      words[what].goodbye ? " " : "", words[what].error, words[what].named ? s->client : s->peer_text);
	return false;
}

bool rates_exceeded(const struct smtpd_session *s, enum rate what)
{
	struct slot *slot, *oldest;

	if (!counted(s, what) || limit_of(what) == 0)
		return false;
	slot = look(identity(s), &oldest);
	return slot && !period_over(slot, clock_mono_ms()) && atomic_load(&slot->count[what]) > limit_of(what) &&
	       !rates_exempt(s);
}
