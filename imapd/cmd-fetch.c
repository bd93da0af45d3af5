/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "imapd/box.h"
#include "imapd/fetch.h"
#include "imapd/objectid.h"
#include "lib/proto/date.h"
#include "lib/proto/header.h"

enum { ITEMS_MAX = 256 };

/* --- what is asked for -------------------------------------------------------------------------------------------- */

static bool is_kept(enum fetch_what what)
{
	return what >= FETCH_ENVELOPE && what < FETCH_ENVELOPE + FETCH_KEPT;
}

struct span fetch_kept_name(enum fetch_what what)
{
	static const char *const names[FETCH_KEPT] = { "E", "B", "BS", "Oe", "Ot" };

	return span_cstr(names[what - FETCH_ENVELOPE]);
}

static bool add_item(struct imap_scan *a, struct fetch *f, enum fetch_what what, struct fetch_section *sec)
{
	for (size_t i = 0; i < f->n && sec == NULL; i++)
		if (f->item[i].what == what)
			return true;
	if (f->n == ITEMS_MAX)
		return imap_scan_fail(a, "Too many items");
	f->item[f->n++] = (struct fetch_item){ what, sec };
	f->wants_flags |= what == FETCH_FLAGS;
	f->wants_modseq |= what == FETCH_MODSEQ;
	f->needs_size |= what == FETCH_SIZE;
	f->needs_view |= what >= FETCH_SECTION;
	if (is_kept(what))
		f->kept[f->nkept++].name = fetch_kept_name(what);
	f->sets_seen |= sec != NULL && !sec->peek;
	return true;
}

static bool add_macro(struct imap_scan *a, struct fetch *f, struct span name)
{
	if (!span_iis(name, "ALL") && !span_iis(name, "FAST") && !span_iis(name, "FULL"))
		return false;
	add_item(a, f, FETCH_FLAGS, NULL);
	add_item(a, f, FETCH_INTERNALDATE, NULL);
	add_item(a, f, FETCH_SIZE, NULL);
	if (!span_iis(name, "FAST"))
		add_item(a, f, FETCH_ENVELOPE, NULL);
	if (span_iis(name, "FULL"))
		add_item(a, f, FETCH_BODY, NULL);
	return true;
}

static bool is_item_char(char c)
{
	return ascii_isalnum(c) || c == '.' || c == '-';
}

static bool scan_item(struct session *s, struct imap_scan *a, struct fetch *f, bool macros)
{
	static const struct {
		const char *name;
		enum fetch_what what;
	} plain[] = {
		{ "FLAGS", FETCH_FLAGS },      { "UID", FETCH_UID },           { "INTERNALDATE", FETCH_INTERNALDATE },
		{ "RFC822.SIZE", FETCH_SIZE }, { "ENVELOPE", FETCH_ENVELOPE }, { "BODYSTRUCTURE", FETCH_BODYSTRUCTURE },
		{ "MODSEQ", FETCH_MODSEQ },    { "SAVEDATE", FETCH_SAVEDATE }, { "EMAILID", FETCH_EMAILID },
		{ "THREADID", FETCH_THREADID },
	};
	struct fetch_section *sec;
	struct span name;
	size_t n = 0;

	while (n < a->in.len && is_item_char(a->in.ptr[n]))
		n++;
	name = span_head(a->in, n);
	a->in = span_skip(a->in, n);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (span_iis(name, plain[i].name))
			return add_item(a, f, plain[i].what, NULL);
	if (span_iis(name, "BODY") && !imap_scan_peek(a, '['))
		return add_item(a, f, FETCH_BODY, NULL);
	if (span_iis(name, "BODY") || span_iis(name, "BODY.PEEK"))
		return fetch_section_scan(s, a, name.len > 4, &sec) && add_item(a, f, FETCH_SECTION, sec);
	if (span_iis(name, "BINARY") || span_iis(name, "BINARY.PEEK") || span_iis(name, "BINARY.SIZE"))
		return fetch_binary_scan(s, a, name, &sec) &&
		       add_item(a, f, span_iis(name, "BINARY.SIZE") ? FETCH_BINARY_SIZE : FETCH_BINARY, sec);
	sec = fetch_section_rfc822(s, name);
	if (sec != NULL)
		return add_item(a, f, FETCH_SECTION, sec);
	if (macros && add_macro(a, f, name))
		return true;
	return imap_scan_fail(a, name.len == 0 ? "Missing or invalid item" : "Unknown parameter");
}

