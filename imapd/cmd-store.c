/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/box.h"
#include "imapd/imapd.h"
#include "lib/base/log.h"

struct change {
	enum store_flag_op op;
	bool silent;
	bool conditional;         /* UNCHANGEDSINCE was given */
	uint64_t unchanged_since;
	uint32_t flags;
	uint64_t keywords;
	uint32_t *failed;         /* positions of messages that were changed since */
	uint32_t nfailed;
};

/* "(UNCHANGEDSINCE n) ", RFC 7162 3.1.3. */
static bool scan_modifier(struct imap_scan *a, struct change *c)
{
	struct span name;

	*c = (struct change){ .op = STORE_FLAGS_SET };
	if (!imap_scan_peek(a, '('))
		return true;
	if (!imap_scan_open(a) || !imap_scan_atom(a, &name))
		return false;
	if (!span_iis(name, "UNCHANGEDSINCE"))
		return imap_scan_fail(a, "Unknown STORE modifier");
	c->conditional = true;
	return imap_scan_sp(a) && imap_scan_number64(a, &c->unchanged_since) && imap_scan_close(a) && imap_scan_sp(a);
}

/* "+FLAGS.SILENT", "FLAGS" ... */
static bool scan_op(struct imap_scan *a, struct change *c)
{
	struct span name;

	if (imap_scan_skip(a, '+'))
		c->op = STORE_FLAGS_ADD;
	else if (imap_scan_skip(a, '-'))
		c->op = STORE_FLAGS_DEL;
	if (!imap_scan_atom(a, &name))
		return false;
	c->silent = span_iis(name, "FLAGS.SILENT");
	return c->silent || span_iis(name, "FLAGS") || imap_scan_fail(a, "Invalid item");
}

/* False: no room for a new keyword. A keyword that is to be removed and does not exist is none. */
static bool find_keywords(struct session *s, const struct flag_list *f, struct change *c)
{
	bool room = true;

	c->flags = f->flags;
	box_lock(s->box);
	for (size_t i = 0; i < f->nkeywords; i++) {
		int bit = mailbox_keyword_bit(s->mb, f->keywords[i], c->op != STORE_FLAGS_DEL);

		if (bit >= 0)
			c->keywords |= 1ULL << bit;
		else if (c->op != STORE_FLAGS_DEL)
			room = false;
	}
	view_learn_keywords(s);
	box_unlock(s->box);
	view_tell_keywords(s);
	return room;
}

/* Under box_lock. */
static enum store_status change_one(struct session *s, uint32_t at, struct change *c)
{
	struct view_msg *v = &s->view.msg[at];
	uint32_t seq = view_seq(s, at);
	const struct store_msg *m;
	enum store_status st;

	if (seq == 0)
		return STORE_EXPUNGED;
	if (c->conditional && mailbox_msg(s->mb, seq)->modseq > c->unchanged_since) {
		c->failed[c->nfailed++] = at;
		v->flags |= VIEW_TELL;
		return STORE_OK;
	}
	st = mailbox_flag(s->mb, seq, c->op, c->flags, c->keywords);
	if (st != STORE_OK)
		return st;
	m = mailbox_msg(s->mb, seq);
	if ((m->flags & STORE_DELETED) != 0 && (v->flags & STORE_DELETED) == 0)
		s->stats.deleted++;
	v->flags = (m->flags & VIEW_FLAGS & ~STORE_RECENT) | (v->flags & (STORE_RECENT | VIEW_GONE));
	v->keywords = m->keywords;
	v->modseq = m->modseq;
	return STORE_OK;
}

static enum store_status change_all(struct session *s, const uint32_t *at, uint32_t n, struct change *c)
{
	enum store_status worst = STORE_OK;
	bool current;

	box_lock(s->box);
	current = s->view.generation == s->box->generation;
	for (uint32_t i = 0; i < n && (worst == STORE_OK || worst == STORE_EXPUNGED); i++) {
		enum store_status st = change_one(s, at[i], c);

		worst = st != STORE_OK ? st : worst;
	}
	box_changed(s->box, s);
	if (current) /* what changed is known here already */
		s->view.generation = s->box->generation;
	box_unlock(s->box);
	return worst;
}

/* With .SILENT no more than the new modification sequence, which the client could not know: RFC 7162 3.1.3. */
static void tell(struct session *s, uint32_t at, const struct change *c)
{
	const struct view_msg *m = &s->view.msg[at];

	if ((m->flags & VIEW_GONE) != 0)
		return;
	if (!c->silent || (m->flags & VIEW_TELL) != 0) {
		view_send_flags(s, at);
	} else if (s->condstore) {
		buf_addf(&s->out, "* %u FETCH (", at + 1);
		if (s->by_uid || s->qresync)
			buf_addf(&s->out, "UID %u ", m->uid);
		buf_addf(&s->out, "MODSEQ (%llu))\r\n", (unsigned long long)m->modseq);
		reply_flush(s);
	}
}

/* What was not changed has been told as it is now, and is named here. */
static void answer_failed(struct session *s, const struct change *c)
{
	uint32_t *number = arena_array(&s->arena, c->nfailed, sizeof(*number));
	struct buf set;

	for (uint32_t i = 0; i < c->nfailed; i++)
		number[i] = s->by_uid ? s->view.msg[c->failed[i]].uid : c->failed[i] + 1;
	buf_init(&set, OUT_MAX);
	imap_seqset_write(&set, number, c->nfailed);
	reply(s, "OK [MODIFIED %s] Conditional store failed.", buf_cstr(&set));
	buf_free(&set);
}

/* The files decide what has changed since. */
static void look_first(struct session *s)
{
	box_lock(s->box);
	if (box_sync(s->box, s->mb, s) != STORE_OK)
		log_debug("%s: cannot look at the mailbox before a conditional STORE", s->box->name);
	box_unlock(s->box);
}

void cmd_store(struct session *s, struct imap_scan *a)
{
	struct flag_list list;
	struct change c;
	enum store_status st;
	uint32_t *at, n;

	if (!view_scan_set(s, a, &at, &n))
		return;
	if (!imap_scan_sp(a) || !scan_modifier(a, &c) || !scan_op(a, &c) || !imap_scan_sp(a) ||
	    !scan_flags(s, a, &list) || !imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	if (c.conditional) {
		condstore_enable(s);
		look_first(s);
		c.failed = arena_array(&s->arena, n + 1, sizeof(*c.failed));
	}
	view_refresh(s);
	if (!find_keywords(s, &list, &c)) {
		reply(s, "NO [LIMIT] Too many different keywords in this mailbox");
		return;
	}
	st = change_all(s, at, n, &c);
	for (uint32_t i = 0; i < n; i++)
		tell(s, at[i], &c);
	if (st == STORE_OK && c.nfailed > 0)
		answer_failed(s, &c);
	else
		reply_status(s, st, "Store completed.");
}
