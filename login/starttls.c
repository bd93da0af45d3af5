/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS before login: STARTTLS of IMAP and STLS of POP3 (RFC 2595), implicit TLS (RFC 8314). */
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/io/tls.h"
#include "lib/service/tlsdoor.h"
#include "login/login.h"

enum { FAREWELL_GRACE_MS = 5000 };

static bool on, required;

static const char *protocols(void)
{
	static struct arena a; /* for the life of the process */

	return arena_printf(&a, ">=%s", conf->ssl_min_protocol);
}

void starttls_open(void)
{
	struct tls_settings set = {
		.session_context = service_name(),
		.protocols = protocols(),
		.ciphers = conf->ssl_cipher_list,
		.groups = conf->tls_eecdh_auto_curves,
		.server_order = conf->ssl_prefer_server_ciphers,
	};

	on = strcmp(conf->ssl, "no") != 0;
	required = strcmp(conf->ssl, "required") == 0;
	if (on && !required && strcmp(conf->ssl, "yes") != 0)
		log_warn("ssl: %s: yes, no or required is expected; taken for yes", conf->ssl);
	if (on)
		tlsdoor_open(TLS_LOGIN, &set);
}

void starttls_first_look(void)
{
	if (on && tls_configured(conf, TLS_LOGIN))
		(void)tlsdoor_ready();
}

bool starttls_offered(const struct login *l)
{
	return on && l->tls == NULL && tlsdoor_ready();
}

bool starttls_missing(const struct login *l)
{
	return required && !l->secured;
}

enum starttls_outcome starttls_begin(struct login *l)
{
	struct tls_info *info = mem_zalloc(sizeof *info);
	struct tls_context *c = tlsdoor_use();
	enum io_status st = c ? tls_accept(l->io, c, CLOCK_NEVER, info, l->tls_why) : IO_ERROR;

	if (c == NULL)
		snprintf(l->tls_why, sizeof l->tls_why, "no certificate");
	tls_context_free(c);
	if (st != IO_OK) {
		mem_auto_free(&info);
		return st == IO_TOO_LONG ? STARTTLS_INJECTED : STARTTLS_FAILED;
	}
	l->tls = info;
	l->secured = true;
	l->tried_in_clear = false;
	return STARTTLS_DONE;
}

void starttls_relay(struct login *l)
{
	stream_shrink(l->io);
	tls_relay(l->io, l->relay_fd, FAREWELL_GRACE_MS);
}