static bool scan_items(struct session *s, struct imap_scan *a, struct fetch *f)
{
	f->item = arena_array(&s->arena, ITEMS_MAX, sizeof(*f->item));
	if (s->by_uid)
		add_item(a, f, FETCH_UID, NULL);
	if (!imap_scan_peek(a, '('))
		return scan_item(s, a, f, true);
	if (!imap_scan_open(a))
		return false;
	do {
		if (!scan_item(s, a, f, false))
			return false;
	} while (imap_scan_peek(a, ' ') && imap_scan_sp(a));
	return imap_scan_close(a);
}

/* --- one message -------------------------------------------------------------------------------------------------- */

/* Under box_lock. */
static enum store_status set_seen(struct session *s, uint32_t at, uint32_t seq)
{
	struct view_msg *v = &s->view.msg[at];
	bool current = s->view.generation == s->box->generation;
	enum store_status st;

	if (s->read_only || (mailbox_msg(s->mb, seq)->flags & STORE_SEEN) != 0)
		return STORE_OK;
	st = mailbox_flag(s->mb, seq, STORE_FLAGS_ADD, STORE_SEEN, 0);
	if (st != STORE_OK)
		return st;
	v->flags |= STORE_SEEN | VIEW_TELL;
	v->modseq = mailbox_msg(s->mb, seq)->modseq;
	box_changed(s->box, s);
	if (current)
		s->view.generation = s->box->generation;
	return STORE_OK;
}

/* What the lock is needed for. */
static enum store_status load(struct session *s, const struct fetch *f, uint32_t at, struct fetch_msg *m)
{
	const struct store_msg *msg;
	enum store_status st = STORE_OK;
	uint32_t seq;

	*m = (struct fetch_msg){ .known = f->nkept == 0 };
	memcpy(m->kept, f->kept, sizeof(m->kept));
	box_lock(s->box);
	seq = view_seq(s, at);
	if (seq == 0)
		st = STORE_EXPUNGED;
	if (st == STORE_OK && f->nkept > 0)
		m->known = mailbox_items(s->mb, seq, m->kept, f->nkept, &s->msg);
	if (st == STORE_OK && (f->needs_view || !m->known)) {
		st = mailbox_view(s->mb, seq, &m->view);
		m->viewed = st == STORE_OK;
	}
	if (st == STORE_OK && f->needs_size)
		st = mailbox_size(s->mb, seq, &m->size);
	if (st == STORE_OK) {
		msg = mailbox_msg(s->mb, seq);
		m->internal_date = msg->internal_date;
		m->save_date = msg->save_date;
		m->zone_minutes = msg->zone_minutes;
		if (f->sets_seen)
			st = set_seen(s, at, seq);
	}
	if (st != STORE_OK && m->viewed)
		store_view_done(&m->view);
	box_unlock(s->box);
	return st;
}

static void unload(struct session *s, struct fetch_msg *m)
{
	if (m->viewed) {
		box_lock(s->box);
		store_view_done(&m->view);
		box_unlock(s->box);
	}
	arena_reset(&s->msg);
}

/* To s->out. */
static void work_out_one(struct session *s, struct fetch_msg *m, struct span name)
{
	struct span header = span_head(m->view.raw, header_size(m->view.raw));

	if (span_is(name, "E"))
		fetch_put_envelope(s, header);
	else if (span_is(name, "Oe"))
		buf_add_span(&s->out, objectid_email(&s->msg, m->view.raw, m->internal_date));
	else if (span_is(name, "Ot"))
		buf_add_span(&s->out, objectid_thread(&s->msg, header));
	else
		fetch_put_structure(s, fetch_mime(s, m), span_is(name, "BS"));
}

/* What the index does not know of the message yet. */
static void work_out(struct session *s, const struct fetch *f, uint32_t at, struct fetch_msg *m)
{
	uint32_t seq;

	for (size_t i = 0; i < f->nkept; i++) {
		size_t start = s->out.len;

		work_out_one(s, m, m->kept[i].name);
		m->kept[i].value = arena_span(&s->msg, span_skip(buf_span(&s->out), start));
		buf_truncate(&s->out, start);
	}
	if (s->out.overflow)
		return;
	box_lock(s->box);
	seq = view_seq(s, at);
	if (seq != 0)
		mailbox_items_put(s->mb, seq, m->kept, f->nkept);
	box_unlock(s->box);
}

