/* SPDX-License-Identifier: BSD-2-Clause */
/* The trace field that smtpd puts in front of a message (RFC 5321 4.4), in Postfix's shape. */
#include "lib/base/clock.h"
#include "lib/conf/conf.h"
#include "lib/proto/addr.h"
#include "lib/proto/date.h"
#include "smtpd/session.h"
#include "smtpd/starttls.h"

enum { RECEIVED_MAX = 8192 };

static void put_client(struct buf *b, const struct smtpd_session *s)
{
	const char *v6 = s->peer.family == AF_INET6 ? "IPv6:" : "";

	buf_addf(b, "Received: from " SPAN_FMT " (" SPAN_FMT " [%s%s])", SPAN_ARG(s->helo), SPAN_ARG(s->client_name),
		 v6, s->peer_text);
	starttls_received(b, s);
	if (s->sasl_user.len && conf->smtpd_sasl_authenticated_header)
		buf_addf(b, "\n\t(Authenticated sender: " SPAN_FMT ")", SPAN_ARG(s->sasl_user));
	buf_addf(b, "\n\tby %s (%s) with %s%s%s id %s", conf->myhostname, conf->mail_name, smtpd_protocol(s),
		 s->esmtp && s->tls ? "S" : "", s->esmtp && s->sasl_user.len ? "A" : "", s->txn.env.id);
}

struct span received_header(struct smtpd_session *s)
{
	const struct transaction *t = &s->txn;
	char date[DATE_TEXT_MAX];
	struct span text;
	struct buf b;

	buf_init(&b, RECEIVED_MAX);
	if (s->is_sendmail)
		buf_addf(&b, "Received: by %s (%s, from userid %u)\n\tid %s", conf->myhostname, conf->mail_name,
			 (unsigned)s->unix_uid, t->env.id);
	else
		put_client(&b, s);
	if (t->accepted == 1) {
		const struct queue_rcpt *r = &t->env.rcpts[0];
		struct span to = addr_quote(&s->cmd, r->original.len ? r->original : r->address);

		buf_addf(&b, "\n\tfor <" SPAN_FMT ">", SPAN_ARG(to));
	}
	buf_addf(&b, "; %s\n", date_rfc5322(clock_wall(), date));
	text = arena_span(&s->txn.arena, buf_span(&b));
	buf_free(&b);
	return text;
}
