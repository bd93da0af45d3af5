/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules about the certificate that a client showed. */
#include "lib/conf/conf.h"
#include "smtpd/restrict.h"

/* By the fingerprint of its certificate, or of the key in it, which outlives a renewal. */
enum decision permit_tls_clientcerts(struct check *c, const struct use *u)
{
	const struct tls_info *tls = c->s->tls;
	struct map_list *known = map_list_open(conf->relay_clientcerts);
	const char *keys[] = { tls ? tls->peer_fingerprint : "", tls ? tls->peer_key_fingerprint : "" };

	(void)u;
	for (size_t i = 0; i < 2; i++) {
		struct span value;

		if (keys[i][0] == '\0')
			continue;
		switch (map_list_get(known, &c->s->cmd, span_cstr(keys[i]), &value)) {
		case MAP_OK:
			return PERMIT;
		case MAP_TEMP:
			return refuse_lookup(c, c->name);
		case MAP_NOTFOUND:
			break;
		}
	}
	return NEXT;
}

/* Any certificate of those who are trusted to sign them. */
enum decision permit_tls_all_clientcerts(struct check *c, const struct use *u)
{
	(void)u;
	return c->s->tls && c->s->tls->peer_cert && c->s->tls->peer_trusted ? PERMIT : NEXT;
}
