/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MIME content made readable: transfer encodings (RFC 2045 6.7, 6.8), character sets to UTF-8, encoded words of headers
 * (RFC 2047). For searching and previews: nothing is refused, what cannot be decoded is left out or becomes U+FFFD.
 * Results are bounded by the buffer they go into; all is linear.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"

/* --- transfer encodings ------------------------------------------------------------------------------------------- */

enum mime_cte {
	MIME_CTE_IDENTITY = 0, /* 7bit, 8bit, binary, none */
	MIME_CTE_BASE64,
	MIME_CTE_QUOTED_PRINTABLE,
	MIME_CTE_UNKNOWN, /* not a name of RFC 2045: decoded as identity */
};
enum mime_cte mime_cte_of(struct span encoding);

struct mime_decoder {
	enum mime_cte cte;
	uint32_t bits; /* base64: nbits collected ones */
	unsigned nbits;
	unsigned nheld; /* quoted-printable: 1 after "=", 2 after "=" and held */
	char held;
};
void mime_decoder_init(struct mime_decoder *d, enum mime_cte cte);
/* Decode a chunk of any size behind what is in out. False past out's maximum (some of the chunk may have gone in). */
bool mime_decode(struct mime_decoder *d, struct span in, struct buf *out) __attribute__((warn_unused_result));
/* After the last chunk: what was held back. */
bool mime_decode_end(struct mime_decoder *d, struct buf *out) __attribute__((warn_unused_result));

/* --- character sets ----------------------------------------------------------------------------------------------- */

/* True for the sets that are converted: ASCII, UTF-8, ISO-8859, Windows, KOI8, GB, Big5, EUC, Shift_JIS, ISO-2022. */
bool mime_charset_known(struct span charset);
/*
 * Append text, of that set, as well-formed UTF-8. An unknown or empty set is taken for UTF-8. False past out's maximum,
 * with as much as fitted.
 */
bool mime_to_utf8(struct buf *out, struct span charset, struct span text) __attribute__((warn_unused_result));

/* --- headers ------------------------------------------------------------------------------------------------------ */

/*
 * Append a field body as UTF-8: unfolded, encoded words decoded, blanks between two of them dropped (RFC 2047 6.2).
 * A word that cannot be read stays as it is. False past out's maximum, with as much as fitted.
 */
bool mime_words_decode(struct buf *out, struct span body) __attribute__((warn_unused_result));
