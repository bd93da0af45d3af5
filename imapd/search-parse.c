/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "imapd/box.h"
#include "imapd/search.h"
#include "lib/proto/date.h"
#include "lib/proto/mime_text.h"

enum { NODES_MAX = 10000, TEXT_MAX = 64 * 1024 };

struct parse {
	struct session *s;
	struct imap_scan *a;
	struct span charset; /* empty: US-ASCII, which UTF-8 holds */
	unsigned nodes;
};

enum arg { ARG_NONE, ARG_STRING, ARG_DATE, ARG_NUMBER, ARG_INTERVAL, ARG_KEYWORD, ARG_FIELD, ARG_MODSEQ, ARG_OBJECTID };

static const struct word {
	const char *name;
	enum search_key key;
	enum arg arg;
	uint32_t flags, mask;
	bool negate;
	const char *field;
} words[] = {
	{ .name = "ALL", .key = KEY_ALL },
	{ .name = "ANSWERED", .key = KEY_FLAGS, .flags = STORE_ANSWERED, .mask = STORE_ANSWERED },
	{ .name = "UNANSWERED", .key = KEY_FLAGS, .mask = STORE_ANSWERED },
	{ .name = "DELETED", .key = KEY_FLAGS, .flags = STORE_DELETED, .mask = STORE_DELETED },
	{ .name = "UNDELETED", .key = KEY_FLAGS, .mask = STORE_DELETED },
	{ .name = "DRAFT", .key = KEY_FLAGS, .flags = STORE_DRAFT, .mask = STORE_DRAFT },
	{ .name = "UNDRAFT", .key = KEY_FLAGS, .mask = STORE_DRAFT },
	{ .name = "FLAGGED", .key = KEY_FLAGS, .flags = STORE_FLAGGED, .mask = STORE_FLAGGED },
	{ .name = "UNFLAGGED", .key = KEY_FLAGS, .mask = STORE_FLAGGED },
	{ .name = "SEEN", .key = KEY_FLAGS, .flags = STORE_SEEN, .mask = STORE_SEEN },
	{ .name = "UNSEEN", .key = KEY_FLAGS, .mask = STORE_SEEN },
	{ .name = "RECENT", .key = KEY_FLAGS, .flags = STORE_RECENT, .mask = STORE_RECENT },
	{ .name = "OLD", .key = KEY_FLAGS, .mask = STORE_RECENT },
	{ .name = "NEW", .key = KEY_FLAGS, .flags = STORE_RECENT, .mask = STORE_RECENT | STORE_SEEN },
	{ .name = "KEYWORD", .key = KEY_KEYWORD, .arg = ARG_KEYWORD },
	{ .name = "UNKEYWORD", .key = KEY_KEYWORD, .arg = ARG_KEYWORD, .negate = true },
	{ .name = "BEFORE", .key = KEY_BEFORE, .arg = ARG_DATE },
	{ .name = "ON", .key = KEY_ON, .arg = ARG_DATE },
	{ .name = "SINCE", .key = KEY_SINCE, .arg = ARG_DATE },
	{ .name = "SAVEDBEFORE", .key = KEY_SAVEDBEFORE, .arg = ARG_DATE },
	{ .name = "SAVEDON", .key = KEY_SAVEDON, .arg = ARG_DATE },
	{ .name = "SAVEDSINCE", .key = KEY_SAVEDSINCE, .arg = ARG_DATE },
	{ .name = "SAVEDATESUPPORTED", .key = KEY_ALL }, /* every mailbox does */
	{ .name = "EMAILID", .key = KEY_EMAILID, .arg = ARG_OBJECTID },
	{ .name = "THREADID", .key = KEY_THREADID, .arg = ARG_OBJECTID },
	{ .name = "SENTBEFORE", .key = KEY_SENTBEFORE, .arg = ARG_DATE },
	{ .name = "SENTON", .key = KEY_SENTON, .arg = ARG_DATE },
	{ .name = "SENTSINCE", .key = KEY_SENTSINCE, .arg = ARG_DATE },
	{ .name = "OLDER", .key = KEY_OLDER, .arg = ARG_INTERVAL },
	{ .name = "YOUNGER", .key = KEY_YOUNGER, .arg = ARG_INTERVAL },
	{ .name = "MODSEQ", .key = KEY_MODSEQ, .arg = ARG_MODSEQ },
	{ .name = "LARGER", .key = KEY_LARGER, .arg = ARG_NUMBER },
	{ .name = "SMALLER", .key = KEY_SMALLER, .arg = ARG_NUMBER },
	{ .name = "BCC", .key = KEY_HEADER, .arg = ARG_STRING, .field = "bcc" },
	{ .name = "CC", .key = KEY_HEADER, .arg = ARG_STRING, .field = "cc" },
	{ .name = "FROM", .key = KEY_HEADER, .arg = ARG_STRING, .field = "from" },
	{ .name = "SUBJECT", .key = KEY_HEADER, .arg = ARG_STRING, .field = "subject" },
	{ .name = "TO", .key = KEY_HEADER, .arg = ARG_STRING, .field = "to" },
	{ .name = "HEADER", .key = KEY_HEADER, .arg = ARG_FIELD },
	{ .name = "BODY", .key = KEY_BODY, .arg = ARG_STRING },
	{ .name = "TEXT", .key = KEY_TEXT, .arg = ARG_STRING },
};

