/* SPDX-License-Identifier: BSD-2-Clause */
/* posthouse mailbox export and import: mbox, as in posthouse-mailbox(5), with flags in Status: and X-Status:. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/store/fs.h"
#include "lib/store/mbox-int.h"
#include "tools/posthouse/mailbox.h"

static const size_t INPUT_MAX = (size_t)1 << 32, MESSAGE_MAX = (size_t)1 << 31;

static void put_fields(struct mailbox *mb, const struct store_msg *m, struct buf *out)
{
	static const struct {
		char letter;
		uint32_t flag;
	} letters[] = { { 'A', STORE_ANSWERED }, { 'D', STORE_DELETED }, { 'F', STORE_FLAGGED }, { 'T', STORE_DRAFT } };

	buf_addf(out, "Status: %sO\nX-Status: ", m->flags & STORE_SEEN ? "R" : "");
	for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
		if (m->flags & letters[i].flag)
			buf_addc(out, letters[i].letter);
	buf_adds(out, "\nX-Keywords:");
	for (unsigned i = 0; i < STORE_KEYWORDS_MAX; i++)
		if (m->keywords & UINT64_C(1) << i)
			buf_addf(out, " %s", mailbox_keyword(mb, i));
	buf_addc(out, '\n');
}

static enum store_status export_one(struct mailbox *mb, uint32_t seq)
{
	const struct store_msg *m = mailbox_msg(mb, seq);
	struct mbox_encoder e;
	struct store_view view;
	enum store_status st = mailbox_view(mb, seq, &view);
	struct buf out;
	bool ok;

	if (st != STORE_OK)
		return st == STORE_EXPUNGED ? STORE_OK : st;
	buf_init(&out, MESSAGE_MAX);
	mbox_from_make(&out, SPAN("MAILER-DAEMON"), m->internal_date);
	put_fields(mb, m, &out);
	mbox_encoder_init(&e, true);
	ok = mbox_encode(&e, view.raw, &out) && mbox_encode_end(&e, &out);
	store_view_done(&view);
	if (ok && fwrite(out.ptr, 1, out.len, stdout) != out.len)
		st = STORE_ERROR;
	buf_free(&out);
	return ok ? st : STORE_TOOBIG;
}

int mailbox_export(struct mailbox *mb, struct mailbox_query *q)
{
	enum store_status st = STORE_OK;

	for (uint32_t seq = 1; seq <= mailbox_count(mb) && st == STORE_OK; seq++)
		if (mailbox_query_matches(q, mb, seq))
			st = export_one(mb, seq);
	return mailbox_status(st, "export");
}

/* text: a message behind its From_ line. */
static enum store_status add(struct store_append *ap, struct span text, int64_t date)
{
	enum { KEYWORDS_MAX = 64 };
	struct span keywords[KEYWORDS_MAX], words;
	struct mbox_meta meta;
	enum store_status st;
	struct buf mail;
	size_t n = 0;

	mbox_meta_parse(text, &meta);
	if (meta.pseudo || meta.unfinished)
		return STORE_OK;
	words = meta.block.keywords;
	while (n < KEYWORDS_MAX && span_word(&words, " \t\r\n", &keywords[n]))
		n++;
	buf_init(&mail, MESSAGE_MAX);
	st = mbox_decode(text, &mail) ? STORE_OK : STORE_TOOBIG;
	if (st == STORE_OK)
		st = store_append_message(ap, meta.block.flags, keywords, n, date, 0);
	if (st == STORE_OK)
		st = store_append_write(ap, buf_span(&mail));
	buf_free(&mail);
	return st;
}

static enum store_status add_all(struct store_append *ap, struct span all)
{
	enum store_status st = STORE_OK;
	struct span line, next_line;
	int64_t date, next_date;
	ptrdiff_t at = mbox_find_from(all, 0, true, true, &line, &date);

	if (at != 0)
		return STORE_BADNAME;
	while (st == STORE_OK && at >= 0) {
		at = mbox_find_from(all, line.len, false, true, &next_line, &next_date);
		st = add(ap, span_skip(at >= 0 ? span_head(all, (size_t)at) : all, line.len), date);
		all = span_skip(all, at >= 0 ? (size_t)at : all.len);
		line = next_line;
		date = next_date;
	}
	return st;
}

/* All or nothing. */
int mailbox_import(struct store *s, const char *name)
{
	struct arena a = ARENA_INIT;
	struct store_append *ap;
	enum store_status st;
	struct buf in;
	uint32_t validity, *uids;
	ssize_t got = 1;
	size_t n = 0;
	char *space;

	buf_init(&in, INPUT_MAX);
	while (got > 0 && (space = buf_reserve(&in, 1 << 20)) != NULL && (got = read(STDIN_FILENO, space, 1 << 20)) > 0)
		buf_commit(&in, (size_t)got);
	if (got != 0) {
		log_error("standard input: %s", in.overflow ? "too long" : strerrordesc_np(errno));
		return EX_IOERR;
	}
	st = store_append_begin(s, span_cstr(name), &ap);
	if (st != STORE_OK)
		return mailbox_status(st, name);
	st = in.len > 0 ? add_all(ap, buf_span(&in)) : STORE_OK;
	buf_free(&in);
	if (st != STORE_OK)
		store_append_abort(ap);
	if (st == STORE_BADNAME) {
		log_error("standard input is not an mbox");
		return EX_DATAERR;
	}
	if (st == STORE_OK)
		st = store_append_commit(ap, &a, &validity, &uids, &n);
	if (st == STORE_OK)
		printf("%zu\n", n);
	arena_free(&a);
	return mailbox_status(st, name);
}
