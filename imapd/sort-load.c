/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/sort.h"

#include "imapd/box.h"
#include "lib/proto/date.h"
#include "lib/proto/header.h"
#include "lib/proto/imap_subject.h"
#include "lib/proto/imap_thread.h"
#include "lib/proto/mime_text.h"

enum {
	FIELD_MAX = 1000,     /* octets that are compared */
	IDS_FIELD_MAX = 8192, /* of a References field */
	IDS_MAX = 100,
	HEADER_BITS = 1 << SORT_CC | 1 << SORT_DATE | 1 << SORT_DISPLAYFROM | 1 << SORT_DISPLAYTO | 1 << SORT_FROM |
		      1 << SORT_SUBJECT | 1 << SORT_TO | 1 << SORT_IDS,
};

/* Under box_lock, but for the view. */
static bool load(struct session *s, uint32_t at, unsigned needs, struct sort_msg *m, struct store_view *view)
{
	uint32_t seq;
	bool ok;

	box_lock(s->box);
	seq = view_seq(s, at);
	ok = seq != 0;
	if (ok) {
		m->at = at;
		m->arrival = mailbox_msg(s->mb, seq)->internal_date;
		if ((needs & 1 << SORT_SIZE) != 0)
			ok = mailbox_size(s->mb, seq, &m->size) == STORE_OK;
	}
	if (ok && (needs & HEADER_BITS) != 0)
		ok = mailbox_view(s->mb, seq, view) == STORE_OK;
	box_unlock(s->box);
	return ok;
}

static struct span field_of(struct session *s, struct span header, const char *name)
{
	return header_get(&s->msg, header, name, FIELD_MAX);
}

/* Encoded words are read; what does not count is folded. In the session's arena: it stays. */
static struct span decoded(struct session *s, struct span text, bool subject, bool *reply_r)
{
	struct span base;
	struct buf b;
	char *copy;

	buf_init(&b, FIELD_MAX * 3);
	if (!mime_words_decode(&b, text) && b.len == 0) /* cut short is good enough to compare */
		return SPAN_NONE;
	base = subject ? imap_base_subject(&s->msg, buf_span(&b), reply_r) : buf_span(&b);
	copy = arena_cstr(&s->arena, base);
	search_fold(copy, base.len);
	buf_free(&b);
	return span_of(copy, base.len);
}

/* The first address of a field: its local part, or what a reader would see of it. */
static struct span first_address(struct session *s, struct span header, const char *name, bool display)
{
	struct rfc5322_list l = { 0 };
	struct header_field f;
	struct span text;

	if (!header_find(header, name, &f))
		return SPAN_NONE;
	rfc5322_list_parse(&s->msg, span_head(f.body, FIELD_MAX), 2, &l);
	if (l.first == NULL)
		return SPAN_NONE;
	text = l.first->mailbox;
	if (l.first->kind == RFC5322_GROUP_START)
		text = l.first->name;
	else if (display && l.first->name.len > 0)
		text = l.first->name;
	else if (display)
		text = span_cstr(arena_printf(&s->msg, SPAN_FMT "@" SPAN_FMT, SPAN_ARG(l.first->mailbox), SPAN_ARG(l.first->host)));
	return decoded(s, text, false, NULL);
}

static void read_ids(struct session *s, struct span header, struct sort_msg *m)
{
	struct span *id;

	if (imap_thread_ids(&s->arena, field_of(s, header, "Message-ID"), 1, &id) == 1)
		m->id = id[0];
	m->nrefs = imap_thread_ids(&s->arena, header_get(&s->msg, header, "References", IDS_FIELD_MAX), IDS_MAX, &m->refs);
	if (m->nrefs == 0)
		m->nrefs = imap_thread_ids(&s->arena, field_of(s, header, "In-Reply-To"), 1, &m->refs);
}

static void read_header(struct session *s, struct span header, unsigned needs, struct sort_msg *m)
{
	static const struct {
		enum sort_key key;
		const char *field;
		bool display;
	} addresses[] = { { SORT_CC, "Cc", false },
			  { SORT_FROM, "From", false },
			  { SORT_TO, "To", false },
			  { SORT_DISPLAYFROM, "From", true },
			  { SORT_DISPLAYTO, "To", true } };
	struct date date;

	m->date = m->arrival;
	if ((needs & 1 << SORT_DATE) != 0 && date_rfc5322_parse(field_of(s, header, "Date"), &date))
		m->date = date.at;
	if ((needs & 1 << SORT_SUBJECT) != 0)
		m->text[SORT_SUBJECT] = decoded(s, field_of(s, header, "Subject"), true, &m->reply);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		if ((needs & 1U << addresses[i].key) != 0)
			m->text[addresses[i].key] = first_address(s, header, addresses[i].field, addresses[i].display);
	if ((needs & 1 << SORT_IDS) != 0)
		read_ids(s, header, m);
}

struct sort_msg *sort_load(struct session *s, const uint32_t *at, uint32_t n, unsigned needs, uint32_t *n_r)
{
	struct sort_msg *v = arena_array(&s->arena, (size_t)n + 1, sizeof(*v));
	uint32_t k = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct store_view view = { 0 };

		if (!load(s, at[i], needs, &v[k], &view))
			continue;
		if ((needs & HEADER_BITS) != 0) {
			read_header(s, span_head(view.raw, header_size(view.raw)), needs, &v[k]);
			box_lock(s->box);
			store_view_done(&view);
			box_unlock(s->box);
		}
		arena_reset(&s->msg);
		k++;
	}
	*n_r = k;
	return v;
}
