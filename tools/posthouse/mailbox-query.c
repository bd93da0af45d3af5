/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "lib/proto/date.h"
#include "lib/proto/header.h"
#include "lib/proto/mime_text.h"
#include "tools/posthouse/mailbox.h"

enum what { FLAG, UIDS, BEFORE, SINCE, LARGER, SMALLER, FIELD, KEYWORD };
enum { FIELD_MAX = 64 * 1024 };

static const struct word {
	const char *name;
	enum what what;
	uint32_t mask, flags;
	const char *field;
} words[] = {
	{ "all", FLAG, 0, 0, NULL },
	{ "seen", FLAG, STORE_SEEN, STORE_SEEN, NULL },
	{ "unseen", FLAG, STORE_SEEN, 0, NULL },
	{ "answered", FLAG, STORE_ANSWERED, STORE_ANSWERED, NULL },
	{ "unanswered", FLAG, STORE_ANSWERED, 0, NULL },
	{ "flagged", FLAG, STORE_FLAGGED, STORE_FLAGGED, NULL },
	{ "unflagged", FLAG, STORE_FLAGGED, 0, NULL },
	{ "deleted", FLAG, STORE_DELETED, STORE_DELETED, NULL },
	{ "undeleted", FLAG, STORE_DELETED, 0, NULL },
	{ "draft", FLAG, STORE_DRAFT, STORE_DRAFT, NULL },
	{ "undraft", FLAG, STORE_DRAFT, 0, NULL },
	{ "uid", UIDS, 0, 0, NULL },
	{ "before", BEFORE, 0, 0, NULL },
	{ "since", SINCE, 0, 0, NULL },
	{ "larger", LARGER, 0, 0, NULL },
	{ "smaller", SMALLER, 0, 0, NULL },
	{ "keyword", KEYWORD, 0, 0, NULL },
	{ "from", FIELD, 0, 0, "From" },
	{ "to", FIELD, 0, 0, "To" },
	{ "cc", FIELD, 0, 0, "Cc" },
	{ "subject", FIELD, 0, 0, "Subject" },
	{ "message-id", FIELD, 0, 0, "Message-ID" },
};

struct term {
	const struct word *word;
	struct imap_seqset set;
	long day;
	uint64_t size;
	const char *text;
};

struct mailbox_query {
	struct arena *a;
	struct term *term;
	int n;
};

static const struct word *find(const char *name)
{
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (span_iis(span_cstr(name), words[i].name))
			return &words[i];
	return NULL;
}

static bool take_value(struct arena *a, struct term *t, const char *value)
{
	struct span v = span_cstr(value);

	t->text = value;
	switch (t->word->what) {
	case UIDS:
		if (!imap_seqset_parse(a, v, &t->set))
			return false;
		imap_seqset_resolve(&t->set, UINT32_MAX);
		return true;
	case BEFORE:
	case SINCE:
		return date_imap_day_parse(v, &t->day);
	case LARGER:
	case SMALLER:
		return span_u64(v, UINT64_MAX / 2, &t->size);
	default:
		return v.len > 0;
	}
}

struct mailbox_query *mailbox_query_parse(struct arena *a, int argc, char **argv)
{
	struct mailbox_query *q = arena_alloc(a, sizeof *q);

	*q = (struct mailbox_query){ .a = a, .term = arena_array(a, (size_t)argc + 1, sizeof *q->term) };
	for (int i = 0; i < argc; i++) {
		struct term *t = &q->term[q->n++];

		*t = (struct term){ .word = find(argv[i]) };
		if (t->word == NULL) {
			fprintf(stderr, "posthouse: %s: not a search word\n", argv[i]);
			return NULL;
		}
		if (t->word->what == FLAG)
			continue;
		if (++i == argc || !take_value(a, t, argv[i])) {
			fprintf(stderr, "posthouse: %s: a good value has to follow\n", t->word->name);
			return NULL;
		}
	}
	return q;
}

static bool field_has(struct arena *a, struct mailbox *mb, uint32_t seq, const char *field, const char *text)
{
	struct store_view view;
	struct buf decoded;
	bool yes = false;

	if (mailbox_view(mb, seq, &view) != STORE_OK)
		return false;
	buf_init(&decoded, 4 * FIELD_MAX);
	if (mime_words_decode(&decoded, header_get(a, view.raw, field, FIELD_MAX)))
		yes = strcasestr(buf_cstr(&decoded), text) != NULL;
	buf_free(&decoded);
	store_view_done(&view);
	return yes;
}

static bool has_keyword(struct mailbox *mb, const struct store_msg *m, const char *name)
{
	int bit = mailbox_keyword_bit(mb, span_cstr(name), false);

	return bit >= 0 && (m->keywords & UINT64_C(1) << bit) != 0;
}

static bool holds(struct mailbox_query *q, const struct term *t, struct mailbox *mb, uint32_t seq)
{
	const struct store_msg *m = mailbox_msg(mb, seq);
	struct date date = { .at = (time_t)m->internal_date, .zone_minutes = m->zone_minutes };
	uint64_t size = 0;

	switch (t->word->what) {
	case FLAG:
		return (m->flags & t->word->mask) == t->word->flags;
	case UIDS:
		return imap_seqset_has(&t->set, m->uid);
	case BEFORE:
		return date_day(date) < t->day;
	case SINCE:
		return date_day(date) >= t->day;
	case LARGER:
		return mailbox_size(mb, seq, &size) == STORE_OK && size > t->size;
	case SMALLER:
		return mailbox_size(mb, seq, &size) == STORE_OK && size < t->size;
	case KEYWORD:
		return has_keyword(mb, m, t->text);
	case FIELD:
		return field_has(q->a, mb, seq, t->word->field, t->text);
	}
	return false;
}

bool mailbox_query_matches(struct mailbox_query *q, struct mailbox *mb, uint32_t seq)
{
	for (int i = 0; i < q->n; i++)
		if (!holds(q, &q->term[i], mb, seq))
			return false;
	return true;
}
