/* SPDX-License-Identifier: BSD-2-Clause */
/* ENVELOPE, BODY and BODYSTRUCTURE, RFC 3501 7.4.2. */
#include "imapd/fetch.h"
#include "lib/proto/imap_quote.h"

static void put_address(struct session *s, const struct rfc5322_addr *ad)
{
	struct buf *b = &s->out;

	if (ad->kind == RFC5322_GROUP_END) {
		buf_adds(b, "(NIL NIL NIL NIL)");
		return;
	}
	if (ad->kind == RFC5322_GROUP_START) {
		buf_adds(b, "(NIL NIL ");
		imap_put_string(b, ad->name);
		buf_adds(b, " NIL)");
		return;
	}
	buf_addc(b, '(');
	imap_put_nstring(b, ad->name);
	buf_addc(b, ' ');
	imap_put_nstring(b, ad->route);
	buf_addc(b, ' ');
	imap_put_string(b, ad->mailbox);
	buf_addc(b, ' ');
	/* A host of NIL would start a group. */
	imap_put_string(b, ad->host);
	buf_addc(b, ')');
}

static void put_addresses(struct session *s, const struct rfc5322_list *l)
{
	if (l->first == NULL) {
		buf_adds(&s->out, " NIL");
		return;
	}
	buf_adds(&s->out, " (");
	for (const struct rfc5322_addr *ad = l->first; ad != NULL; ad = ad->next)
		put_address(s, ad);
	buf_addc(&s->out, ')');
}

void fetch_put_envelope(struct session *s, struct span header)
{
	struct mime_envelope e;
	struct buf *b = &s->out;

	mime_envelope_parse(&s->msg, header, &e);
	buf_addc(b, '(');
	imap_put_nstring(b, e.date);
	buf_addc(b, ' ');
	imap_put_nstring(b, e.subject);
	put_addresses(s, &e.from);
	put_addresses(s, e.sender.first != NULL ? &e.sender : &e.from);
	put_addresses(s, e.reply_to.first != NULL ? &e.reply_to : &e.from);
	put_addresses(s, &e.to);
	put_addresses(s, &e.cc);
	put_addresses(s, &e.bcc);
	buf_addc(b, ' ');
	imap_put_nstring(b, e.in_reply_to);
	buf_addc(b, ' ');
	imap_put_nstring(b, e.message_id);
	buf_addc(b, ')');
}

static void put_params(struct session *s, const struct mime_params *p)
{
	if (p->count == 0) {
		buf_adds(&s->out, "NIL");
		return;
	}
	for (size_t i = 0; i < p->count; i++) {
		buf_addc(&s->out, i == 0 ? '(' : ' ');
		imap_put_string(&s->out, p->list[i].name);
		buf_addc(&s->out, ' ');
		imap_put_string(&s->out, p->list[i].value);
	}
	buf_addc(&s->out, ')');
}

/* " disposition language location" */
static void put_extension(struct session *s, const struct mime_part *p)
{
	struct buf *b = &s->out;

	if (p->disposition.ptr == NULL) {
		buf_adds(b, " NIL");
	} else {
		buf_adds(b, " (");
		imap_put_string(b, p->disposition);
		buf_addc(b, ' ');
		put_params(s, &p->disposition_params);
		buf_addc(b, ')');
	}
	buf_addc(b, ' ');
	for (size_t i = 0; i < p->nlanguages; i++) {
		buf_addc(b, i == 0 ? '(' : ' ');
		imap_put_string(b, p->languages[i]);
	}
	buf_adds(b, p->nlanguages > 0 ? ") " : "NIL ");
	imap_put_nstring(b, p->location);
}

static void put_leaf(struct session *s, const struct mime_part *p, bool extended)
{
	struct buf *b = &s->out;

	imap_put_string(b, p->type);
	buf_addc(b, ' ');
	imap_put_string(b, p->subtype);
	buf_addc(b, ' ');
	put_params(s, &p->params);
	buf_addc(b, ' ');
	imap_put_nstring(b, p->id);
	buf_addc(b, ' ');
	imap_put_nstring(b, p->description);
	buf_addc(b, ' ');
	imap_put_string(b, p->encoding.ptr != NULL ? p->encoding : SPAN("7bit"));
	buf_addf(b, " %llu", (unsigned long long)p->body_size.crlf);
	if (p->kind == MIME_MESSAGE && p->child != NULL) {
		buf_addc(b, ' ');
		fetch_put_envelope(s, p->child->header);
		buf_addc(b, ' ');
		fetch_put_structure(s, p->child, extended);
	}
	if (p->kind == MIME_MESSAGE || span_iis(p->type, "text"))
		buf_addf(b, " %llu", (unsigned long long)p->body_size.lines);
	if (!extended)
		return;
	buf_addc(b, ' ');
	imap_put_nstring(b, p->md5);
	put_extension(s, p);
}

/* Recursion is bounded by MIME_DEPTH_MAX. */
void fetch_put_structure(struct session *s, const struct mime_part *p, bool extended)
{
	buf_addc(&s->out, '(');
	if (p->kind != MIME_MULTIPART) {
		put_leaf(s, p, extended);
	} else {
		for (const struct mime_part *c = p->child; c != NULL; c = c->next)
			fetch_put_structure(s, c, extended);
		buf_addc(&s->out, ' ');
		imap_put_string(&s->out, p->subtype);
		if (extended) {
			buf_addc(&s->out, ' ');
			put_params(s, &p->params);
			put_extension(s, p);
		}
	}
	buf_addc(&s->out, ')');
}
