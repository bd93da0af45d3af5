/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bytes of an mbox: separator lines, quoting, and the block of lines that Posthouse keeps after each From_ line. Pure.
 *
 * A message is
 *
 *	From SENDER  Tue Nov 24 04:00:00 2026
 *	X-Posthouse: KKKKKKKKKKKKKKKK LLLLLLLLLLLL CCCCCCCC      the block: fixed width, rewritten in place
 *	X-UID: 0000000000
 *	Status: RO
 *	X-Status: ADFT
 *	X-Keywords: $Forwarded<spaces>
 *	X-IMAPbase: 0000000000 0000000000<spaces>                first message of a file only
 *	(header, body; lines ">*From " have one more ">")
 *	(one empty line)
 *
 * K: hash of the delivery's key, 16 hex digits; of what a client appended the time, which is below 2^32. L: length of the message
 * in bytes from its From_ line through the empty line, zero while it is being written. C: CRC-32 of what follows the block through
 * the empty line. UID zero: not given yet.
 * The line ends of a block never move, so that a torn write leaves every line in place.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/span.h"

enum {
	MBOX_FROM_MAX = 1024,     /* longest From_ line taken for one */
	MBOX_KEYWORD_ROOM = 40,   /* bytes for keywords in a new block */
	MBOX_BASE_ROOM = 80,      /* bytes for keywords in a new X-IMAPbase line */
	MBOX_BLOCK_MAX = 16384,   /* largest block accepted */
};

/* --- From_ lines ------------------------------------------------------------------------------------------------- */
/* Does this line (without its end) separate messages: "From ", anything, a date? *date_r: wall seconds. */
bool mbox_from_parse(struct span line, int64_t *date_r);
/* Append a From_ line with its LF; sender is made safe (no space, no control bytes; empty: MAILER-DAEMON). */
bool mbox_from_make(struct buf *b, struct span sender, int64_t date);

/* --- the block --------------------------------------------------------------------------------------------------- */
struct mbox_block {
	uint64_t key;
	uint64_t length;          /* 0: unfinished */
	uint32_t crc;
	uint32_t uid;             /* 0: none */
	uint32_t flags;           /* STORE_SEEN ... STORE_DRAFT, without STORE_RECENT */
	bool old;                 /* seen by an earlier session: not recent any more */
	struct span keywords;     /* separated by spaces */
	uint32_t keyword_room;
	bool has_base;
	uint32_t uidvalidity, lastuid; /* of the base; 0: not set */
	struct span base_keywords;
	uint32_t base_room;
};

size_t mbox_block_size(const struct mbox_block *m);
/* Append it. keyword_room and base_room say the width; what does not fit is cut at a word. */
bool mbox_block_make(struct buf *b, const struct mbox_block *m);
/* s begins right after a From_ line. Size of the block, or 0: there is none. Spans point into s. */
size_t mbox_block_parse(struct span s, struct mbox_block *m_r);
/* Where the 12 digits of the length are, from the start of the block; the CRC follows after one space. */
size_t mbox_block_length_at(void);
/* Where the lines begin that change with flags; and where the X-IMAPbase line does. */
size_t mbox_block_uid_at(void);
size_t mbox_block_base_at(const struct mbox_block *m);

/* The letters of Status: and X-Status: (any program's) as flags. */
void mbox_status_parse(struct span letters, uint32_t *flags, bool *old);

/* --- fields that belong to the mailbox, not to the mail ------------------------------------------------------------ */
enum mbox_field {
	MBOX_FIELD_NONE = 0,
	MBOX_FIELD_POSTHOUSE,
	MBOX_FIELD_UID,
	MBOX_FIELD_STATUS,
	MBOX_FIELD_XSTATUS,
	MBOX_FIELD_KEYWORDS,
	MBOX_FIELD_BASE,
	MBOX_FIELD_IMAP
};
/* line: begins with "Name:". *value_r: what follows the colon. */
enum mbox_field mbox_field_of(struct span line, struct span *value_r);

/* --- writing a message's content ------------------------------------------------------------------------------------ */
struct mbox_encoder {
	bool mbox;        /* quote From_ lines and drop the mailbox's own fields; else only line ends are changed */
	bool in_header;
	bool bol;         /* at the start of a line, perhaps behind ">"s */
	bool quoted;      /* ">" was seen on this line */
	bool cr;          /* a CR is held back */
	bool dropping;    /* inside a field that is left out */
	bool any;         /* something was written */
	bool last_lf;     /* what was written ended with LF */
	char hold[16];
	uint8_t nhold;
};

void mbox_encoder_init(struct mbox_encoder *e, bool mbox);
/* Encode a chunk: CRLF becomes LF. False past out's maximum (leave at least twice the chunk and 64 bytes). */
bool mbox_encode(struct mbox_encoder *e, struct span chunk, struct buf *out);
/* The end: what was held back, a final LF when there was none, and for an mbox the empty line. */
bool mbox_encode_end(struct mbox_encoder *e, struct buf *out);

/* --- reading it ---------------------------------------------------------------------------------------------------- */
/*
 * The extent of the mail in text, which begins after the From_ line and ends where the next one begins: sizes of the fields of the
 * mailbox and of quoting taken out. size_r: octets with CRLF line ends. crlf_r: all lines ended so already.
 */
void mbox_measure(struct span text, uint64_t *size_r);
/* Append the mail itself. */
bool mbox_decode(struct span text, struct buf *out);
