/* SPDX-License-Identifier: BSD-2-Clause */
/* posthouse check: certificates. */
#include <string.h>

#include "lib/io/tls.h"
#include "lib/service/tlsset.h"
#include "tools/posthouse/posthouse.h"

static void check_set(const struct conf *c, enum tls_kind kind, const char *label, struct buf *messages)
{
	struct arena a = ARENA_INIT;
	char why[TLS_WHY_MAX];
	struct tls_set set;
	struct buf bundle;

	if (tls_set_of(c, kind, true, &a, &set, messages)) {
		buf_init(&bundle, TLS_BUNDLE_MAX);
		if (tls_set_bundle(&set, &bundle, why))
			tls_bundle_check(buf_span(&bundle), label, messages);
		else
			buf_addf(messages, "error: %s: %s\n", label, why);
		buf_wipe(&bundle);
	}
	arena_free(&a);
}

static void check_service(const struct mastercf_service *s, struct buf *messages)
{
	struct buf dropped;
	struct conf *c;

	if (s->noverrides == 0 || strcmp(s->program, "smtpd") != 0)
		return;
	buf_init(&dropped, 65536);
	if (conf_load(config_dir, s->overrides, s->noverrides, &c, &dropped) != CONF_ERROR) {
		if (strcmp(c->smtpd_tls_cert_file, conf->smtpd_tls_cert_file) != 0 ||
		    strcmp(c->smtpd_tls_chain_files, conf->smtpd_tls_chain_files) != 0)
			check_set(c, TLS_SMTPD, s->name, messages);
		conf_free(c);
	}
	buf_free(&dropped);
}

void check_tls(const struct conf *c, const struct mastercf *services, struct buf *messages)
{
	check_set(c, TLS_SMTPD, *c->smtpd_tls_chain_files ? "smtpd_tls_chain_files" : "smtpd_tls_cert_file", messages);
	if (*c->ssl_cert)
		check_set(c, TLS_LOGIN, "ssl_cert", messages);
	for (size_t i = 0; i < services->count; i++)
		check_service(&services->services[i], messages);
}
