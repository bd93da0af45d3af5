/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/imap_subject.h"

#include <string.h>

/* Runs of blanks become one. */
static struct span squeeze(struct arena *a, struct span text)
{
	char *to;
	size_t n = 0;

	text = span_head(text, IMAP_SUBJECT_MAX);
	to = arena_alloc(a, text.len + 1);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '\t' || c == '\r' || c == '\n')
			c = ' ';
		if (c != ' ' || n == 0 || to[n - 1] != ' ')
			to[n++] = c;
	}
	return span_of(to, n);
}

static bool starts(struct span s, const char *word)
{
	size_t n = strlen(word);

	return s.len >= n && span_iis(span_head(s, n), word);
}

static void skip_blanks(struct span *s)
{
	while (s->len > 0 && s->ptr[0] == ' ')
		*s = span_skip(*s, 1);
}

/* "(fwd)" and blanks at the end */
static bool cut_trailer(struct span *s, bool *reply)
{
	if (span_ends(*s, " ")) {
		s->len--;
		return true;
	}
	if (!span_iends(*s, "(fwd)"))
		return false;
	s->len -= 5;
	*reply = true;
	return true;
}

/* "[text] " */
static bool cut_blob(struct span *s)
{
	size_t n = 1;

	if (s->len == 0 || s->ptr[0] != '[')
		return false;
	while (n < s->len && s->ptr[n] != '[' && s->ptr[n] != ']')
		n++;
	if (n == s->len || s->ptr[n] != ']')
		return false;
	*s = span_skip(*s, n + 1);
	skip_blanks(s);
	return true;
}

/* "Re:", "Fw [x]:", with blobs before it */
static bool cut_refwd(struct span *s, bool *reply)
{
	struct span t = *s;

	while (cut_blob(&t))
		;
	if (starts(t, "re"))
		t = span_skip(t, 2);
	else if (starts(t, "fwd"))
		t = span_skip(t, 3);
	else if (starts(t, "fw"))
		t = span_skip(t, 2);
	else
		return false;
	skip_blanks(&t);
	cut_blob(&t);
	if (t.len == 0 || t.ptr[0] != ':')
		return false;
	*s = span_skip(t, 1);
	*reply = true;
	return true;
}

static void cut_leaders(struct span *s, bool *reply)
{
	for (;;) {
		struct span blobless = *s;

		if (s->len > 0 && s->ptr[0] == ' ')
			skip_blanks(s);
		else if (!cut_refwd(s, reply)) {
			if (!cut_blob(&blobless) || blobless.len == 0)
				return;
			*s = blobless;
		}
	}
}

struct span imap_base_subject(struct arena *a, struct span text, bool *reply_r)
{
	struct span s = squeeze(a, text);

	*reply_r = false;
	for (;;) {
		while (cut_trailer(&s, reply_r))
			;
		cut_leaders(&s, reply_r);
		if (!starts(s, "[fwd:") || !span_ends(s, "]"))
			return s;
		s = span_skip(s, 5);
		s.len--;
		*reply_r = true;
	}
}
