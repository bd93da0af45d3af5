/* SPDX-License-Identifier: BSD-2-Clause */
/* RCPT TO, RFC 5321 4.1.1.3: is the recipient accepted, and which recipients does it stand for (virtual aliases). */
#include <string.h>

#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/proto/idna.h"
#include "lib/proto/mailhost.h"
#include "lib/route/route.h"
#include "smtpd/access.h"
#include "smtpd/auth.h"
#include "smtpd/discard.h"
#include "smtpd/rates.h"
#include "smtpd/session.h"

enum { LOCAL_RECIPIENT_LIMIT = 50000, ALIAS_RESULTS_MAX = 1000 };

/* The id is made with the first recipient, as is the line that ties it to the client. */
static void begin_message(struct smtpd_session *s)
{
	struct transaction *t = &s->txn;

	if (t->env.id[0])
		return;
	queue_new_id(t->env.id);
	if (s->is_sendmail) {
		log_info("%s: uid=%u from=<" SPAN_FMT ">", t->env.id, (unsigned)s->unix_uid,
			 SPAN_ARG(addr_quote(&s->cmd, t->sender_given)));
		return;
	}
	log_hold(); /* together with what the content brings; transaction_reset lets go */
	t->env.client = arena_span(&t->arena, span_cstr(s->client));
	log_info("%s: client=%s%s%s", t->env.id, s->client, smtpd_auth_log(s), xforward_log(s));
}

static struct queue_rcpt *new_slot(struct transaction *t)
{
	if (t->env.nrcpts == t->rcpt_capacity) {
		size_t capacity = t->rcpt_capacity ? 2 * t->rcpt_capacity : 4;
		struct queue_rcpt *grown = arena_array(&t->arena, capacity, sizeof *grown);

		if (t->env.nrcpts)
			memcpy(grown, t->env.rcpts, t->env.nrcpts * sizeof *grown);
		t->env.rcpts = grown;
		t->rcpt_capacity = capacity;
	}
	return &t->env.rcpts[t->env.nrcpts++];
}

static void add(struct transaction *t, struct span address, const struct queue_rcpt *like)
{
	struct queue_rcpt *r;

	if (htab_put(&t->seen, address, t)) /* named twice, or by two aliases: one copy */
		return;
	r = new_slot(t);
	*r = *like;
	r->address = arena_span(&t->arena, address);
	if (span_eq(r->original, r->address))
		r->original = SPAN_NONE;
}

/* One mailbox that is disabled or full: said now, not by a notice later. Of a list of recipients the others are not to suffer. */
static bool mailbox_takes(struct smtpd_session *s, struct span address, const struct queue_rcpt *like)
{
	struct verdict v;
	const char *text;
	int code;

	if (s->is_sendmail || !conf->smtpd_reject_unlisted_recipient || s->txn.actions.discard)
		return true;
	v = route_mailbox(&s->cmd, address, s->txn.size, &code);
	if (v.class == VERDICT_OK)
		return true;
	text = arena_printf(&s->cmd, "%d %s <" SPAN_FMT ">: Recipient address rejected: " SPAN_FMT, code, v.dsn,
			    SPAN_ARG(like->original), SPAN_ARG(v.text));
	log_reject(s, "RCPT", text, like->original);
	reply(s, "%s", text);
	return false;
}

/* Whom the recipient stands for. False: refused, the reply is given. */
static bool expand(struct smtpd_session *s, struct span address, const struct queue_rcpt *like)
{
	struct span *list;
	size_t n;

	switch (route_virtual_alias(&s->cmd, address, ALIAS_RESULTS_MAX, &list, &n)) {
	case MAP_OK:
		break;
	case MAP_TEMP:
		reply(s, "451 4.3.0 <" SPAN_FMT ">: Temporary lookup failure", SPAN_ARG(like->original));
		return false;
	default:
		reply(s, "451 4.3.5 <" SPAN_FMT ">: Alias expansion error", SPAN_ARG(like->original));
		return false;
	}
	if (n == 1 && !mailbox_takes(s, list[0], like))
		return false;
	begin_message(s);
	for (size_t i = 0; i < n; i++)
		add(&s->txn, list[i], like);
	return true;
}

