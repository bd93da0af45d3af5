/* SPDX-License-Identifier: BSD-2-Clause */
/* Character sets to UTF-8, and encoded words; declared in mime_text.h. */
#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "lib/base/utf8.h"
#include "lib/proto/mime_text.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/*
 * Names from a message go to iconv_open only when they are on this list: "//TRANSLIT" and whatever else the library
 * would load by name are none of a sender's business. Supersets stand in where senders use the smaller name.
 */
static const struct {
	const char *name, *iconv;
} charsets[] = {
	{ "iso-8859-1", "CP1252" },
	{ "latin1", "CP1252" },
	{ "iso-8859-2", "ISO-8859-2" },
	{ "iso-8859-3", "ISO-8859-3" },
	{ "iso-8859-4", "ISO-8859-4" },
	{ "iso-8859-5", "ISO-8859-5" },
	{ "iso-8859-6", "ISO-8859-6" },
	{ "iso-8859-7", "ISO-8859-7" },
	{ "iso-8859-8", "ISO-8859-8" },
	{ "iso-8859-8-i", "ISO-8859-8" },
	{ "iso-8859-9", "CP1254" },
	{ "iso-8859-10", "ISO-8859-10" },
	{ "iso-8859-11", "CP874" },
	{ "iso-8859-13", "ISO-8859-13" },
	{ "iso-8859-14", "ISO-8859-14" },
	{ "iso-8859-15", "ISO-8859-15" },
	{ "iso-8859-16", "ISO-8859-16" },
	{ "windows-1250", "CP1250" },
	{ "windows-1251", "CP1251" },
	{ "windows-1252", "CP1252" },
	{ "windows-1253", "CP1253" },
	{ "windows-1254", "CP1254" },
	{ "windows-1255", "CP1255" },
	{ "windows-1256", "CP1256" },
	{ "windows-1257", "CP1257" },
	{ "windows-1258", "CP1258" },
	{ "windows-874", "CP874" },
	{ "tis-620", "CP874" },
	{ "koi8-r", "KOI8-R" },
	{ "koi8-u", "KOI8-U" },
	{ "gb2312", "GB18030" },
	{ "gbk", "GB18030" },
	{ "x-gbk", "GB18030" },
	{ "cp936", "GB18030" },
	{ "gb18030", "GB18030" },
	{ "big5", "BIG5-HKSCS" },
	{ "big5-hkscs", "BIG5-HKSCS" },
	{ "euc-jp", "EUC-JP" },
	{ "iso-2022-jp", "ISO-2022-JP" },
	{ "shift_jis", "CP932" },
	{ "sjis", "CP932" },
	{ "x-sjis", "CP932" },
	{ "euc-kr", "CP949" },
	{ "ks_c_5601-1987", "CP949" },
	{ "iso-2022-kr", "ISO-2022-KR" },
};

static const char *iconv_name(struct span charset)
{
	for (size_t i = 0; i < sizeof charsets / sizeof *charsets; i++)
		if (span_iis(charset, charsets[i].name))
			return charsets[i].iconv;
	return NULL;
}

static bool is_utf8_name(struct span charset)
{
	return span_iis(charset, "utf-8") || span_iis(charset, "utf8") || span_iis(charset, "us-ascii") ||
	       span_iis(charset, "ascii");
}

bool mime_charset_known(struct span charset)
{
	return is_utf8_name(charset) || iconv_name(charset) != NULL;
}

/* Whole characters only: what does not fit is left out. */
static bool add_utf8(struct buf *out, const char *ptr, size_t len)
{
	size_t room = out->max - out->len;

	if (len <= room)
		return buf_add(out, ptr, len);
	while (room && ((unsigned char)ptr[room] & 0xc0) == 0x80)
		room--;
	buf_add(out, ptr, room);
	out->overflow = true;
	return false;
}

static bool add_repaired(struct buf *out, struct span s)
{
	bool fits = true;

	while (s.len && fits) {
		size_t good = 0, n;

		while (good < s.len && (n = utf8_char(s.ptr + good, s.len - good)) > 0)
			good += n;
		fits = add_utf8(out, s.ptr, good);
		if (fits && good < s.len)
			fits = add_utf8(out, REPLACEMENT, 3);
		s = span_skip(s, good + 1);
	}
	return fits;
}

static bool add_converted(struct buf *out, iconv_t cd, struct span text)
{
	char *from = (char *)(uintptr_t)text.ptr;
	size_t left = text.len;
	bool fits = true;

	while (left && fits) {
		char chunk[1024], *to = chunk;
		size_t room = sizeof chunk;
		bool stuck = iconv(cd, &from, &left, &to, &room) == (size_t)-1 && errno != E2BIG;

		fits = add_repaired(out, span_of(chunk, sizeof chunk - room));
		if (stuck && fits) {
			fits = add_utf8(out, REPLACEMENT, 3);
			from++;
			left--;
			iconv(cd, NULL, NULL, NULL, NULL);
		}
	}
	return fits;
}

