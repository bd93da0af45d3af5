/* SPDX-License-Identifier: BSD-2-Clause */
/* First octet: chunk size; the rest: what a server sends, reply after reply. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/must.h"
#include "lib/base/utf8.h"
#include "lib/base/verdict.h"
#include "lib/proto/smtp_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void clean(struct span s)
{
	must(utf8_valid(s));
	for (size_t i = 0; i < s.len; i++)
		must(!ascii_iscntrl(s.ptr[i]));
}

static void check(struct smtp_reply_parser *p)
{
	struct arena a = ARENA_INIT;
	struct smtp_reply *r = &p->reply;
	struct smtp_ehlo e;

	must(r->code >= 200 && r->code <= 599 && r->nlines >= 1 && r->nlines <= SMTP_REPLY_LINES_MAX);
	must(verdict_dsn_valid(span_cstr(r->dsn)) || r->dsn[0] == '3');
	must(r->dsn[0] - '0' == r->code / 100 && r->text.len <= SMTP_REPLY_TEXT_MAX);
	clean(r->text);
	clean(r->last);
	for (size_t i = 0; i < r->nlines; i++)
		clean(smtp_reply_text_line(p, i));
	smtp_ehlo_parse(&a, p, &e);
	clean(e.auth);
	arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_reply_parser p;
	struct span in = span_of((const char *)data + 1, size - 1);
	enum smtp_reply_status status = SMTP_REPLY_MORE;

	if (size == 0)
		return 0;
	smtp_reply_init(&p);
	while (in.len && (status == SMTP_REPLY_MORE || status == SMTP_REPLY_DONE)) {
		struct span chunk = span_head(in, 1 + data[0]);
		size_t before = chunk.len;

		if (status == SMTP_REPLY_DONE)
			smtp_reply_reset(&p);
		status = smtp_reply_feed(&p, &chunk);
		must(chunk.len < before && (status != SMTP_REPLY_MORE || chunk.len == 0));
		in = span_skip(in, before - chunk.len);
		if (status == SMTP_REPLY_DONE)
			check(&p);
	}
	smtp_reply_free(&p);
	return 0;
}
