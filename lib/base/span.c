/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/base/span.h"

#include <string.h>
#include <strings.h>

bool ascii_isalpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool ascii_isdigit(char c)
{
	return c >= '0' && c <= '9';
}

bool ascii_isalnum(char c)
{
	return ascii_isalpha(c) || ascii_isdigit(c);
}

bool ascii_isspace(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

bool ascii_iscntrl(char c)
{
	return (unsigned char)c < 32 || c == 127;
}

char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

char ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

struct span span_of(const char *ptr, size_t len)
{
	return (struct span){ ptr, len };
}

struct span span_cstr(const char *s)
{
	return (struct span){ s, s ? strlen(s) : 0 };
}

bool span_eq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static bool fold_eq(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (ascii_lower(a[i]) != ascii_lower(b[i]))
			return false;
	return true;
}

bool span_ieq(struct span a, struct span b)
{
	return a.len == b.len && fold_eq(a.ptr, b.ptr, a.len);
}

bool span_is(struct span a, const char *s)
{
	return span_eq(a, span_cstr(s));
}

bool span_iis(struct span a, const char *s)
{
	return span_ieq(a, span_cstr(s));
}

int span_cmp(struct span a, struct span b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len ? memcmp(a.ptr, b.ptr, len) : 0;

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

bool span_starts(struct span s, const char *prefix)
{
	return span_eq(span_head(s, strlen(prefix)), span_cstr(prefix));
}

bool span_istarts(struct span s, const char *prefix)
{
	return span_ieq(span_head(s, strlen(prefix)), span_cstr(prefix));
}

bool span_ends(struct span s, const char *suffix)
{
	size_t len = strlen(suffix);

	return s.len >= len && span_is(span_skip(s, s.len - len), suffix);
}

bool span_iends(struct span s, const char *suffix)
{
	size_t len = strlen(suffix);

	return s.len >= len && span_iis(span_skip(s, s.len - len), suffix);
}

ptrdiff_t span_chr(struct span s, char c)
{
	const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;

	return at ? at - s.ptr : -1;
}

ptrdiff_t span_rchr(struct span s, char c)
{
	const char *at = s.len ? memrchr(s.ptr, c, s.len) : NULL;

	return at ? at - s.ptr : -1;
}

ptrdiff_t span_find(struct span s, struct span needle)
{
	const char *at;

	if (needle.len == 0)
		return 0;
	at = s.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
	return at ? at - s.ptr : -1;
}

ptrdiff_t span_ifind(struct span s, struct span needle)
{
	for (size_t i = 0; i + needle.len <= s.len; i++)
		if (fold_eq(s.ptr + i, needle.ptr, needle.len))
			return (ptrdiff_t)i;
	return -1;
}

struct span span_skip(struct span s, size_t n)
{
	if (n >= s.len)
		return (struct span){ s.len ? s.ptr + s.len : s.ptr, 0 };
	return (struct span){ s.ptr + n, s.len - n };
}

struct span span_head(struct span s, size_t n)
{
	return (struct span){ s.ptr, n < s.len ? n : s.len };
}

struct span span_trim(struct span s)
{
	while (s.len && ascii_isspace(s.ptr[0]))
		s = span_skip(s, 1);
	while (s.len && ascii_isspace(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

struct span span_cut(struct span *rest, char sep)
{
	ptrdiff_t at = span_chr(*rest, sep);
	struct span head = at < 0 ? *rest : span_head(*rest, (size_t)at);

	*rest = span_skip(*rest, at < 0 ? rest->len : (size_t)at + 1);
	return head;
}

bool span_word(struct span *rest, const char *seps, struct span *word_r)
{
	size_t len = 0;

	while (rest->len && strchr(seps, rest->ptr[0]) && rest->ptr[0])
		*rest = span_skip(*rest, 1);
	while (len < rest->len && (rest->ptr[len] == '\0' || !strchr(seps, rest->ptr[len])))
		len++;
	*word_r = span_head(*rest, len);
	*rest = span_skip(*rest, len);
	return len > 0;
}

bool span_u64(struct span s, uint64_t max, uint64_t *value_r)
{
	uint64_t value = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!ascii_isdigit(s.ptr[i]) || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value) || value > max)
			return false;
	}
	*value_r = value;
	return true;
}
