/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one session has been told about its mailbox. Sequence numbers belong to the session: they stay put until it may
 * hear of an expunge, whatever other sessions and programs do to the mailbox meanwhile.
 */
#include <stdlib.h>
#include <string.h>

#include "imapd/box.h"
#include "imapd/imapd.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"

/* --- comparing, under box_lock ------------------------------------------------------------------------------------ */

static struct view_msg *add(struct view *v, uint32_t uid)
{
	struct view_msg *m;

	if (v->n == v->cap) {
		v->cap = v->cap < 64 ? 64 : v->cap * 2;
		v->msg = mem_realloc_array(v->msg, v->cap, sizeof(*v->msg));
	}
	m = &v->msg[v->n++];
	*m = (struct view_msg){ .uid = uid };
	return m;
}

/* \Recent is the session's, not the store's: the first session that sees a message has it. */
static uint32_t recent_of(struct session *s, const struct store_msg *m)
{
	if ((m->flags & STORE_RECENT) == 0 || m->uid <= s->box->recent_claimed)
		return 0;
	return STORE_RECENT;
}

static void append_new(struct session *s)
{
	uint32_t last = s->view.n > 0 ? s->view.msg[s->view.n - 1].uid : 0;
	uint32_t count = mailbox_count(s->mb);

	for (uint32_t seq = last == UINT32_MAX ? count + 1 : mailbox_seq_of_uid(s->mb, last + 1); seq <= count; seq++) {
		const struct store_msg *m = mailbox_msg(s->mb, seq);
		struct view_msg *to = add(&s->view, m->uid);

		to->flags = (m->flags & VIEW_FLAGS & ~STORE_RECENT) | recent_of(s, m);
		to->keywords = m->keywords;
		to->modseq = m->modseq;
	}
	if (!s->read_only && s->view.n > 0 && s->view.msg[s->view.n - 1].uid > s->box->recent_claimed)
		s->box->recent_claimed = s->view.msg[s->view.n - 1].uid;
}

static void compare_flags(const struct session *s, struct view_msg *v, const struct store_msg *m)
{
	uint32_t flags = (m->flags & VIEW_FLAGS & ~STORE_RECENT) | (v->flags & STORE_RECENT);

	if (s->condstore && v->modseq != m->modseq)
		v->flags |= VIEW_TELL;
	v->modseq = m->modseq;
	if ((v->flags & VIEW_FLAGS) == flags && v->keywords == m->keywords)
		return;
	v->flags = flags | VIEW_TELL;
	v->keywords = m->keywords;
}

static void compare(struct session *s)
{
	struct view *v = &s->view;
	uint32_t seq = 1, count = mailbox_count(s->mb);

	if (v->generation == s->box->generation)
		return;
	for (uint32_t i = 0; i < v->n; i++) {
		const struct store_msg *m = NULL;

		if ((v->msg[i].flags & VIEW_GONE) != 0)
			continue;
		while (seq <= count && (m = mailbox_msg(s->mb, seq))->uid < v->msg[i].uid)
			seq++;
		if (seq <= count && m->uid == v->msg[i].uid) {
			compare_flags(s, &v->msg[i], m);
			seq++;
		} else {
			v->msg[i].flags |= VIEW_GONE;
			v->ngone++;
		}
	}
	append_new(s);
	view_learn_keywords(s);
	v->generation = s->box->generation;
}

void view_learn_keywords(struct session *s)
{
	struct view *v = &s->view;
	const char *name;

	while (v->nkeywords < STORE_KEYWORDS_MAX && (name = mailbox_keyword(s->mb, v->nkeywords)) != NULL)
		v->keyword[v->nkeywords++] = mem_strdup(name);
}

uint32_t view_seq(struct session *s, uint32_t at)
{
	uint32_t uid = s->view.msg[at].uid, seq = mailbox_seq_of_uid(s->mb, uid);

	if (seq > mailbox_count(s->mb) || mailbox_msg(s->mb, seq)->uid != uid)
		return 0;
	return seq;
}

/* --- telling ------------------------------------------------------------------------------------------------------ */

/* RFC 7162 3.2.10: by UID, so the order does not matter. */
static void tell_vanished(struct session *s)
{
	struct view *v = &s->view;
	uint32_t *uids = mem_realloc_array(NULL, v->ngone, sizeof(*uids)), n = 0;

	for (uint32_t i = 0; i < v->n && n < v->ngone; i++)
		if ((v->msg[i].flags & VIEW_GONE) != 0)
			uids[n++] = v->msg[i].uid;
	buf_adds(&s->out, "* VANISHED ");
	imap_seqset_write(&s->out, uids, n);
	buf_adds(&s->out, "\r\n");
	free(uids);
	reply_flush(s);
}

