/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include <time.h>

#include "imapd/box.h"
#include "imapd/objectid.h"
#include "imapd/search.h"
#include "lib/proto/date.h"
#include "lib/proto/header.h"

enum { DATE_FIELD_MAX = 1000, DECODED_MAX = 64 * 1024 * 1024 };

/* A message that has gone meanwhile matches nothing that has to be read. */
static bool load(struct search_msg *m)
{
	struct session *s = m->s;
	uint32_t seq;

	if (m->loaded)
		return m->viewed;
	m->loaded = true;
	box_lock(s->box);
	seq = view_seq(s, m->at);
	m->viewed = seq != 0 && mailbox_view(s->mb, seq, &m->m.view) == STORE_OK;
	box_unlock(s->box);
	return m->viewed;
}

void search_unload(struct search_msg *m)
{
	if (m->viewed) {
		box_lock(m->s->box);
		store_view_done(&m->m.view);
		box_unlock(m->s->box);
	}
	arena_reset(&m->s->msg);
}

static const struct store_msg *info(struct search_msg *m)
{
	struct session *s = m->s;
	uint32_t seq;

	if (m->info != NULL)
		return m->info;
	box_lock(s->box);
	seq = view_seq(s, m->at);
	if (seq != 0) {
		m->copy = *mailbox_msg(s->mb, seq);
		m->info = &m->copy;
	}
	box_unlock(s->box);
	return m->info;
}

static bool size_of(struct search_msg *m, uint64_t *size_r)
{
	struct session *s = m->s;
	enum store_status st = STORE_EXPUNGED;
	uint32_t seq;

	box_lock(s->box);
	seq = view_seq(s, m->at);
	if (seq != 0)
		st = mailbox_size(s->mb, seq, size_r);
	box_unlock(s->box);
	return st == STORE_OK;
}

static bool by_day(enum search_key key, long day, long wanted)
{
	switch (key) {
	case KEY_BEFORE:
	case KEY_SAVEDBEFORE:
	case KEY_SENTBEFORE:
		return day < wanted;
	case KEY_ON:
	case KEY_SAVEDON:
	case KEY_SENTON:
		return day == wanted;
	default:
		return day >= wanted;
	}
}

static bool arrived(struct search_msg *m, const struct search_node *n)
{
	const struct store_msg *i = info(m);
	struct date date;

	if (i == NULL)
		return false;
	date = (struct date){ .at = (time_t)i->internal_date, .zone_minutes = i->zone_minutes };
	return by_day(n->key, date_day(date), n->day);
}

/* RFC 8514: where it is not known, the internal date has to do. */
static bool saved(struct search_msg *m, const struct search_node *n)
{
	const struct store_msg *i = info(m);
	struct date date;

	if (i == NULL || i->save_date == 0)
		return arrived(m, n);
	date = (struct date){ .at = (time_t)i->save_date, .zone_minutes = date_local_zone((time_t)i->save_date) };
	return by_day(n->key, date_day(date), n->day);
}

/* RFC 5032 */
static bool within(struct search_msg *m, const struct search_node *n)
{
	const struct store_msg *i = info(m);
	int64_t edge = (int64_t)time(NULL) - n->size;

	return i != NULL && (n->key == KEY_OLDER ? i->internal_date <= edge : i->internal_date >= edge);
}

static bool sent(struct search_msg *m, const struct search_node *n)
{
	struct date date;

	return load(m) && date_rfc5322_parse(header_get(&m->s->msg, m->m.view.raw, "Date", DATE_FIELD_MAX), &date) &&
	       by_day(n->key, date_day(date), n->day);
}

/* Fields that are often looked for are kept with the index, by these names. */
static struct span kept_name(const char *field)
{
	static const struct {
		const char *field, *name;
	} kept[] = { { "subject", "Hs" }, { "from", "Hf" }, { "to", "Ht" }, { "cc", "Hc" }, { "bcc", "Hb" } };

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (span_iis(span_cstr(field), kept[i].field))
			return span_cstr(kept[i].name);
	return SPAN_NONE;
}

/* Under no lock. get: look it up, else keep it. */
static bool kept(struct search_msg *m, struct store_item *item, bool get)
{
	struct session *s = m->s;
	bool known = false;
	uint32_t seq;

	box_lock(s->box);
	seq = view_seq(s, m->at);
	if (seq != 0 && get)
		known = mailbox_items(s->mb, seq, item, 1, &s->msg);
	else if (seq != 0)
		mailbox_items_put(s->mb, seq, item, 1);
	box_unlock(s->box);
	return known;
}

