/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 7162. CONDSTORE: each message has a modification sequence, told with its flags once the client has shown that it knows of
 * them. QRESYNC: a client that comes back hears what changed since. What has been expunged is not remembered: all UIDs that are
 * not there are told, which the RFC allows (3.2.6), and only when something changed at all.
 */
#include "imapd/box.h"
#include "imapd/imapd.h"

uint64_t condstore_highest(struct session *s)
{
	uint64_t n;

	box_lock(s->box);
	n = mailbox_modseq(s->mb);
	box_unlock(s->box);
	return n;
}

void condstore_enable(struct session *s)
{
	if (s->condstore)
		return;
	s->condstore = true;
	if (s->box != NULL)
		stream_printf(s->io, "* OK [HIGHESTMODSEQ %llu] Highest\r\n", (unsigned long long)condstore_highest(s));
}

void condstore_put(struct session *s, const struct view_msg *m)
{
	if (s->condstore)
		buf_addf(&s->out, " MODSEQ (%llu)", (unsigned long long)m->modseq);
}

void condstore_reply_expunged(struct session *s, uint64_t highest, const char *text)
{
	if (s->qresync)
		reply(s, "OK [HIGHESTMODSEQ %llu] %s", (unsigned long long)highest, text);
	else
		reply(s, "OK %s", text);
}

/* --- what is gone --------------------------------------------------------------------------------------------------------- */

static void put_range(struct session *s, const char **gap, uint32_t lo, uint32_t hi)
{
	buf_addf(&s->out, "%s%u", *gap, lo);
	if (hi > lo)
		buf_addf(&s->out, ":%u", hi);
	*gap = ",";
}

/* What is missing between lo and hi, both included. */
static void put_missing(struct session *s, const char **gap, uint32_t lo, uint32_t hi)
{
	const struct view *v = &s->view;

	for (uint32_t at = view_position(v, lo); at < v->n && v->msg[at].uid <= hi; at++) {
		if (v->msg[at].uid > lo)
			put_range(s, gap, lo, v->msg[at].uid - 1);
		lo = v->msg[at].uid + 1;
	}
	if (lo <= hi)
		put_range(s, gap, lo, hi);
}

void vanished_earlier(struct session *s, struct imap_seqset *known, uint64_t since)
{
	struct imap_range all = { 1, UINT32_MAX };
	struct imap_seqset every = { .range = &all, .n = 1 };
	const char *gap = "* VANISHED (EARLIER) ";
	uint32_t last;

	box_lock(s->box);
	last = mailbox_uidnext(s->mb) - 1;
	if (mailbox_modseq(s->mb) <= since)
		last = 0;
	box_unlock(s->box);
	if (last == 0)
		return;
	if (known == NULL)
		known = &every;
	imap_seqset_resolve(known, last);
	for (size_t i = 0; i < known->n; i++)
		if (known->range[i].lo <= last)
			put_missing(s, &gap, known->range[i].lo, known->range[i].hi < last ? known->range[i].hi : last);
	if (s->out.len > 0)
		buf_adds(&s->out, "\r\n");
	reply_flush(s);
}

/* --- SELECT box (QRESYNC (uidvalidity modseq [known-uids [(seqs uids)]])) ------------------------------------------------- */

/* What the client knows which message as; RFC 7162 3.2.5.2: a hint, not needed here. */
static bool scan_seq_match(struct session *s, struct imap_scan *a)
{
	struct imap_seqset seqs, uids;
	struct span word;

	if (!imap_scan_open(a) || !imap_scan_word(a, &word) || !imap_seqset_parse(&s->arena, word, &seqs) || !imap_scan_sp(a) ||
	    !imap_scan_word(a, &word) || !imap_seqset_parse(&s->arena, word, &uids))
		return imap_scan_fail(a, "Invalid message sequence match data");
	return imap_scan_close(a);
}

static bool scan_known(struct session *s, struct imap_scan *a, struct resync *r)
{
	struct span word;

	r->some = true;
	if (imap_scan_word(a, &word) && imap_seqset_parse(&s->arena, word, &r->known))
		return true;
	return imap_scan_fail(a, "Invalid set of known UIDs");
}

bool resync_scan(struct session *s, struct imap_scan *a, struct resync *r)
{
	*r = (struct resync){ .wanted = true };
	if (!imap_scan_sp(a) || !imap_scan_open(a) || !imap_scan_number(a, &r->uidvalidity) || !imap_scan_sp(a) ||
	    !imap_scan_number64(a, &r->modseq))
		return false;
	if (r->uidvalidity == 0 || r->modseq == 0)
		return imap_scan_fail(a, "Invalid QRESYNC parameters");
	if (imap_scan_peek(a, ' ') && imap_scan_sp(a) && !imap_scan_peek(a, '(')) {
		if (!scan_known(s, a, r))
			return false;
		if (imap_scan_peek(a, ' '))
			(void)imap_scan_sp(a);
	}
	if (imap_scan_peek(a, '(') && !scan_seq_match(s, a))
		return false;
	return imap_scan_close(a);
}

void resync_tell(struct session *s, struct resync *r)
{
	if (r->uidvalidity != s->view.uidvalidity)
		return;
	vanished_earlier(s, r->some ? &r->known : NULL, r->modseq);
	if (r->some) /* also when there was nothing to tell */
		imap_seqset_resolve(&r->known, s->view.n > 0 ? s->view.msg[s->view.n - 1].uid : 1);
	for (uint32_t i = 0; i < s->view.n; i++)
		if (s->view.msg[i].modseq > r->modseq && (!r->some || imap_seqset_has(&r->known, s->view.msg[i].uid)))
			view_send_flags(s, i);
}