bool mime_to_utf8(struct buf *out, struct span charset, struct span text)
{
	const char *name = is_utf8_name(charset) ? NULL : iconv_name(charset);
	iconv_t cd = name && text.len ? iconv_open("UTF-8", name) : (iconv_t)-1;
	bool fits;

	if (cd == (iconv_t)-1)
		return add_repaired(out, text);
	fits = add_converted(out, cd, text);
	iconv_close(cd);
	return fits;
}

/* --- encoded words ------------------------------------------------------------------------------------------------ */

struct word {
	struct span charset, text;
	char encoding; /* 'b' or 'q' */
	size_t len;    /* of all of it */
};

/* "=?charset*language?b?text?=" at the start of s. Each piece ends at its first `?', so a failure costs little. */
static bool take_word(struct span s, struct word *w_r)
{
	struct span rest = span_skip(s, 2), encoding;

	w_r->charset = span_cut(&rest, '?');
	encoding = span_cut(&rest, '?');
	w_r->text = span_cut(&rest, '?');
	if (encoding.len != 1 || rest.len == 0 || rest.ptr[0] != '=' || w_r->charset.len == 0 || w_r->charset.len > 64)
		return false;
	for (size_t i = 0; i < w_r->text.len; i++)
		if (ascii_isspace(w_r->text.ptr[i]))
			return false;
	w_r->encoding = ascii_lower(encoding.ptr[0]);
	w_r->len = (size_t)(rest.ptr + 1 - s.ptr);
	w_r->charset = span_cut(&w_r->charset, '*');
	return w_r->encoding == 'b' || w_r->encoding == 'q';
}

struct words {
	struct buf *out;
	struct buf pending; /* bytes of words of one set that follow each other: a character may be split in two */
	struct span charset;
	bool fits;
};

static void flush(struct words *w)
{
	if (w->pending.len && w->fits)
		w->fits = mime_to_utf8(w->out, w->charset, buf_span(&w->pending));
	buf_reset(&w->pending);
}

/* Text between words, without its line ends. */
static void add_plain(struct words *w, struct span s)
{
	struct span piece;

	flush(w);
	while (w->fits && span_word(&s, "\r\n", &piece))
		w->fits = add_repaired(w->out, piece);
}

static bool decode_bytes(struct words *w, const struct word *word)
{
	struct mime_decoder d;
	struct span left = word->text;
	bool fits = true;

	mime_decoder_init(&d, word->encoding == 'b' ? MIME_CTE_BASE64 : MIME_CTE_QUOTED_PRINTABLE);
	while (word->encoding == 'q' && span_chr(left, '_') >= 0 && fits) {
		/* "_" is a space, whatever else the encoding is (RFC 2047 4.2). */
		struct span piece = span_cut(&left, '_');

		fits = mime_decode(&d, piece, &w->pending) && mime_decode(&d, SPAN(" "), &w->pending);
	}
	return fits && mime_decode(&d, left, &w->pending) && mime_decode_end(&d, &w->pending);
}

static void add_word(struct words *w, const struct word *word)
{
	if (!span_ieq(w->charset, word->charset))
		flush(w);
	w->charset = word->charset;
	w->fits = w->fits && decode_bytes(w, word);
}

static bool is_blank(struct span s)
{
	return span_trim(s).len == 0;
}

bool mime_words_decode(struct buf *out, struct span body)
{
	struct words w = { .out = out, .fits = true };
	struct span rest = body, plain = span_head(body, 0);
	bool after_word = false;

	buf_init(&w.pending, body.len + 1);
	while (rest.len && w.fits) {
		ptrdiff_t at = span_find(rest, SPAN("=?"));
		struct word word;

		rest = span_skip(rest, at < 0 ? rest.len : (size_t)at);
		plain.len = (size_t)(rest.ptr - plain.ptr);
		if (rest.len == 0)
			break;
		if (!take_word(rest, &word)) {
			rest = span_skip(rest, 2);
			continue;
		}
		if (plain.len && !(after_word && is_blank(plain)))
			add_plain(&w, plain);
		add_word(&w, &word);
		after_word = true;
		rest = span_skip(rest, word.len);
		plain = span_head(rest, 0);
	}
	plain.len = (size_t)(rest.ptr - plain.ptr);
	if (plain.len)
		add_plain(&w, plain);
	flush(&w);
	buf_free(&w.pending);
	return w.fits;
}
