/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/box.h"
#include "imapd/imapd.h"
#include "lib/conf/conf.h"

static const struct {
	const char *name;
	unsigned item;
} items[] = {
	{ "MESSAGES", STATUS_MESSAGES },       { "RECENT", STATUS_RECENT }, { "UIDNEXT", STATUS_UIDNEXT },
	{ "UIDVALIDITY", STATUS_UIDVALIDITY }, { "UNSEEN", STATUS_UNSEEN }, { "SIZE", STATUS_SIZE },
	{ "APPENDLIMIT", STATUS_APPENDLIMIT }, { "DELETED", STATUS_DELETED },
	{ "HIGHESTMODSEQ", STATUS_HIGHESTMODSEQ }, { "MAILBOXID", STATUS_MAILBOXID },
};
enum { NITEMS = sizeof(items) / sizeof(items[0]) };

static unsigned item_of(struct span name)
{
	for (size_t i = 0; i < NITEMS; i++)
		if (span_iis(name, items[i].name))
			return items[i].item;
	return 0;
}

bool status_items_parse(struct imap_scan *a, unsigned *items_r)
{
	struct span name;

	*items_r = 0;
	if (!imap_scan_open(a))
		return false;
	while (!imap_scan_peek(a, ')')) {
		if (!imap_scan_atom(a, &name))
			return false;
		if (item_of(name) == 0)
			return imap_scan_fail(a, "Invalid status item");
		*items_r |= item_of(name);
		if (!imap_scan_peek(a, ')') && !imap_scan_sp(a))
			return false;
	}
	return imap_scan_close(a) && (*items_r != 0 || imap_scan_fail(a, "Empty status list."));
}

static uint64_t value(const struct store_counts *c, unsigned item)
{
	switch (item) {
	case STATUS_MESSAGES:
		return c->messages;
	case STATUS_RECENT:
		return c->recent;
	case STATUS_UIDNEXT:
		return c->uidnext;
	case STATUS_UIDVALIDITY:
		return c->uidvalidity;
	case STATUS_UNSEEN:
		return c->unseen;
	case STATUS_DELETED:
		return c->deleted;
	case STATUS_HIGHESTMODSEQ:
		return c->modseq;
	case STATUS_APPENDLIMIT:
		return (uint64_t)conf->message_size_limit;
	default:
		return c->size;
	}
}

/* Of a folder that some session has open: what is known here is newer than the files (flags are written lazily). */
static enum store_status count_open(struct session *s, struct box *b, struct mailbox *mb, bool size,
				    struct store_counts *c)
{
	enum store_status st = box_sync(b, mb, s);

	*c = (struct store_counts){ .messages = mailbox_count(mb),
				    .uidnext = mailbox_uidnext(mb),
				    .uidvalidity = mailbox_uidvalidity(mb),
				    .modseq = mailbox_modseq(mb) };
	for (uint32_t seq = 1; st == STORE_OK && seq <= c->messages; seq++) {
		const struct store_msg *m = mailbox_msg(mb, seq);
		uint64_t n = 0;

		c->unseen += (m->flags & STORE_SEEN) == 0;
		c->deleted += (m->flags & STORE_DELETED) != 0;
		c->recent += (m->flags & STORE_RECENT) != 0 && m->uid > b->recent_claimed;
		if (size)
			st = mailbox_size(mb, seq, &n);
		c->size += n;
	}
	for (uint32_t i = 0; b == s->box && i < s->view.n; i++)
		c->recent += (s->view.msg[i].flags & (STORE_RECENT | VIEW_GONE)) == STORE_RECENT;
	return st;
}

enum store_status status_send(struct session *s, struct span name, unsigned wanted)
{
	struct box *b = box_get(name);
	struct store_counts c;
	const char *gap = "";
	struct span id = SPAN_NONE;
	struct mailbox *mb;
	enum store_status st;

	if ((wanted & STATUS_HIGHESTMODSEQ) != 0)
		condstore_enable(s);
	box_lock(b);
	mb = b->mb[0] != NULL ? b->mb[0] : b->mb[1];
	if (mb != NULL) {
		st = count_open(s, b, mb, (wanted & STATUS_SIZE) != 0, &c);
	} else if ((wanted & STATUS_DELETED) != 0) {
		st = box_open(b, true, &mb);
		if (st == STORE_OK) {
			st = count_open(s, b, mb, (wanted & STATUS_SIZE) != 0, &c);
			box_close(b, true);
		}
	} else {
		st = store_status_of(store_lock(), name, &c);
		store_unlock();
	}
	if (st == STORE_OK && (wanted & STATUS_MAILBOXID) != 0) {
		st = store_id_of(store_lock(), name, &s->arena, &id);
		store_unlock();
	}
	box_unlock(b);
	box_put(b);
	if (st != STORE_OK)
		return st;
	buf_adds(&s->out, "* STATUS ");
	put_mailbox(s, name);
	buf_adds(&s->out, " (");
	for (size_t i = 0; i < NITEMS; i++) {
		if ((wanted & items[i].item) == 0)
			continue;
		buf_addf(&s->out, "%s%s ", gap, items[i].name);
		if (items[i].item == STATUS_APPENDLIMIT && conf->message_size_limit <= 0)
			buf_adds(&s->out, "NIL");
		else if (items[i].item == STATUS_MAILBOXID)
			buf_addf(&s->out, "(" SPAN_FMT ")", SPAN_ARG(id));
		else
			buf_addf(&s->out, "%llu", (unsigned long long)value(&c, items[i].item));
		gap = " ";
	}
	buf_adds(&s->out, ")\r\n");
	reply_flush(s);
	return STORE_OK;
}

void cmd_status(struct session *s, struct imap_scan *a)
{
	struct span name;
	unsigned wanted;

	if (!scan_mailbox(s, a, &name))
		return;
	if (!imap_scan_sp(a) || !status_items_parse(a, &wanted) || !imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	reply_status(s, status_send(s, name, wanted), "Status completed.");
}
