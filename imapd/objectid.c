/* SPDX-License-Identifier: BSD-2-Clause */
#include "imapd/objectid.h"

#include <string.h>

#include "lib/base/sha256.h"
#include "lib/proto/header.h"
#include "lib/proto/imap_thread.h"

enum {
	USED = 20,             /* octets of a digest */
	FIELD_MAX = 64 * 1024, /* of References: its first id counts */
	IDS_MAX = 5000,
};

static struct span text_of(struct arena *a, char kind, struct sha256 *s)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char digest[SHA256_SIZE];
	char *text = arena_array(a, 1 + 2 * USED, 1);

	sha256_end(s, digest);
	text[0] = kind;
	for (size_t i = 0; i < USED; i++) {
		text[1 + 2 * i] = hex[digest[i] >> 4];
		text[2 + 2 * i] = hex[digest[i] & 15];
	}
	return span_of(text, 1 + 2 * USED);
}

struct span objectid_email(struct arena *a, struct span raw, int64_t internal_date)
{
	struct sha256 s;
	char date[8];

	for (int i = 0; i < 8; i++)
		date[i] = (char)((uint64_t)internal_date >> (8 * i));
	sha256_init(&s);
	sha256_add(&s, span_of(date, sizeof(date)));
	while (raw.len > 0) {
		ptrdiff_t lf = span_chr(raw, '\n');
		struct span line = span_head(raw, lf < 0 ? raw.len : (size_t)lf);

		raw = span_skip(raw, line.len + (lf >= 0));
		if (lf >= 0 && span_ends(line, "\r"))
			line.len--;
		sha256_add(&s, line);
		if (lf >= 0)
			sha256_add(&s, SPAN("\r\n"));
	}
	return text_of(a, 'E', &s);
}

static bool first_id(struct arena *a, struct span header, const char *field, struct span *id_r)
{
	struct span *ids;

	if (imap_thread_ids(a, header_get(a, header, field, FIELD_MAX), IDS_MAX, &ids) == 0)
		return false;
	*id_r = ids[0];
	return true;
}

struct span objectid_thread(struct arena *a, struct span header)
{
	struct sha256 s;
	struct span id;

	if (!first_id(a, header, "References", &id) && !first_id(a, header, "In-Reply-To", &id) &&
	    !first_id(a, header, "Message-ID", &id))
		return SPAN("NIL");
	sha256_init(&s);
	sha256_add(&s, id);
	return text_of(a, 'T', &s);
}
