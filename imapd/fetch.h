/* SPDX-License-Identifier: BSD-2-Clause */
/* FETCH: what was asked for (cmd-fetch.c), parts of a message (fetch-body.c), its structure (fetch-structure.c). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "imapd/imapd.h"
#include "lib/proto/mime.h"

enum fetch_what {
	FETCH_FLAGS,
	FETCH_UID,
	FETCH_INTERNALDATE,
	FETCH_SIZE,
	FETCH_MODSEQ,
	FETCH_SAVEDATE,
	FETCH_ENVELOPE,
	FETCH_BODY,
	FETCH_BODYSTRUCTURE,
	FETCH_EMAILID,
	FETCH_THREADID,
	FETCH_SECTION, /* BODY[...], RFC822... */
	FETCH_BINARY,  /* BINARY[...] */
	FETCH_BINARY_SIZE,
};

enum section_what { SECTION_ALL, SECTION_HEADER, SECTION_FIELDS, SECTION_FIELDS_NOT, SECTION_TEXT, SECTION_MIME };

enum { SECTION_DEPTH_MAX = MIME_DEPTH_MAX + 1 };

struct fetch_section {
	enum section_what what;
	uint32_t part[SECTION_DEPTH_MAX];
	size_t nparts;
	struct span *fields;
	size_t nfields;
	bool peek; /* \Seen is not set */
	bool partial;
	uint32_t offset, count;
	struct span label; /* "BODY[1.2.HEADER]", "RFC822.TEXT": how the response names it, without "<offset>" */
};

struct fetch_item {
	enum fetch_what what;
	struct fetch_section *section;
};

/* What of a message is worked out once and kept with the index, in the order of enum fetch_what from FETCH_ENVELOPE on. */
enum { FETCH_KEPT = 5 };

struct fetch {
	struct fetch_item *item;
	size_t n;
	struct store_item kept[FETCH_KEPT]; /* names of those asked for */
	size_t nkept;
	bool needs_view, needs_size, sets_seen, wants_flags, wants_modseq;
	bool changed, vanished; /* CHANGEDSINCE, VANISHED */
	uint64_t since;
};

/* A message being fetched; nothing in it needs a lock. */
struct fetch_msg {
	struct store_view view; /* only when viewed */
	bool viewed;
	struct mime_part *mime; /* made when first needed, in s->msg */
	struct store_item kept[FETCH_KEPT];
	bool known; /* they have their values */
	int64_t internal_date, save_date;
	int32_t zone_minutes;
	uint64_t size;
};

/* By what name it is kept with the index. */
struct span fetch_kept_name(enum fetch_what what);

/* fetch-section.c: "BODY[...]<0.5>" after "BODY" or "BODY.PEEK" has been read; RFC822 forms by name. */
bool fetch_section_scan(struct session *s, struct imap_scan *a, bool peek, struct fetch_section **sec_r);
/* "[1.2]<0.5>" after "BINARY", "BINARY.PEEK" or "BINARY.SIZE". */
bool fetch_binary_scan(struct session *s, struct imap_scan *a, struct span name, struct fetch_section **sec_r);
struct fetch_section *fetch_section_rfc822(struct session *s, struct span name); /* NULL: not one of them */

/* fetch-body.c: "BODY[...] {n}" CRLF and the octets, to the client. */
void fetch_send_section(struct session *s, struct fetch_msg *m, const struct fetch_section *sec);
struct mime_part *fetch_mime(struct session *s, struct fetch_msg *m);

/* fetch-binary.c: "BINARY[1] {n}" CRLF and the decoded octets, to the client; "BINARY.SIZE[1] n" to s->out. */
void fetch_send_binary(struct session *s, struct fetch_msg *m, const struct fetch_section *sec);
void fetch_put_binary_size(struct session *s, struct fetch_msg *m, const struct fetch_section *sec);

/* fetch-structure.c: append to s->out. */
void fetch_put_envelope(struct session *s, struct span header);
void fetch_put_structure(struct session *s, const struct mime_part *part, bool extended);
