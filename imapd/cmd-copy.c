/* SPDX-License-Identifier: BSD-2-Clause */
/* COPY and MOVE (RFC 6851), with COPYUID (RFC 4315). All messages arrive or none. */
#include "imapd/box.h"
#include "imapd/imapd.h"

/* What is copied of a message besides its bytes. */
struct item {
	uint32_t flags;
	struct span keywords[STORE_KEYWORDS_MAX];
	size_t nkeywords;
	int64_t internal_date;
	int32_t zone_minutes;
};

static enum store_status load(struct session *s, uint32_t at, struct item *item, struct store_view *view)
{
	const struct store_msg *m;
	enum store_status st = STORE_EXPUNGED;
	uint32_t seq;

	*item = (struct item){ 0 };
	box_lock(s->box);
	seq = view_seq(s, at);
	if (seq != 0) {
		m = mailbox_msg(s->mb, seq);
		item->flags = m->flags & VIEW_FLAGS & ~STORE_RECENT;
		item->internal_date = m->internal_date;
		item->zone_minutes = m->zone_minutes;
		view_learn_keywords(s);
		for (unsigned i = 0; i < s->view.nkeywords; i++)
			if ((m->keywords >> i & 1) != 0)
				item->keywords[item->nkeywords++] = span_cstr(s->view.keyword[i]);
		st = mailbox_view(s->mb, seq, view);
	}
	box_unlock(s->box);
	return st;
}

static enum store_status copy_one(struct session *s, struct store_append *ap, uint32_t at)
{
	struct store_view view;
	struct item item;
	enum store_status st = load(s, at, &item, &view);

	if (st != STORE_OK)
		return st;
	store_lock();
	st = store_append_message(ap, item.flags, item.keywords, item.nkeywords, item.internal_date, item.zone_minutes);
	if (st == STORE_OK)
		st = store_append_write(ap, view.raw);
	store_unlock();
	box_lock(s->box);
	store_view_done(&view);
	box_unlock(s->box);
	return st;
}

static enum store_status commit(struct session *s, struct store_append *ap, struct span to, uint32_t *uidvalidity_r,
				uint32_t **uids_r, size_t *n_r)
{
	struct box *b = box_get(to);
	enum store_status st;

	box_lock(b);
	store_lock();
	st = store_append_commit(ap, &s->arena, uidvalidity_r, uids_r, n_r);
	store_unlock();
	/* Whoever has it open sees the files change; those in IDLE should look at once. */
	if (st == STORE_OK)
		box_changed(b, s);
	box_unlock(b);
	box_put(b);
	return st;
}

static enum store_status copy_all(struct session *s, const uint32_t *at, uint32_t n, struct span to,
				  const char **copyuid_r)
{
	uint32_t uidvalidity = 0, *from = arena_array(&s->arena, n, sizeof(*from)), *uids = NULL;
	struct store_append *ap;
	size_t nuids = 0;
	struct buf code;
	enum store_status st = store_append_begin(store_lock(), to, &ap);

	store_unlock();
	if (st != STORE_OK)
		return st;
	for (uint32_t i = 0; i < n && st == STORE_OK; i++) {
		from[i] = s->view.msg[at[i]].uid;
		st = copy_one(s, ap, at[i]);
	}
	if (st != STORE_OK) {
		store_lock();
		store_append_abort(ap);
		store_unlock();
		return st;
	}
	st = commit(s, ap, to, &uidvalidity, &uids, &nuids);
	if (st != STORE_OK || nuids != n)
		return st;
	buf_init(&code, OUT_MAX);
	buf_addf(&code, "[COPYUID %u ", uidvalidity);
	imap_seqset_write(&code, from, n);
	buf_addc(&code, ' ');
	imap_seqset_write(&code, uids, nuids);
	buf_adds(&code, "] ");
	*copyuid_r = arena_cstr(&s->arena, buf_span(&code));
	buf_free(&code);
	return STORE_OK;
}

static bool scan(struct session *s, struct imap_scan *a, uint32_t **at_r, uint32_t *n_r, struct span *to_r)
{
	if (!view_scan_set(s, a, at_r, n_r))
		return false;
	if (!imap_scan_sp(a)) {
		reply_bad(s, a->error);
		return false;
	}
	if (!scan_mailbox(s, a, to_r))
		return false;
	if (!imap_scan_end(a)) {
		reply_bad(s, a->error);
		return false;
	}
	return true;
}

static void answer(struct session *s, enum store_status st, const char *copyuid, const char *done)
{
	if (st == STORE_NOTFOUND)
		reply(s, "NO [TRYCREATE] Mailbox doesn't exist");
	else if (st != STORE_OK)
		reply_status(s, st, NULL);
	else
		reply(s, "OK %s%s completed.", copyuid, done);
}

void cmd_copy(struct session *s, struct imap_scan *a)
{
	const char *copyuid = "";
	enum store_status st = STORE_OK;
	struct span to;
	uint32_t *at, n;

	if (!scan(s, a, &at, &n, &to))
		return;
	if (n > 0)
		st = copy_all(s, at, n, to, &copyuid);
	answer(s, st, copyuid, "Copy");
}

void cmd_move(struct session *s, struct imap_scan *a)
{
	const char *copyuid = "";
	enum store_status st = STORE_OK;
	struct span to;
	uint32_t *at, n;

	if (!scan(s, a, &at, &n, &to))
		return;
	if (s->box != NULL && span_is(to, s->box->name)) {
		reply(s, "NO [CANNOT] Can't move messages to the mailbox they are in");
		return;
	}
	if (n > 0)
		st = copy_all(s, at, n, to, &copyuid);
	if (n > 0 && st == STORE_OK) {
		/* RFC 6851 4.3: COPYUID comes before the EXPUNGE responses. */
		stream_printf(s->io, "* OK %sMoved UIDs.\r\n", copyuid);
		for (uint32_t i = 0; i < n; i++)
			at[i] = s->view.msg[at[i]].uid;
		st = expunge_run(s, at, n, false);
	}
	answer(s, st, "", "Move");
}