/* Highest number first, so that each number is right when it is told. */
static void tell_expunges(struct session *s)
{
	struct view *v = &s->view;
	uint32_t to = 0;

	if (v->ngone == 0)
		return;
	if (s->qresync)
		tell_vanished(s);
	for (uint32_t i = v->n; i > 0 && !s->qresync; i--)
		if ((v->msg[i - 1].flags & VIEW_GONE) != 0)
			stream_printf(s->io, "* %u EXPUNGE\r\n", i);
	for (uint32_t i = 0; i < v->n; i++)
		if ((v->msg[i].flags & VIEW_GONE) == 0)
			v->msg[to++] = v->msg[i];
	v->told_exists -= v->ngone;
	v->n = to;
	v->ngone = 0;
}

static uint32_t count_recent(const struct view *v)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < v->n; i++)
		n += (v->msg[i].flags & STORE_RECENT) != 0;
	return n;
}

/* New messages may be told at any time. */
static void tell_counts(struct session *s, bool always)
{
	struct view *v = &s->view;
	uint32_t recent;

	if (!always && v->n == v->told_exists)
		return;
	recent = count_recent(v);

	if (always || v->n != v->told_exists)
		stream_printf(s->io, "* %u EXISTS\r\n", v->n);
	if (!s->rev2 && (always || recent != v->told_recent))
		stream_printf(s->io, "* %u RECENT\r\n", recent);
	v->told_exists = v->n;
	v->told_recent = recent;
}

void view_tell_keywords(struct session *s)
{
	struct view *v = &s->view;

	if (v->nkeywords == v->told_keywords)
		return;
	v->told_keywords = v->nkeywords;
	buf_adds(&s->out, "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft");
	for (unsigned i = 0; i < v->nkeywords; i++)
		buf_addf(&s->out, " %s", v->keyword[i]);
	buf_adds(&s->out, ")\r\n* OK [PERMANENTFLAGS (");
	if (!s->read_only) {
		buf_adds(&s->out, "\\Answered \\Flagged \\Deleted \\Seen \\Draft");
		for (unsigned i = 0; i < v->nkeywords; i++)
			buf_addf(&s->out, " %s", v->keyword[i]);
		buf_adds(&s->out, v->nkeywords < STORE_KEYWORDS_MAX ? " \\*" : "");
	}
	buf_adds(&s->out, s->read_only ? ")] Read-only mailbox.\r\n" : ")] Flags permitted.\r\n");
	reply_flush(s);
}

void view_send_flags(struct session *s, uint32_t at)
{
	struct view_msg *m = &s->view.msg[at];

	m->flags &= ~(uint32_t)VIEW_TELL;
	buf_addf(&s->out, "* %u FETCH (", at + 1);
	if (s->by_uid || s->qresync)
		buf_addf(&s->out, "UID %u ", m->uid);
	buf_adds(&s->out, "FLAGS (");
	put_flags(s, m->flags, m->keywords);
	buf_addc(&s->out, ')');
	condstore_put(s, m);
	buf_adds(&s->out, ")\r\n");
	reply_flush(s);
}

static void tell_flags(struct session *s)
{
	for (uint32_t i = 0; i < s->view.n; i++) {
		if ((s->view.msg[i].flags & (VIEW_TELL | VIEW_GONE)) == VIEW_TELL)
			view_send_flags(s, i);
	}
}

/* --- for the commands --------------------------------------------------------------------------------------------- */

void view_sync(struct session *s, bool may_expunge)
{
	enum store_status st;
	uint64_t before = s->view.generation;
	bool lost;

	box_lock(s->box);
	st = box_sync(s->box, s->mb, s);
	lost = st == STORE_NOTFOUND || mailbox_uidvalidity(s->mb) != s->view.uidvalidity;
	if (!lost)
		compare(s);
	box_unlock(s->box);
	if (lost) {
		stream_puts(s->io, "* BYE Mailbox was deleted under us.\r\n");
		session_end(s, "Disconnected: Mailbox was deleted under us");
		return;
	}
	if (s->view.generation == before && !(may_expunge && s->view.ngone > 0))
		return;
	view_tell_keywords(s);
	if (may_expunge)
		tell_expunges(s);
	tell_counts(s, false);
	tell_flags(s);
}

void view_refresh(struct session *s)
{
	box_lock(s->box);
	compare(s);
	box_unlock(s->box);
	view_tell_keywords(s);
	tell_counts(s, false);
}

static void tell_selected(struct session *s)
{
	struct view *v = &s->view;
	uint32_t unseen = 0;

	v->told_keywords = UINT32_MAX; /* there is always something to tell */
	view_tell_keywords(s);
	tell_counts(s, true);
	while (unseen < v->n && (v->msg[unseen].flags & STORE_SEEN) != 0)
		unseen++;
	if (unseen < v->n && !s->rev2)
		stream_printf(s->io, "* OK [UNSEEN %u] First unseen.\r\n", unseen + 1);
	for (uint32_t i = 0; i < v->n; i++)
		v->msg[i].flags &= ~(uint32_t)VIEW_TELL;
}

