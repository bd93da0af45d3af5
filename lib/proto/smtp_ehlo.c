/* SPDX-License-Identifier: BSD-2-Clause */
/* The keywords of an EHLO reply; declared in smtp_reply.h. */
#include <string.h>

#include "lib/proto/smtp_reply.h"

static const struct {
	const char *keyword;
	enum smtp_ext ext;
} keywords[] = {
	{ "PIPELINING", SMTP_EXT_PIPELINING },
	{ "8BITMIME", SMTP_EXT_8BITMIME },
	{ "STARTTLS", SMTP_EXT_STARTTLS },
	{ "AUTH", SMTP_EXT_AUTH },
	{ "ENHANCEDSTATUSCODES", SMTP_EXT_ENHANCEDSTATUSCODES },
	{ "DSN", SMTP_EXT_DSN },
	{ "SMTPUTF8", SMTP_EXT_SMTPUTF8 },
	{ "CHUNKING", SMTP_EXT_CHUNKING },
	{ "SIZE", SMTP_EXT_SIZE },
	{ "BINARYMIME", SMTP_EXT_BINARYMIME },
	{ "XCLIENT", SMTP_EXT_XCLIENT },
	{ "XFORWARD", SMTP_EXT_XFORWARD },
	{ "LIMITS", SMTP_EXT_LIMITS },
	{ "REQUIRETLS", SMTP_EXT_REQUIRETLS },
};

static unsigned ext_of(struct span word)
{
	for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
		if (span_iis(word, keywords[i].keyword))
			return keywords[i].ext;
	return 0;
}

/* "AUTH=LOGIN PLAIN" is how it was written before RFC 2554; the list counts the same. */
static struct span add_list(struct arena *a, struct span list, struct span more)
{
	char *to;

	if (list.len == 0 || more.len == 0)
		return arena_span(a, list.len ? list : more);
	to = arena_alloc(a, list.len + 1 + more.len + 1);
	memcpy(to, list.ptr, list.len);
	to[list.len] = ' ';
	memcpy(to + list.len + 1, more.ptr, more.len);
	return span_of(to, list.len + 1 + more.len);
}

static void take_keyword(struct arena *a, struct span line, struct smtp_ehlo *e)
{
	struct span word, args = line;
	unsigned ext;

	if (!span_word(&args, " \t=", &word))
		return;
	ext = ext_of(word);
	e->exts |= ext;
	args = span_trim(span_skip(args, args.len && args.ptr[0] == '='));
	/* SIZE without a number, or with one past 64 bits, states no limit. */
	if (ext == SMTP_EXT_SIZE && !span_u64(args, UINT64_MAX, &e->size))
		e->size = 0;
	else if (ext == SMTP_EXT_AUTH)
		e->auth = add_list(a, e->auth, args);
	else if (ext == SMTP_EXT_XFORWARD)
		e->xforward = add_list(a, e->xforward, args);
	else if (ext == SMTP_EXT_XCLIENT)
		e->xclient = add_list(a, e->xclient, args);
}

void smtp_ehlo_parse(struct arena *a, const struct smtp_reply_parser *p, struct smtp_ehlo *ehlo_r)
{
	struct span first = smtp_reply_text_line(p, 0);

	*ehlo_r = (struct smtp_ehlo){ 0 };
	span_word(&first, " \t", &ehlo_r->name);
	ehlo_r->name = arena_span(a, ehlo_r->name);
	for (size_t i = 1; i < p->reply.nlines; i++)
		take_keyword(a, smtp_reply_text_line(p, i), ehlo_r);
}
