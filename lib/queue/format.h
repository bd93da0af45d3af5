/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bytes of a queue file, for lib/queue alone.
 *
 *	header    64 bytes: magic, lengths and checksums of what follows, its own checksum
 *	envelope  pack()ed fields
 *	content   as lib/queue/queue.h says
 *	journal   records: u32 length of the body, body, u32 CRC-32 of the body; appended for as long as the message lives
 *
 * Pure functions. All checksums are CRC-32 (zlib's).
 */
#pragma once
#include "lib/base/pack.h"
#include "lib/queue/queue.h"

enum {
	FORMAT_HEADER_BYTES = 64,
	FORMAT_ENVELOPE_MAX = 16 * 1024 * 1024, /* smtpd_recipient_limit addresses of QUEUE_ADDRESS_MAX fit */
	FORMAT_RECORD_MAX = 4096,
};

struct format_header {
	uint32_t envelope_len, envelope_crc;
	uint64_t content_len;
	uint32_t content_crc;
};

uint32_t format_crc(uint32_t crc, struct span bytes); /* start with 0 */

void format_put_header(char to[FORMAT_HEADER_BYTES], const struct format_header *h);
bool format_get_header(struct span bytes, struct format_header *h_r); /* false: not a queue file, or damaged */

/* Envelope without journal fields. */
void format_put_envelope(struct buf *b, const struct queue_envelope *env);
/* Strings stay in bytes; the recipients go into a. False when malformed. */
bool format_get_envelope(struct span bytes, struct arena *a, struct queue_envelope *env_r);

void format_put_record(struct buf *b, const struct queue_journal_entry *e, int64_t now_us);
/* Call each for every whole record; strings stay in journal. */
void format_each_record(struct span journal,
			void (*each)(const struct queue_journal_entry *entry, int64_t at_us, void *arg), void *arg);
/* Replay a journal onto env; strings stay in journal. Stops at a torn or damaged record and sets env->corrupt_journal.
 * Returns how many bytes of the journal are whole. */
size_t format_replay(struct span journal, struct queue_envelope *env);
