/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/tlsdoor.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/log.h"
#include "lib/conf/lines.h"

enum { PATH_BYTES = 64 };

static struct {
	pthread_mutex_t lock;
	bool open, complained;
	char path[PATH_BYTES];
	struct tls_settings set;
	struct tls_context *context;
	struct stat seen;
} door = { .lock = PTHREAD_MUTEX_INITIALIZER };

void tlsdoor_open(enum tls_kind kind, const struct tls_settings *set)
{
	struct arena a = ARENA_INIT;
	struct tls_set files;

	if (tls_set_of(conf, kind, false, &a, &files, NULL)) {
		tls_init();
		snprintf(door.path, sizeof door.path, "tls/%s.pem", files.id);
		door.set = *set;
		door.set.tickets = tls_tickets_open("tls/tickets", conf->smtpd_tls_session_cache_timeout_ms / 1000);
		door.open = true;
	}
	arena_free(&a);
}

static bool changed(const struct stat *now)
{
	return now->st_ino != door.seen.st_ino || now->st_mtim.tv_sec != door.seen.st_mtim.tv_sec ||
	       now->st_mtim.tv_nsec != door.seen.st_mtim.tv_nsec || now->st_size != door.seen.st_size;
}

/* With the lock held. What cannot be used is not tried again before it changes. */
static void load(const struct stat *now)
{
	struct tls_context *fresh = NULL;
	char why[TLS_WHY_MAX] = "";
	struct buf text;

	buf_init(&text, TLS_BUNDLE_MAX);
	if (lines_read_file(door.path, &text) < 0)
		snprintf(why, sizeof why, "%s: %s", door.path, strerror(errno));
	else
		fresh = tls_server(buf_span(&text), &door.set, why);
	buf_wipe(&text);
	if (fresh) {
		if (door.context)
			log_info("TLS certificate changed: new connections get the new one");
		tls_context_free(door.context);
		door.context = fresh;
	} else {
		log_warn("TLS certificate cannot be used: %s%s", why, door.context ? "; the one before stays in use" : "");
	}
	door.seen = *now;
}

static void look(void)
{
	struct stat now;

	if (stat(door.path, &now) == 0) {
		if (changed(&now))
			load(&now);
		door.complained = false;
	} else if (door.context == NULL && !door.complained) {
		log_warn("TLS is not available: %s: %m", door.path);
		door.complained = true;
	}
}

bool tlsdoor_ready(void)
{
	struct tls_context *c = tlsdoor_use();

	tls_context_free(c);
	return c != NULL;
}

struct tls_context *tlsdoor_use(void)
{
	struct tls_context *c = NULL;

	if (!door.open)
		return NULL;
	pthread_mutex_lock(&door.lock);
	look();
	if (door.context)
		c = tls_context_use(door.context);
	pthread_mutex_unlock(&door.lock);
	return c;
}
