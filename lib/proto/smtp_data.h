/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Message content between its two forms. On the wire lines end in CRLF, leading dots are doubled and CRLF.CRLF ends the
 * data (RFC 5321 4.5.2); stored, lines end in LF and nothing is doubled. Both directions take chunks of any size, copy
 * in bulk, and are linear in their input. No other code reads the end of DATA or writes a message to a peer.
 *
 * Neither form ever holds a lone CR: one that is not part of a line end becomes a space, both when it comes in and when
 * it would go out, so what one server takes for text can never be a line end to the next. NULs and 8-bit bytes pass.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/span.h"

/* smtpd_forbid_bare_newline: what an LF without a CR before it means. In all of them it ends a line of content. */
enum smtp_bare_lf {
	SMTP_BARE_LF_NORMALIZE = 0, /* never part of the end of data, otherwise accepted */
	SMTP_BARE_LF_REJECT,        /* the same; the caller looks at bare_lf after the end and refuses the message */
	SMTP_BARE_LF_ALLOW,         /* "no": as good as CRLF, also around the dot */
};

enum smtp_data_state {
	SMTP_DATA_LINE = 0, /* at the start of a line, after CRLF or at the start of data */
	SMTP_DATA_LINE_LF,  /* the same after a bare LF */
	SMTP_DATA_DOT,      /* "." at the start of a line */
	SMTP_DATA_DOT_LF,
	SMTP_DATA_DOT_CR, /* ".\r" */
	SMTP_DATA_DOT_CR_LF,
	SMTP_DATA_TEXT, /* within a line */
	SMTP_DATA_CR,   /* a CR within a line */
	SMTP_DATA_END,  /* all of it has been seen */
};

struct smtp_data_decoder {
	enum smtp_bare_lf policy;
	bool counted; /* BDAT (RFC 3030): dots mean nothing, and only the caller knows the end */
	enum smtp_data_state state;
	bool bare_lf, bare_cr; /* seen so far */
	uint64_t bytes;        /* stored form */
	uint64_t lines;        /* line ends in it */
	uint64_t line_bytes;   /* of the line that is being read */
	uint64_t longest_line; /* line end not counted */
};

void smtp_data_decoder_init(struct smtp_data_decoder *d, enum smtp_bare_lf policy);

/*
 * Decode from the front of *in, which moves on, into out (out_max at least 2). Returns how many bytes were written, at
 * most one more than were taken: with out_max > in->len all of *in is taken. Stops after the end of data (state
 * SMTP_DATA_END); what is left in *in then are the next commands.
 */
size_t smtp_data_decode(struct smtp_data_decoder *d, struct span *in, char *out, size_t out_max);

/* The end of counted content: what is held back and the end of an open last line, at most two bytes, into out. */
enum { SMTP_DECODE_END_MAX = 2 };
size_t smtp_data_decode_end(struct smtp_data_decoder *d, char out[SMTP_DECODE_END_MAX]);

enum smtp_encode_flags {
	SMTP_ENCODE_DOTS =
	    1, /* double leading dots, end with "." CRLF: DATA, POP3 RETR. Without: BDAT, IMAP literals */
	SMTP_ENCODE_KEEP_CR =
	    2, /* pass lone CRs and an open last line (IMAP literals of a counted size); never for SMTP */
};

enum { SMTP_LINE_LENGTH_LIMIT = 998, SMTP_ENCODE_END_MAX = 5 };

struct smtp_data_encoder {
	unsigned flags;
	size_t limit; /* octets of a line on the wire, CRLF and a doubled dot not counted; 0: none */
	size_t column;
	bool line_start; /* the next byte starts a line of the stored form */
	bool pending_cr;
};

/* limit: smtp_line_length_limit. A longer line is cut by CRLF and a space. */
void smtp_data_encoder_init(struct smtp_data_encoder *e, unsigned flags, size_t limit);

/*
 * Encode from the front of *in, which moves on, into out. Stops when *in is empty or fewer than 8 bytes of out are left
 * (out_max at least 8). Returns how many bytes were written.
 */
size_t smtp_data_encode(struct smtp_data_encoder *e, struct span *in, char *out, size_t out_max);
/*
 * End the last line when it is open, then the data. With SMTP_ENCODE_KEEP_CR nothing is ended (the content is sent as
 * it is), only a CR that was held back goes out. Returns how many bytes went into out.
 */
size_t smtp_data_encode_end(struct smtp_data_encoder *e, char out[SMTP_ENCODE_END_MAX]);
