/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "lib/proto/pop3_cmd.h"
#include "lib/proto/smtp_data.h"
#include "pop3d/pop3d.h"

enum { PIECE_BYTES = 16384 };

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
		stream_write(io, span_of(piece, n));
		octets += n;
	}
	n = smtp_data_encode_end(&e, piece);
	stream_write(io, span_of(piece, n));
	if (open)
		stream_puts(io, "\r\n");
	stream_puts(io, ".\r\n");
	return octets + n;
}

enum store_status send_message(struct stream *io, struct maildrop *d, struct drop_msg *m, bool all, uint32_t lines,
			       const char *reply, uint64_t *octets_r)
{
	struct store_view v;
	enum store_status st = mailbox_view(d->mb, maildrop_number(d, m), &v);

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
