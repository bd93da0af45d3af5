/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/letter.h"

#include <errno.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lib/proto/addr.h"
#include "lib/proto/date.h"
#include "lib/proto/header.h"
#include "lib/service/rights.h"

/* The header as one span in the arena, or the first LETTER_HEADER_MAX bytes of it. */
static bool read_header(struct letter *l, struct arena *a, struct span *header_r)
{
	struct buf b;
	struct span chunk;
	bool ok = true;

	buf_init(&b, LETTER_HEADER_MAX);
	letter_rewind(l);
	do {
		ok = letter_next(l, &chunk);
		buf_add_span(&b, span_head(chunk, LETTER_HEADER_MAX - b.len));
	} while (ok && chunk.len > 0 && b.len < LETTER_HEADER_MAX && header_size(buf_span(&b)) == b.len);
	*header_r = arena_span(a, span_head(buf_span(&b), header_size(buf_span(&b))));
	buf_free(&b);
	return ok;
}

static void read_trace(struct letter *l, struct arena *a, struct span header)
{
	struct header_field f;

	l->ndelivered_to = 0;
	l->hops = header_count(header, "Received");
	while (l->ndelivered_to < LETTER_TRACE_MAX && header_next(&header, &f))
		if (span_iis(f.name, "Delivered-To"))
			l->delivered_to[l->ndelivered_to++] = header_unfold(a, f.body, QUEUE_ADDRESS_MAX);
}

enum queue_status letter_open(struct letter *l, struct arena *a, const struct job_message *m)
{
	enum queue_status status;
	struct span header;

	l->m = m;
	l->start_us = clock_wall_us();
	l->message = NULL;
	status = queue_open(m->id, &m->place, &l->message);
	if (status == QUEUE_OK && !read_header(l, a, &header)) {
		queue_close(l->message);
		status = QUEUE_ERROR;
	}
	switch (status) {
	case QUEUE_OK:
		read_trace(l, a, header);
		break;
	case QUEUE_GONE:
		log_info("%s: the message is gone", m->id);
		break;
	case QUEUE_CORRUPT:
		log_error("%s: the queue file is damaged; moved aside", m->id);
		if (!rights_become_mail_owner() || queue_move_corrupt(m->id, &m->place) < 0)
			log_error("%s: cannot move the damaged queue file: %m", m->id);
		rights_restore();
		break;
	case QUEUE_ERROR:
		log_error("%s: cannot read the queue file: %m", m->id);
		break;
	}
	return status;
}

void letter_close(struct letter *l)
{
	queue_close(l->message);
	l->message = NULL;
}

/* Local parts are compared without regard to case: that is how users are looked up. */
bool letter_looped(const struct letter *l, struct span address)
{
	for (size_t i = 0; i < l->ndelivered_to; i++)
		if (span_ieq(l->delivered_to[i], address))
			return true;
	return false;
}

/* Addresses are free of control bytes where they enter; should one have slipped in, it cannot start a new line. */
void letter_put_field(struct buf *b, struct arena *a, const char *name, struct span address, bool brackets)
{
	struct span text = addr_quote(a, address);
	size_t start;

	buf_addf(b, "%s: %s", name, brackets ? "<" : "");
	start = b->len;
	buf_add_span(b, text);
	for (size_t i = start; i < b->len; i++)
		if (ascii_iscntrl(b->ptr[i]))
			b->ptr[i] = '?';
	buf_adds(b, brackets ? ">\n" : "\n");
}

bool letter_prepends(const char *kind)
{
	struct span rest = span_cstr(conf->prepend_delivered_header), word;

	while (span_word(&rest, ", \t\r\n", &word))
		if (span_iis(word, kind))
			return true;
	return false;
}

struct span letter_from_line(struct arena *a, struct span sender)
{
	char date[DATE_TEXT_MAX];
	char *from = arena_cstr(a, sender.len > 0 ? addr_quote(a, sender) : SPAN("MAILER-DAEMON"));

	for (char *p = from; *p; p++)
		if (ascii_iscntrl(*p) || *p == ' ')
			*p = '?';
	return span_cstr(arena_printf(a, "From %s  %s\n", from, date_mbox(clock_wall(), date)));
}

struct span letter_headers(struct arena *a, struct span sender, struct span original, struct span delivered)
{
	struct buf b;
	struct span out;

	buf_init(&b, 8 * ADDR_BYTES_MAX + 8 * QUEUE_ADDRESS_MAX);
	letter_put_field(&b, a, "Return-Path", sender, true);
	if (original.len > 0)
		letter_put_field(&b, a, "X-Original-To", original, false);
	if (delivered.len > 0)
		letter_put_field(&b, a, "Delivered-To", delivered, false);
	out = arena_span(a, buf_span(&b));
	buf_free(&b);
	return out;
}

void letter_rewind(struct letter *l)
{
	l->offset = 0;
}

bool letter_next(void *letter, struct span *chunk_r)
{
	struct letter *l = letter;

	if (!queue_content(l->message, l->offset, chunk_r))
		return false;
	l->offset += chunk_r->len;
	return true;
}
