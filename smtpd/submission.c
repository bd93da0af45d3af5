/* SPDX-License-Identifier: BSD-2-Clause */
#include "smtpd/submission.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/proto/date.h"
#include "lib/proto/header.h"
#include "lib/service/accounts.h"

enum { FIELDS_MAX = 8192 };

static struct accounts *accounts;

void submission_open(void)
{
	if (conf->smtpd_sasl_auth_enable &&
	    (conf->submission_account_message_limit > 0 || conf->submission_account_recipient_limit > 0))
		accounts = accounts_open("pid/submission.accounts");
}

bool submission_completes(const struct smtpd_session *s)
{
	return s->sasl_user.len > 0 || conf->always_add_missing_headers;
}

static bool has(struct span header, const char *name)
{
	struct header_field f;

	return header_find(header, name, &f);
}

/* What comes again with Resent-From: has its own fields from whoever wrote it; they are not ours to complete. */
struct span submission_fields(struct smtpd_session *s, struct span header)
{
	const struct queue_envelope *env = &s->txn.env;
	char date[DATE_TEXT_MAX];
	struct span fields;
	struct buf b;

	buf_init(&b, FIELDS_MAX);
	if (!has(header, "Date"))
		buf_addf(&b, "Date: %s\n", date_rfc5322(clock_wall(), date));
	if (!has(header, "From")) {
		buf_adds(&b, "From: <");
		if (env->sender.len)
			buf_add_span(&b, addr_quote(&s->cmd, env->sender));
		else
			buf_addf(&b, "MAILER-DAEMON@%s", conf->myhostname);
		buf_adds(&b, ">\n");
	}
	if (!has(header, "Message-ID"))
		buf_addf(&b, "Message-ID: <%lld.%s@%s>\n", (long long)clock_wall(), env->id, conf->myhostname);
	fields = arena_span(&s->txn.arena, buf_span(&b));
	buf_free(&b);
	return fields;
}

static void hold(struct smtpd_session *s, const char *what, uint32_t sent, int64_t limit)
{
	s->txn.actions.hold = true;
	log_warn("%s: hold: account " SPAN_FMT " is past its daily limit, %u %s of %lld: `postsuper -H %s' lets it go, "
		 "`postsuper -a " SPAN_FMT " -H ALL' all of the account",
		 s->txn.env.id, SPAN_ARG(s->sasl_user), sent, what, (long long)limit, s->txn.env.id, SPAN_ARG(s->sasl_user));
}

void submission_count(struct smtpd_session *s)
{
	const struct queue_envelope *env = &s->txn.env;
	struct account_use use;
	struct span *to;

	if (accounts == NULL || s->sasl_user.len == 0)
		return;
	to = arena_array(&s->cmd, env->nrcpts + 1, sizeof *to);
	for (size_t i = 0; i < env->nrcpts; i++)
		to[i] = env->rcpts[i].address;
	use = accounts_count(accounts, s->sasl_user, to, env->nrcpts, (int64_t)clock_wall());
	if (conf->submission_account_message_limit > 0 && use.messages > conf->submission_account_message_limit)
		hold(s, "messages", use.messages, conf->submission_account_message_limit);
	else if (conf->submission_account_recipient_limit > 0 && use.recipients > conf->submission_account_recipient_limit)
		hold(s, "new recipients", use.recipients, conf->submission_account_recipient_limit);
}
