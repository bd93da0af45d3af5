/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certificates between the one who may read their files (master, as root) and those who serve them (smtpd, login, in their jails).
 *
 * The files that main.cf names for one kind of server are a set. Master checks that keys fit their certificates and writes the set
 * as one bundle, tls/ID.pem, where only that kind of server can read it; it does so again whenever a file changes, and lets the
 * bundle stay as it is while the files do not fit. ID comes from the names of the files, so a worker finds its bundle by the
 * configuration that it runs with.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/conf/conf.h"

enum tls_kind { TLS_SMTPD, TLS_LOGIN };

struct tls_part {
	const char *name; /* of the server that the client asked for; "" for whoever asks for none */
	const char *const *files;
	size_t nfiles;
};

struct tls_set {
	char id[33];
	struct tls_part *parts; /* the nameless ones first */
	size_t nparts;
	const char **watched; /* all files, those that list names included */
	size_t nwatched;
};

/* Everything in a. False: no certificate is configured. names: also read the tables of tls_server_sni_maps; problems with them go
 * to messages. */
bool tls_set_of(const struct conf *c, enum tls_kind kind, bool names, struct arena *a, struct tls_set *set_r, struct buf *messages);
/* The same without reading anything: is one configured? */
bool tls_configured(const struct conf *c, enum tls_kind kind);
/* All of the set as one bundle. False: why_r. */
bool tls_set_bundle(const struct tls_set *set, struct buf *bundle, char why_r[256]);

/* Below queue_directory: "tls", "login/tls". Seen from the worker both are "tls". */
const char *tls_kind_dir(enum tls_kind kind);