enum store_status view_open(struct session *s, struct span name, bool read_only)
{
	struct box *b = box_get(name);
	struct span id = SPAN_NONE;
	uint32_t uidnext = 0;
	uint64_t modseq = 0;
	enum store_status st;

	box_lock(b);
	st = box_open(b, read_only, &s->mb);
	if (st == STORE_OK) {
		st = box_sync(b, s->mb, s);
		if (st != STORE_OK)
			box_close(b, read_only);
	}
	if (st == STORE_OK) {
		s->box = b;
		s->read_only = read_only || mailbox_read_only(s->mb);
		s->view = (struct view){ .generation = UINT64_MAX, .uidvalidity = mailbox_uidvalidity(s->mb) };
		list_append(&b->sessions, &s->on_box);
		compare(s);
		uidnext = mailbox_uidnext(s->mb);
		modseq = mailbox_modseq(s->mb);
		id = mailbox_id(s->mb, &s->arena);
	}
	box_unlock(b);
	if (st != STORE_OK) {
		box_put(b);
		return st;
	}
	tell_selected(s);
	stream_printf(s->io, "* OK [UIDVALIDITY %u] UIDs valid\r\n* OK [UIDNEXT %u] Predicted next UID\r\n"
		      "* OK [HIGHESTMODSEQ %llu] Highest\r\n* OK [MAILBOXID (" SPAN_FMT ")] Ok\r\n",
		      s->view.uidvalidity, uidnext, (unsigned long long)modseq, SPAN_ARG(id));
	return STORE_OK;
}

void view_close(struct session *s)
{
	if (s->box == NULL)
		return;
	box_lock(s->box);
	list_remove(&s->on_box);
	box_close(s->box, s->mb == s->box->mb[1]);
	box_unlock(s->box);
	box_put(s->box);
	s->box = NULL;
	s->mb = NULL;
	saved_clear(s);
	free(s->view.msg);
	for (unsigned i = 0; i < s->view.nkeywords; i++)
		free(s->view.keyword[i]);
	s->view = (struct view){ 0 };
}

uint32_t view_position(const struct view *v, uint32_t uid)
{
	uint32_t lo = 0, hi = v->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (v->msg[mid].uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool only_stars(const struct imap_seqset *set)
{
	for (size_t i = 0; i < set->n; i++)
		if (set->range[i].lo != IMAP_SEQ_STAR && set->range[i].hi != IMAP_SEQ_STAR)
			return false;
	return true;
}

bool view_indices(struct session *s, struct imap_seqset *set, uint32_t **at_r, uint32_t *n_r)
{
	const struct view *v = &s->view;
	uint32_t n = 0;

	*at_r = arena_array(&s->arena, v->n + 1, sizeof(**at_r));
	*n_r = 0;
	if (v->n == 0)
		return s->by_uid || only_stars(set);
	imap_seqset_resolve(set, s->by_uid ? v->msg[v->n - 1].uid : v->n);
	for (size_t i = 0; i < set->n; i++) {
		struct imap_range r = set->range[i];
		uint32_t at = s->by_uid ? view_position(v, r.lo) : r.lo - 1;

		if (!s->by_uid && r.hi > v->n)
			return false;
		for (; at < v->n && (s->by_uid ? v->msg[at].uid <= r.hi : at < r.hi); at++)
			(*at_r)[n++] = at;
	}
	*n_r = n;
	return true;
}

/* "$", RFC 5182: what has been expunged is not in it any more, and nothing of it is an error. */
static void saved_indices(struct session *s, uint32_t **at_r, uint32_t *n_r)
{
	const struct view *v = &s->view;

	*at_r = arena_array(&s->arena, s->nsaved + 1, sizeof(**at_r));
	*n_r = 0;
	for (uint32_t i = 0; i < s->nsaved; i++) {
		uint32_t at = view_position(v, s->saved[i]);

		if (at < v->n && v->msg[at].uid == s->saved[i])
			(*at_r)[(*n_r)++] = at;
	}
}

bool view_scan_set(struct session *s, struct imap_scan *a, uint32_t **at_r, uint32_t *n_r)
{
	struct imap_seqset set;
	struct span word;

	if (!imap_scan_word(a, &word)) {
		reply_bad(s, a->error);
		return false;
	}
	if (span_is(word, "$")) {
		saved_indices(s, at_r, n_r);
		return true;
	}
	if (!imap_seqset_parse(&s->arena, word, &set)) {
		reply_bad(s, s->by_uid ? "Invalid UID messageset" : "Invalid messageset");
		return false;
	}
	if (!view_indices(s, &set, at_r, n_r)) {
		reply_bad(s, "Invalid messageset");
		return false;
	}
	return true;
}