static bool scan_text(struct parse *p, struct search_node *n)
{
	struct span text;
	struct buf utf8;

	if (!imap_scan_sp(p->a) || !imap_scan_astring(p->a, &text))
		return false;
	buf_init(&utf8, TEXT_MAX);
	if (!mime_to_utf8(&utf8, p->charset, text)) {
		buf_free(&utf8);
		return imap_scan_fail(p->a, "Search text is too long");
	}
	if (utf8.len > 0)
		search_fold(utf8.ptr, utf8.len);
	n->text = arena_span(&p->s->arena, buf_span(&utf8));
	buf_free(&utf8);
	return true;
}

static bool scan_day(struct parse *p, struct search_node *n)
{
	struct span text;

	if (!imap_scan_sp(p->a) || !imap_scan_astring(p->a, &text))
		return false;
	return date_imap_day_parse(text, &n->day) || imap_scan_fail(p->a, "Invalid search date parameter");
}

static bool scan_keyword(struct parse *p, struct search_node *n)
{
	struct span name;
	int bit;

	if (!imap_scan_sp(p->a) || !imap_scan_atom(p->a, &name))
		return false;
	box_lock(p->s->box);
	bit = mailbox_keyword_bit(p->s->mb, name, false);
	box_unlock(p->s->box);
	n->keywords = bit < 0 ? 0 : 1ULL << bit;
	return true;
}

/* [entry-name SP type SP] number: sequences are per message here, whatever entry is named. */
static bool scan_modseq(struct parse *p, struct search_node *n)
{
	struct span entry, type;

	if (!imap_scan_sp(p->a))
		return false;
	if (imap_scan_peek(p->a, '"')) {
		if (!imap_scan_string(p->a, &entry) || !imap_scan_sp(p->a) || !imap_scan_atom(p->a, &type) || !imap_scan_sp(p->a))
			return false;
		if (!span_istarts(entry, "/flags/") ||
		    (!span_iis(type, "all") && !span_iis(type, "priv") && !span_iis(type, "shared")))
			return imap_scan_fail(p->a, "Invalid MODSEQ entry");
	}
	return imap_scan_number64(p->a, &n->modseq);
}

/* RFC 8474 7 */
static bool scan_objectid(struct parse *p, struct search_node *n)
{
	enum { OBJECTID_MAX = 255 };

	if (!imap_scan_sp(p->a) || !imap_scan_atom(p->a, &n->text))
		return false;
	for (size_t i = 0; i < n->text.len; i++)
		if (!ascii_isalnum(n->text.ptr[i]) && n->text.ptr[i] != '-' && n->text.ptr[i] != '_')
			return imap_scan_fail(p->a, "Invalid object id");
	return n->text.len <= OBJECTID_MAX || imap_scan_fail(p->a, "Invalid object id");
}