/* Copies, or all of it to somebody else. */
static void change_recipients(struct smtpd_session *s)
{
	struct transaction *t = &s->txn;
	struct span rest = t->actions.bcc, line;
	struct queue_rcpt like = { .notify = QUEUE_NOTIFY_NEVER };

	while (span_word(&rest, "\n", &line))
		add(t, route_rewrite(&s->cmd, line), &like);
	if (t->actions.redirect.len == 0)
		return;
	htab_free(&t->seen);
	t->env.nrcpts = 0;
	add(t, route_rewrite(&s->cmd, t->actions.redirect), &(struct queue_rcpt){ 0 });
}

bool address_has_place(struct span address)
{
	struct span domain = addr_split(address).domain;

	if (domain.len == 0 || domain.ptr[0] == '[')
		return domain.len == 0 || mailhost_literal_valid(domain);
	return mailhost_name_valid(domain) && !span_ends(domain, ".");
}

void apply_actions(struct smtpd_session *s)
{
	struct transaction *t = &s->txn;

	change_recipients(s);
	t->env.filter = t->actions.filter.len ? t->actions.filter : span_cstr(conf->content_filter);
	if (t->actions.hold)
		t->env.flags |= QUEUE_ON_HOLD;
	t->env.held = t->actions.hold;
}

static struct span orcpt_text(struct transaction *t, const struct smtp_rcpt *rcpt)
{
	if (rcpt->orcpt_type.len == 0)
		return SPAN_NONE;
	return span_cstr(arena_printf(&t->arena, SPAN_FMT ";" SPAN_FMT, SPAN_ARG(rcpt->orcpt_type), SPAN_ARG(rcpt->orcpt_addr)));
}

static bool may_come_now(struct smtpd_session *s)
{
	int64_t limit = s->is_sendmail ? LOCAL_RECIPIENT_LIMIT : conf->smtpd_recipient_limit;

	if (!s->txn.have_sender) {
		reply(s, "503 5.5.1 Error: need MAIL command");
		return false;
	}
	if (s->txn.accepted >= (size_t)limit) {
		bool patience = s->txn.overshoot++ < conf->smtpd_recipient_overshoot_limit;

		(patience ? reply_kindly : reply)(s, "452 4.5.3 Error: too many recipients");
		return false;
	}
	return rates_allow(s, RATE_RECIPIENT);
}

void cmd_rcpt(struct smtpd_session *s, const struct smtp_cmd *cmd)
{
	unsigned flags = conf->strict_rfc821_envelopes ? SMTP_PARSE_STRICT : 0;
	struct transaction *t = &s->txn;
	struct queue_rcpt like = { 0 };
	struct smtp_rcpt rcpt;
	struct span given, address, detail;
	const char *text = NULL;
	enum smtp_cmd_err err;

	if (!may_come_now(s))
		return;
	err = smtp_rcpt_parse(&t->arena, cmd->args, flags, t->env.flags & QUEUE_SMTPUTF8, &rcpt, &detail);
	if (err != SMTP_CMD_OK) {
		reply(s, SPAN_FMT, SPAN_ARG(smtp_cmd_reply(&s->cmd, err, detail)));
		return;
	}
	if (s->discard & DISCARD_DSN && (rcpt.notify || rcpt.orcpt_type.len)) {
		reply(s, "501 5.7.1 DSN support is disabled");
		return;
	}
	given = addr_internal(&s->cmd, rcpt.to);
	address = idna_address(&s->cmd, route_rewrite(&s->cmd, addr_internal(&s->cmd, rcpt.to)));
	if (!address_has_place(address)) {
		reply(s, "501 5.1.3 Bad recipient address syntax");
		return;
	}
	if (!access_rcpt(s, address, given, &text)) {
		reply(s, "%s", text);
		return;
	}
	like.original = arena_span(&t->arena, addr_internal(&s->cmd, rcpt.to));
	like.orcpt = orcpt_text(t, &rcpt);
	like.notify = (uint8_t)rcpt.notify;
	if (!expand(s, address, &like))
		return;
	t->recipient_given = arena_span(&t->arena, given);
	t->accepted++;
	reply(s, "250 2.1.5 Ok");
}
