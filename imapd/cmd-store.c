/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/box.h"
#include "imapd/imapd.h"

struct change {
	enum store_flag_op op;
	bool silent;
	uint32_t flags;
	uint64_t keywords;
};

/* "+FLAGS.SILENT", "FLAGS" ... */
static bool scan_op(struct imap_scan *a, struct change *c)
{
	struct span name;

	*c = (struct change){ .op = STORE_FLAGS_SET };
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
static enum store_status change_one(struct session *s, uint32_t at, const struct change *c)
{
	struct view_msg *v = &s->view.msg[at];
	uint32_t seq = view_seq(s, at);
	const struct store_msg *m;
	enum store_status st;

	if (seq == 0)
		return STORE_EXPUNGED;
	st = mailbox_flag(s->mb, seq, c->op, c->flags, c->keywords);
	if (st != STORE_OK)
		return st;
	m = mailbox_msg(s->mb, seq);
	if ((m->flags & STORE_DELETED) != 0 && (v->flags & STORE_DELETED) == 0)
		s->stats.deleted++;
	v->flags = (m->flags & VIEW_FLAGS & ~STORE_RECENT) | (v->flags & (STORE_RECENT | VIEW_GONE));
	v->keywords = m->keywords;
	return STORE_OK;
}

static enum store_status change_all(struct session *s, const uint32_t *at, uint32_t n, const struct change *c)
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

void cmd_store(struct session *s, struct imap_scan *a)
{
	struct flag_list list;
	struct change c;
	enum store_status st;
	uint32_t *at, n;

	if (!view_scan_set(s, a, &at, &n))
		return;
	if (!imap_scan_sp(a) || !scan_op(a, &c) || !imap_scan_sp(a) || !scan_flags(s, a, &list) || !imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	view_refresh(s);
	if (!find_keywords(s, &list, &c)) {
		reply(s, "NO [LIMIT] Too many different keywords in this mailbox");
		return;
	}
	st = change_all(s, at, n, &c);
	for (uint32_t i = 0; i < n && !c.silent; i++)
		if ((s->view.msg[at[i]].flags & VIEW_GONE) == 0)
			view_send_flags(s, at[i]);
	reply_status(s, st, "Store completed.");
}