static void put_kept(struct session *s, const struct fetch_item *item, const struct fetch_msg *m)
{
	struct span name = fetch_kept_name(item->what);

	for (size_t i = 0; i < FETCH_KEPT; i++)
		if (span_eq(m->kept[i].name, name))
			buf_add_span(&s->out, m->kept[i].value);
}

static void put_date(struct session *s, const struct fetch_msg *m)
{
	char text[DATE_TEXT_MAX];

	date_imap((struct date){ .at = (time_t)m->internal_date, .zone_minutes = m->zone_minutes }, text);
	buf_addf(&s->out, "INTERNALDATE \"%s\"", text);
}

/* RFC 8514 4.2 */
static void put_save_date(struct session *s, const struct fetch_msg *m)
{
	struct date date = { .at = (time_t)m->save_date, .zone_minutes = date_local_zone((time_t)m->save_date) };
	char text[DATE_TEXT_MAX];

	if (m->save_date == 0)
		buf_adds(&s->out, "SAVEDATE NIL");
	else
		buf_addf(&s->out, "SAVEDATE \"%s\"", date_imap(date, text));
}

/* RFC 8474 5 */
static void put_objectid(struct session *s, const struct fetch_item *item, const struct fetch_msg *m)
{
	size_t start;

	buf_adds(&s->out, item->what == FETCH_EMAILID ? "EMAILID (" : "THREADID (");
	start = s->out.len;
	put_kept(s, item, m);
	if (!span_is(span_skip(buf_span(&s->out), start), "NIL")) {
		buf_addc(&s->out, ')');
		return;
	}
	buf_truncate(&s->out, start - 1);
	buf_adds(&s->out, "NIL");
}

static void put_modseq(struct session *s, const struct view_msg *v)
{
	buf_addf(&s->out, "MODSEQ (%llu)", (unsigned long long)v->modseq);
}

static void put_item(struct session *s, const struct fetch_item *item, uint32_t at, struct fetch_msg *m)
{
	struct view_msg *v = &s->view.msg[at];

	switch (item->what) {
	case FETCH_FLAGS:
		v->flags &= ~(uint32_t)VIEW_TELL;
		buf_adds(&s->out, "FLAGS (");
		put_flags(s, v->flags, v->keywords);
		buf_addc(&s->out, ')');
		break;
	case FETCH_UID:
		buf_addf(&s->out, "UID %u", v->uid);
		break;
	case FETCH_INTERNALDATE:
		put_date(s, m);
		break;
	case FETCH_SIZE:
		buf_addf(&s->out, "RFC822.SIZE %llu", (unsigned long long)m->size);
		break;
	case FETCH_MODSEQ:
		put_modseq(s, v);
		break;
	case FETCH_SAVEDATE:
		put_save_date(s, m);
		break;
	case FETCH_EMAILID:
	case FETCH_THREADID:
		put_objectid(s, item, m);
		break;
	case FETCH_ENVELOPE:
		buf_adds(&s->out, "ENVELOPE ");
		put_kept(s, item, m);
		break;
	case FETCH_BODY:
	case FETCH_BODYSTRUCTURE:
		buf_adds(&s->out, item->what == FETCH_BODY ? "BODY " : "BODYSTRUCTURE ");
		put_kept(s, item, m);
		break;
	case FETCH_SECTION:
		fetch_send_section(s, m, item->section);
		break;
	case FETCH_BINARY:
		fetch_send_binary(s, m, item->section);
		break;
	case FETCH_BINARY_SIZE:
		fetch_put_binary_size(s, m, item->section);
		break;
	}
}

static enum store_status fetch_one(struct session *s, const struct fetch *f, uint32_t at)
{
	struct fetch_msg m;
	enum store_status st = load(s, f, at, &m);
	bool told = f->wants_flags;

