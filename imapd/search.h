/* SPDX-License-Identifier: BSD-2-Clause */
/* SEARCH: the program (search-parse.c), and its run over a message (search-run.c, search-text.c). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "imapd/fetch.h"

/* In the order of what they cost: the cheap ones of an AND are asked first. */
enum search_key {
	KEY_ALL,
	KEY_FLAGS,
	KEY_KEYWORD,
	KEY_SEQ,
	KEY_UID,
	KEY_MODSEQ,
	KEY_BEFORE,
	KEY_ON,
	KEY_SINCE,
	KEY_SAVEDBEFORE,
	KEY_SAVEDON,
	KEY_SAVEDSINCE,
	KEY_OLDER,
	KEY_YOUNGER,
	KEY_LARGER,
	KEY_SMALLER,
	KEY_AND,
	KEY_OR,
	KEY_SENTBEFORE,
	KEY_SENTON,
	KEY_SENTSINCE,
	KEY_THREADID,
	KEY_HEADER,
	KEY_EMAILID,
	KEY_BODY,
	KEY_TEXT,
};

struct search_node {
	enum search_key key;
	bool negate;
	struct search_node *child, *next; /* AND, OR */
	uint32_t flags, flags_mask;       /* KEY_FLAGS: (flags & mask) == flags */
	uint64_t keywords;                /* KEY_KEYWORD: 0: the keyword is not known, nothing has it */
	struct imap_seqset set;           /* KEY_SEQ, KEY_UID: resolved */
	long day;
	uint32_t size;                    /* or seconds */
	uint64_t modseq;                  /* KEY_MODSEQ: at least */
	const char *field; /* KEY_HEADER */
	struct span text;  /* UTF-8, folded; empty: the field has to be there. KEY_EMAILID, KEY_THREADID: the id */
};

/* Parse "CHARSET x keys..."; NULL: answered. */
struct search_node *search_parse(struct session *s, struct imap_scan *a);
/* The same with a charset that was given before (SORT, THREAD). */
struct search_node *search_parse_charset(struct session *s, struct imap_scan *a, struct span charset);
/* Does the message at this position of the view match? m->view is loaded when first needed. */
struct search_msg {
	struct session *s;
	uint32_t at;
	bool loaded, viewed;
	bool cut; /* a text was too long to be looked at as a whole */
	struct fetch_msg m;
	const struct store_msg *info; /* a copy, or NULL: the message is gone */
	struct store_msg copy;
	struct buf *text; /* decoded, folded text: kept from message to message */
};
bool search_matches(struct search_msg *m, const struct search_node *n);
void search_unload(struct search_msg *m);

/* Is there a MODSEQ key in it? */
bool search_has_modseq(const struct search_node *n);
/* search-run.c: positions in the view of what matches, ascending, in s->arena. */
uint32_t *search_run(struct session *s, const struct search_node *program, uint32_t *n_r);

/* search-return.c */
enum search_return_what {
	RETURN_MIN = 1,
	RETURN_MAX = 2,
	RETURN_COUNT = 4,
	RETURN_ALL = 8,
	RETURN_SAVE = 16,
	RETURN_PARTIAL = 32,
};
struct search_return {
	bool extended; /* RETURN was given */
	bool modseq;   /* RFC 7162 3.1.5: a MODSEQ key was, too */
	unsigned what;
	struct partial_range partial;
};
/* "RETURN (...) ", if it is there. */
bool search_return_scan(struct imap_scan *a, struct search_return *r_r);
/* "* ESEARCH ..." or "* plain 1 2 3" for these positions of the view, in this order; and SAVE. */
void search_answer(struct session *s, const struct search_return *r, const char *plain, uint32_t *at, uint32_t n);

/* search-text.c */
/* Lower case of what has one: ASCII, Latin, Greek and Cyrillic letters, in place (no letter changes its length). */
void search_fold(char *utf8, size_t len);
bool search_header(struct search_msg *m, const char *field, struct span needle);
/* What search_header looks at: decoded and folded, a NUL behind each field of this name. False: it is too long to be kept. */
bool search_field_text(struct search_msg *m, const char *field, struct span *text_r);
bool search_body(struct search_msg *m, struct span needle);
bool search_text(struct search_msg *m, struct span needle); /* header and body */