static bool header(struct search_msg *m, const struct search_node *n)
{
	struct store_item item = { .name = kept_name(n->field) };

	if (item.name.len == 0)
		return load(m) && search_header(m, n->field, n->text);
	if (!kept(m, &item, true)) {
		if (!load(m))
			return false;
		if (!search_field_text(m, n->field, &item.value))
			return search_header(m, n->field, n->text);
		kept(m, &item, false);
	}
	if (n->text.len == 0)
		return item.value.len > 0;
	return item.value.len > 0 && memmem(item.value.ptr, item.value.len, n->text.ptr, n->text.len) != NULL;
}

static bool objectid(struct search_msg *m, const struct search_node *n)
{
	bool email = n->key == KEY_EMAILID;
	struct store_item item = { .name = fetch_kept_name(email ? FETCH_EMAILID : FETCH_THREADID) };
	struct span raw;

	if (info(m) == NULL)
		return false;
	if (!kept(m, &item, true)) {
		if (!load(m))
			return false;
		raw = m->m.view.raw;
		item.value = email ? objectid_email(&m->s->msg, raw, m->info->internal_date)
				   : objectid_thread(&m->s->msg, span_head(raw, header_size(raw)));
		kept(m, &item, false);
	}
	return span_eq(item.value, n->text) && !span_is(n->text, "NIL");
}

static bool any(struct search_msg *m, const struct search_node *n)
{
	for (const struct search_node *c = n->child; c != NULL; c = c->next)
		if (search_matches(m, c))
			return true;
	return false;
}

static bool all(struct search_msg *m, const struct search_node *n)
{
	for (const struct search_node *c = n->child; c != NULL; c = c->next)
		if (!search_matches(m, c))
			return false;
	return true;
}

static bool holds(struct search_msg *m, const struct search_node *n)
{
	const struct view_msg *v = &m->s->view.msg[m->at];
	uint64_t size;

	switch (n->key) {
	case KEY_ALL:
		return true;
	case KEY_FLAGS:
		return (v->flags & n->flags_mask) == n->flags;
	case KEY_KEYWORD:
		return (v->keywords & n->keywords) != 0;
	case KEY_SEQ:
		return imap_seqset_has(&n->set, m->at + 1);
	case KEY_UID:
		return imap_seqset_has(&n->set, v->uid);
	case KEY_MODSEQ:
		return v->modseq >= n->modseq;
	case KEY_BEFORE:
	case KEY_ON:
	case KEY_SINCE:
		return arrived(m, n);
	case KEY_SAVEDBEFORE:
	case KEY_SAVEDON:
	case KEY_SAVEDSINCE:
		return saved(m, n);
	case KEY_OLDER:
	case KEY_YOUNGER:
		return within(m, n);
	case KEY_LARGER:
		return size_of(m, &size) && size > n->size;
	case KEY_SMALLER:
		return size_of(m, &size) && size < n->size;
	case KEY_AND:
		return all(m, n);
	case KEY_OR:
		return any(m, n);
	case KEY_SENTBEFORE:
	case KEY_SENTON:
	case KEY_SENTSINCE:
		return sent(m, n);
	case KEY_HEADER:
		return header(m, n);
	case KEY_EMAILID:
	case KEY_THREADID:
		return objectid(m, n);
	case KEY_BODY:
		return load(m) && search_body(m, n->text);
	case KEY_TEXT:
		return load(m) && search_text(m, n->text);
	}
	return false;
}

/* Depth is bounded by the parser. */
bool search_matches(struct search_msg *m, const struct search_node *n)
{
	return holds(m, n) != n->negate;
}

uint32_t *search_run(struct session *s, const struct search_node *program, uint32_t *n_r)
{
	uint32_t *at = arena_array(&s->arena, s->view.n + 1, sizeof(*at)), n = 0;
	struct buf text;

	buf_init(&text, DECODED_MAX);
	for (uint32_t i = 0; i < s->view.n; i++) {
		struct search_msg m = { .s = s, .at = i, .text = &text };

		if ((s->view.msg[i].flags & VIEW_GONE) != 0)
			continue;
		if (search_matches(&m, program))
			at[n++] = i;
		search_unload(&m);
	}
	buf_free(&text);
	*n_r = n;
	return at;
}