static bool scan_arg(struct parse *p, struct search_node *n, const struct word *w)
{
	struct span field;

	switch (w->arg) {
	case ARG_NONE:
		return true;
	case ARG_STRING:
		return scan_text(p, n);
	case ARG_DATE:
		return scan_day(p, n);
	case ARG_NUMBER:
		return imap_scan_sp(p->a) && imap_scan_number(p->a, &n->size);
	case ARG_INTERVAL:
		return imap_scan_sp(p->a) && imap_scan_number(p->a, &n->size) &&
		       (n->size > 0 || imap_scan_fail(p->a, "Invalid search interval"));
	case ARG_KEYWORD:
		return scan_keyword(p, n);
	case ARG_MODSEQ:
		return scan_modseq(p, n);
	case ARG_OBJECTID:
		return scan_objectid(p, n);
	case ARG_FIELD:
		if (!imap_scan_sp(p->a) || !imap_scan_astring(p->a, &field))
			return false;
		n->field = arena_cstr(&p->s->arena, field);
		return scan_text(p, n);
	}
	return false;
}

static struct search_node *scan_key(struct parse *p);

static struct search_node *new_node(struct parse *p, enum search_key key)
{
	struct search_node *n;

	if (++p->nodes > NODES_MAX) {
		imap_scan_fail(p->a, "Too many search keys");
		return NULL;
	}
	n = arena_alloc(&p->s->arena, sizeof(*n));
	n->key = key;
	return n;
}

static unsigned cost(const struct search_node *n)
{
	return n->key;
}

/* Cheap keys first; OR and AND count as what they are in enum search_key. */
static void insert(struct search_node **list, struct search_node *n)
{
	while (*list != NULL && cost(*list) <= cost(n))
		list = &(*list)->next;
	n->next = *list;
	*list = n;
}

/* Keys up to the end or a closing parenthesis. */
static struct search_node *scan_and(struct parse *p)
{
	struct search_node *and = new_node(p, KEY_AND), *n;

	if (and == NULL)
		return NULL;
	do {
		n = scan_key(p);
		if (n == NULL)
			return NULL;
		insert(&and->child, n);
	} while (imap_scan_peek(p->a, ' ') && imap_scan_sp(p->a) && p->a->in.len > 0);
	return and;
}

static struct search_node *scan_set(struct parse *p, bool uids, struct span text)
{
	bool saved = span_is(text, "$");
	struct search_node *n = new_node(p, uids || saved ? KEY_UID : KEY_SEQ);
	const struct view *v = &p->s->view;
	uint32_t max = v->n == 0 ? 1 : uids ? v->msg[v->n - 1].uid : v->n;

	if (n == NULL)
		return NULL;
	if (saved) {
		saved_set(p->s, &n->set);
		return n;
	}
	if (!imap_seqset_parse(&p->s->arena, text, &n->set)) {
		imap_scan_fail(p->a, uids ? "Invalid UID messageset" : "Invalid messageset");
		return NULL;
	}
	imap_seqset_resolve(&n->set, max);
	return n;
}

/* NOT and OR nest without parentheses: the depth is counted for them too. */
static struct search_node *scan_not(struct parse *p)
{
	struct search_node *n;

	if (++p->a->depth > p->a->depth_max) {
		imap_scan_fail(p->a, "Too many nested search keys");
		return NULL;
	}
	n = imap_scan_sp(p->a) ? scan_key(p) : NULL;
	p->a->depth--;
	if (n != NULL)
		n->negate = !n->negate;
	return n;
}

static struct search_node *scan_or(struct parse *p)
{
	struct search_node *n = new_node(p, KEY_OR), *x = NULL, *y = NULL;