	if (st != STORE_OK)
		return st;
	if (!m.known)
		work_out(s, f, at, &m);
	buf_addf(&s->out, "* %u FETCH (", at + 1);
	for (size_t i = 0; i < f->n; i++) {
		if (i > 0)
			buf_addc(&s->out, ' ');
		put_item(s, &f->item[i], at, &m);
	}
	if (!f->wants_flags && (s->view.msg[at].flags & VIEW_TELL) != 0) {
		buf_addc(&s->out, ' ');
		put_item(s, &(struct fetch_item){ FETCH_FLAGS, NULL }, at, &m);
		told = true;
	}
	if (told && !f->wants_modseq)
		condstore_put(s, &s->view.msg[at]);
	buf_adds(&s->out, ")\r\n");
	reply_flush(s);
	unload(s, &m);
	return STORE_OK;
}

/* PARTIAL: RFC 9394 3.3. CHANGEDSINCE, VANISHED: RFC 7162 3.1.4.1, 3.2.6. */
static bool scan_modifier(struct session *s, struct imap_scan *a, struct fetch *f, struct partial_range *r)
{
	struct span name;

	if (!imap_scan_atom(a, &name))
		return false;
	if (span_iis(name, "PARTIAL") && s->by_uid)
		return imap_scan_sp(a) && scan_partial_range(a, r);
	if (span_iis(name, "CHANGEDSINCE")) {
		f->changed = true;
		return imap_scan_sp(a) && imap_scan_number64(a, &f->since) && add_item(a, f, FETCH_MODSEQ, NULL);
	}
	if (!span_iis(name, "VANISHED"))
		return imap_scan_fail(a, "Unknown FETCH modifier");
	if (!s->qresync || !s->by_uid)
		return imap_scan_fail(a, "VANISHED is for UID FETCH, after ENABLE QRESYNC");
	f->vanished = true;
	return true;
}

/* " (PARTIAL 1:10 CHANGEDSINCE 5)" */
static bool scan_modifiers(struct session *s, struct imap_scan *a, struct fetch *f, struct partial_range *r)
{
	if (a->in.len == 0)
		return true;
	if (!imap_scan_sp(a) || !imap_scan_open(a))
		return false;
	do {
		if (!scan_modifier(s, a, f, r))
			return false;
	} while (imap_scan_peek(a, ' ') && imap_scan_sp(a));
	if (f->vanished && !f->changed)
		return imap_scan_fail(a, "VANISHED needs CHANGEDSINCE");
	return imap_scan_close(a);
}

static void tell_vanished(struct session *s, struct span set_text, uint64_t since)
{
	struct imap_seqset set;

	if (imap_seqset_parse(&s->arena, set_text, &set)) /* not "$": what is gone is not in it */
		vanished_earlier(s, &set, since);
}

/* How many of the n are left. */
static uint32_t only_changed(struct session *s, const struct fetch *f, uint32_t *at, uint32_t n)
{
	uint32_t to = 0;

	for (uint32_t i = 0; i < n; i++)
		if (!f->changed || s->view.msg[at[i]].modseq > f->since)
			at[to++] = at[i];
	return to;
}

void cmd_fetch(struct session *s, struct imap_scan *a)
{
	struct partial_range partial = { .lo = 1, .hi = UINT32_MAX };
	struct span set_text = span_cut(&(struct span){ a->in.ptr, a->in.len }, ' ');
	struct fetch f = { 0 };
	enum store_status worst = STORE_OK;
	uint32_t *at, n, first;

	if (!view_scan_set(s, a, &at, &n))
		return;
	if (!imap_scan_sp(a) || !scan_items(s, a, &f) || !scan_modifiers(s, a, &f, &partial) || !imap_scan_end(a)) {
		reply_bad(s, a->error);
		return;
	}
	if (f.wants_modseq)
		condstore_enable(s);
	view_refresh(s);
	if (f.vanished)
		tell_vanished(s, set_text, f.since);
	n = only_changed(s, &f, at, n);
	partial_cut(&partial, n, &first, &n);
	at += first;
	s->unknown_cte = false;
	for (uint32_t i = 0; i < n && stream_status(s->io) == IO_OK; i++) {
		enum store_status st = fetch_one(s, &f, at[i]);

		worst = st != STORE_OK ? st : worst;
	}
	if (worst == STORE_OK && s->unknown_cte)
		reply(s, "NO [UNKNOWN-CTE] A part has a transfer encoding that is not known");
	else
		reply_status(s, worst, "Fetch completed.");
}
