/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "lib/base/utf8.h"
#include "lib/proto/header.h"
#include "lib/proto/pop3_cmd.h"
#include "lib/proto/smtp_data.h"
#include "pop3d/pop3d.h"

enum { PIECE_BYTES = 16384 };

static void without_nuls(char *p, size_t n)
{
	while (n > 0) {
		char *nul = memchr(p, '\0', n);

		if (nul == NULL)
			return;
		*nul++ = '\x80';
		n -= (size_t)(nul - p);
		p = nul;
	}
}

/* Is there an empty line behind it? */
static bool header_ends(struct span raw)
{
	struct span head = span_head(raw, header_size(raw));

	return span_ends(head, "\n\n") || span_ends(head, "\n\r\n") || span_is(head, "\n") || span_is(head, "\r\n");
}

/* The content as it is counted: lone CRs and NULs stay. An open last line is closed, or the dot would be part of it. */
static uint64_t send_stuffed(struct stream *io, struct span raw)
{
	struct smtp_data_encoder e;
	struct span rest = raw;
	char piece[PIECE_BYTES];
	bool open = raw.len > 0 && raw.ptr[raw.len - 1] != '\n';
	uint64_t octets = 0;
	size_t n;

	smtp_data_encoder_init(&e, SMTP_ENCODE_DOTS | SMTP_ENCODE_KEEP_CR, 0);
	while (rest.len > 0 && stream_status(io) == IO_OK) {
		n = smtp_data_encode(&e, &rest, piece, sizeof piece);
		if (options.no_nuls)
			without_nuls(piece, n);
		stream_write(io, span_of(piece, n));
		octets += n;
	}
	n = smtp_data_encode_end(&e, piece);
	stream_write(io, span_of(piece, n));
	if (open)
		stream_puts(io, "\r\n");
	if (options.end_of_header && !header_ends(raw))
		stream_puts(io, "\r\n");
	stream_puts(io, ".\r\n");
	return octets + n;
}

enum store_status send_message(struct stream *io, struct maildrop *d, struct drop_msg *m, bool all, uint32_t lines,
			       const char *reply, uint64_t *octets_r)
{
	struct store_view v;
	enum store_status st = mailbox_view(d->mb, m->seq, &v);

	*octets_r = 0;
	if (st != STORE_OK) {
		m->gone |= st == STORE_EXPUNGED;
		return st;
	}
	stream_puts(io, reply);
	stream_puts(io, "\r\n");
	*octets_r = send_stuffed(io, all ? v.raw : span_head(v.raw, pop3_top_length(v.raw, lines)));
	store_view_done(&v);
	return STORE_OK;
}

bool message_is_utf8(struct maildrop *d, struct drop_msg *m)
{
	struct store_view v;
	struct span head;
	bool high = false;

	if (mailbox_view(d->mb, m->seq, &v) != STORE_OK)
		return false;
	head = span_head(v.raw, header_size(v.raw));
	for (size_t i = 0; i < head.len && !high; i++)
		high = (unsigned char)head.ptr[i] >= 0x80;
	high = high && utf8_valid(head);
	store_view_done(&v);
	return high;
}