	if (n == NULL)
		return NULL;
	if (++p->a->depth > p->a->depth_max) {
		imap_scan_fail(p->a, "Too many nested search keys");
		return NULL;
	}
	if (imap_scan_sp(p->a))
		x = scan_key(p);
	if (x != NULL && imap_scan_sp(p->a))
		y = scan_key(p);
	p->a->depth--;
	if (x == NULL || y == NULL)
		return NULL;
	insert(&n->child, x);
	insert(&n->child, y);
	return n;
}

static struct search_node *scan_word_key(struct parse *p, const struct word *w)
{
	struct search_node *n = new_node(p, w->key);

	if (n == NULL)
		return NULL;
	n->flags = w->flags;
	n->flags_mask = w->mask;
	n->negate = w->negate;
	n->field = w->field;
	return scan_arg(p, n, w) ? n : NULL;
}

static struct search_node *scan_key(struct parse *p)
{
	struct search_node *n;
	struct span word, set;

	if (imap_scan_peek(p->a, '(')) {
		if (!imap_scan_open(p->a) || (n = scan_and(p)) == NULL || !imap_scan_close(p->a))
			return NULL;
		return n;
	}
	if (!imap_scan_word(p->a, &word))
		return NULL;
	if (ascii_isdigit(word.ptr[0]) || word.ptr[0] == '*' || word.ptr[0] == '$')
		return scan_set(p, false, word);
	if (span_iis(word, "NOT"))
		return scan_not(p);
	if (span_iis(word, "OR"))
		return scan_or(p);
	if (span_iis(word, "UID"))
		return imap_scan_sp(p->a) && imap_scan_word(p->a, &set) ? scan_set(p, true, set) : NULL;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (span_iis(word, words[i].name))
			return scan_word_key(p, &words[i]);
	imap_scan_fail(p->a, "Unknown argument");
	return NULL;
}

/* False: answered. */
static bool set_charset(struct parse *p, struct span charset)
{
	p->charset = charset;
	if (span_iis(charset, "UTF-8") || span_iis(charset, "US-ASCII") || mime_charset_known(charset))
		return true;
	reply(p->s, "NO [BADCHARSET (US-ASCII UTF-8)] Unknown charset");
	return false;
}

/* False: answered. */
static bool scan_charset(struct parse *p)
{
	struct imap_scan try = *p->a;
	struct span word, charset;

	if (!imap_scan_atom(&try, &word) || !span_iis(word, "CHARSET"))
		return true;
	*p->a = try;
	if (p->s->utf8_accept) { /* RFC 6855 3 */
		reply_bad(p->s, "CHARSET after ENABLE UTF8=ACCEPT");
		return false;
	}
	if (imap_scan_sp(p->a) && imap_scan_astring(p->a, &charset) && imap_scan_sp(p->a))
		return set_charset(p, charset);
	reply_bad(p->s, p->a->error);
	return false;
}

/* Depth is bounded by the parser. */
bool search_has_modseq(const struct search_node *n)
{
	if (n->key == KEY_MODSEQ)
		return true;
	for (const struct search_node *c = n->child; c != NULL; c = c->next)
		if (search_has_modseq(c))
			return true;
	return false;
}

static struct search_node *scan_program(struct parse *p)
{
	struct search_node *n = scan_and(p);

	if (n != NULL && imap_scan_end(p->a)) {
		if (search_has_modseq(n))
			condstore_enable(p->s);
		return n;
	}
	reply_bad(p->s, p->a->error);
	return NULL;
}

struct search_node *search_parse(struct session *s, struct imap_scan *a)
{
	struct parse p = { .s = s, .a = a };

	return scan_charset(&p) ? scan_program(&p) : NULL;
}

struct search_node *search_parse_charset(struct session *s, struct imap_scan *a, struct span charset)
{
	struct parse p = { .s = s, .a = a };

	return set_charset(&p, charset) ? scan_program(&p) : NULL;
}
