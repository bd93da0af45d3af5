/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtpd/peaks.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/service/service.h"

enum { WHO_BYTES = 128, PATIENCE = 1000 };

struct high {
	_Atomic uint32_t value; /* 0: nothing seen */
	uint32_t unused;
	int64_t when; /* seconds since 1970 */
	char who[WHO_BYTES]; /* "smtp:1.2.3.4" */
};

struct table {
	_Atomic uint32_t busy; /* somebody writes */
	_Atomic uint32_t clients; /* of the unit of time that began at unit_ms */
	_Atomic int64_t unit_ms;
	_Atomic int64_t due_ms; /* the next report */
	struct high peak[PEAKS];
	struct high most_clients;
};

static struct table *table; /* NULL: nothing is reported */
static int table_fd = -1;   /* locked for reading as long as this process lives */

static const struct {
	const char *name;
	bool rate;
} words[PEAKS] = {
	[PEAK_CONNECTION_RATE] = { "connection rate", true }, [PEAK_CONNECTION_COUNT] = { "connection count", false },
	[PEAK_MESSAGE_RATE] = { "message rate", true },	      [PEAK_RECIPIENT_RATE] = { "recipient rate", true },
	[PEAK_TLS_RATE] = { "newtls rate", true },	      [PEAK_AUTH_RATE] = { "auth rate", true },
};

/* The lock belongs to the open file and goes when the process does, however it ends. */
static bool lock_as(short type)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_len = 1 };

	return fcntl(table_fd, F_OFD_SETLK, &fl) == 0;
}

void peaks_open(void)
{
	char path[4096];
	struct stat st;
	void *map = MAP_FAILED;

	snprintf(path, sizeof path, "%s/pid/smtpd.peaks", conf->queue_directory);
	table_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (table_fd >= 0 && fstat(table_fd, &st) == 0 &&
	    (st.st_size == sizeof *table || ftruncate(table_fd, sizeof *table) == 0))
		map = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, table_fd, 0);
	if (map == MAP_FAILED) {
		log_warn("%s: %s: no statistics of clients", path, strerror(errno));
		return;
	}
	table = map;
	if (!lock_as(F_RDLCK))
		log_debug("%s: another process is about to leave", path); /* then it reports, too */
}

/* --- what was seen ------------------------------------------------------------------------------------------------ */

/* For a copy of a few bytes. Whoever holds it for longer than that was killed: it is taken from him. */
static void take_turn(void)
{
	uint32_t none = 0;

	for (int i = 0; i < PATIENCE && !atomic_compare_exchange_strong(&table->busy, &none, 1); i++, none = 0)
		sched_yield();
}

static void end_turn(void)
{
	atomic_store(&table->busy, 0);
}

static void raise_to(struct high *h, uint32_t value, const char *who)
{
	take_turn();
	if (value > atomic_load(&h->value)) {
		snprintf(h->who, sizeof h->who, "%s", who);
		h->when = clock_wall();
		atomic_store(&h->value, value);
	}
	end_turn();
}

/* "1.2.3.4", or "2001:db8::/64" where several addresses are one client. */
static void client_text(const struct netaddr *client, char text_r[NETADDR_TEXT_MAX + 8])
{
	bool v4 = client->family == AF_INET;
	int bits = (int)(v4 ? conf->smtpd_client_ipv4_prefix_length : conf->smtpd_client_ipv6_prefix_length);
	struct netaddr network = *client;
	size_t len;

	netaddr_mask(&network, bits);
	netaddr_text(&network, text_r);
	len = strlen(text_r);
	if (bits < (v4 ? 32 : 128))
		snprintf(text_r + len, NETADDR_TEXT_MAX + 8 - len, "/%d", bits);
}

bool peaks_is_higher(enum peak what, uint32_t value)
{
	return table && value > atomic_load(&table->peak[what].value);
}

void peaks_note(enum peak what, uint32_t value, const struct netaddr *client)
{
	char address[NETADDR_TEXT_MAX + 8], who[WHO_BYTES];

	if (!peaks_is_higher(what, value))
		return;
	client_text(client, address);
	snprintf(who, sizeof who, "%.54s:%s", service_name(), address);
	raise_to(&table->peak[what], value, who);
}

void peaks_note_client(void)
{
	int64_t now = clock_mono_ms(), began;
	uint32_t n;

	if (table == NULL)
		return;
	began = atomic_load(&table->unit_ms);
	if ((now < began || now - began >= conf->anvil_rate_time_unit_ms) &&
	    atomic_compare_exchange_strong(&table->unit_ms, &began, now))
		atomic_store(&table->clients, 0);
	n = atomic_fetch_add(&table->clients, 1) + 1;
	if (n > atomic_load(&table->most_clients.value))
		raise_to(&table->most_clients, n, "");
}

/* --- the report --------------------------------------------------------------------------------------------------- */

static struct high take(struct high *h)
{
	struct high seen = { .when = 0 };

	take_turn();
	memcpy(seen.who, h->who, sizeof seen.who);
	seen.who[sizeof seen.who - 1] = '\0';
	seen.when = h->when;
	atomic_init(&seen.value, atomic_exchange(&h->value, 0));
	end_turn();
	return seen;
}

static void report_one(const char *tag, const char *what, const char *unit, const struct high *h)
{
	time_t when = (time_t)h->when;
	char date[32], whose[WHO_BYTES + 16] = "";
	struct tm tm;

	localtime_r(&when, &tm);
	strftime(date, sizeof date, "%b %e %H:%M:%S", &tm);
	if (h->who[0])
		snprintf(whose, sizeof whose, " for (%s)", h->who);
	log_as(tag, LOG_LV_INFO, "statistics: max %s %u%s%s at %s", what, atomic_load(&h->value), unit, whose, date);
}

static void report(void)
{
	char tag[64], unit[32];
	struct high seen = { .when = 0 };

	snprintf(tag, sizeof tag, "%s/anvil", conf->syslog_name);
	snprintf(unit, sizeof unit, "/%llds", (long long)conf->anvil_rate_time_unit_ms / 1000);
	for (int i = 0; i < PEAKS; i++) {
		seen = take(&table->peak[i]);
		if (atomic_load(&seen.value))
			report_one(tag, words[i].name, words[i].rate ? unit : "", &seen);
	}
	seen = take(&table->most_clients);
	if (atomic_load(&seen.value))
		report_one(tag, "cache size", "", &seen);
}

int64_t peaks_tick(void)
{
	int64_t now = clock_mono_ms(), due, next = now + conf->anvil_status_update_time_ms;
	bool late;

	if (table == NULL)
		return CLOCK_NEVER;
	due = atomic_load(&table->due_ms);
	late = due != 0 && due <= now;
	/* The clock begins anew with the machine; then what is there is from before, and waits its turn. */
	if ((late || due == 0 || due > next) && atomic_compare_exchange_strong(&table->due_ms, &due, next) && late)
		report();
	return atomic_load(&table->due_ms);
}

/* Two that leave at once both fail to have it for themselves at first, but not the second time. */
void peaks_leave(void)
{
	if (table == NULL)
		return;
	if (lock_as(F_WRLCK) || (lock_as(F_UNLCK) && lock_as(F_WRLCK)))
		report();
}
