/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/addr.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/utf8.h"

const char *addr_err_str(enum addr_err err)
{
	switch (err) {
	case ADDR_OK:
		return "ok";
	case ADDR_SYNTAX:
		return "bad address syntax";
	case ADDR_CONTROL:
		return "control character in address";
	case ADDR_TOO_LONG:
		return "address too long";
	case ADDR_BAD_UTF8:
		return "address is not valid UTF-8";
	}
	return "unknown error";
}

/* --- lexical classes ---------------------------------------------------------------------------------------------- */

static bool is_high(char c)
{
	return (unsigned char)c >= 0x80;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* atext of RFC 5322 3.2.3, with RFC 6531's bytes past ASCII. */
static bool is_atext(char c)
{
	return ascii_isalnum(c) || is_high(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

bool addr_local_is_dot_string(struct span local)
{
	bool after_dot = true;

	for (size_t i = 0; i < local.len; i++) {
		if (local.ptr[i] == '.' && after_dot)
			return false;
		if (local.ptr[i] != '.' && !is_atext(local.ptr[i]))
			return false;
		after_dot = local.ptr[i] == '.';
	}
	return !after_dot;
}

/* --- the path: what belongs to it --------------------------------------------------------------------------------- */

/* Length of the quoted string at the start of s, both quotes included; 0 when it does not end. */
static size_t quoted_len(struct span s)
{
	for (size_t i = 1; i < s.len; i++) {
		if (s.ptr[i] == '\\')
			i++;
		else if (s.ptr[i] == '"')
			return i + 1;
	}
	return 0;
}

/* Length up to the first unquoted byte of stop, or to the end; SIZE_MAX for an open quote. */
static size_t unquoted_len(struct span s, const char *stop)
{
	size_t i = 0;

	while (i < s.len && !(s.ptr[i] && strchr(stop, s.ptr[i]))) {
		size_t skip = 1;

		if (s.ptr[i] == '"')
			skip = quoted_len(span_skip(s, i));
		else if (s.ptr[i] == '\\')
			skip = 2;
		if (skip == 0 || skip > s.len - i)
			return SIZE_MAX;
		i += skip;
	}
	return i;
}

/* Step over "@one,@two:" in front of a mailbox. */
static enum addr_err drop_route(struct span *s)
{
	size_t colon;

	if (s->len == 0 || s->ptr[0] != '@')
		return ADDR_OK;
	colon = unquoted_len(*s, ":");
	if (colon >= s->len || memchr(s->ptr, '"', colon))
		return ADDR_SYNTAX;
	*s = span_skip(*s, colon + 1);
	return ADDR_OK;
}

static enum addr_err check_bytes(struct span s)
{
	if (s.len > ADDR_BYTES_MAX)
		return ADDR_TOO_LONG;
	for (size_t i = 0; i < s.len; i++)
		if (ascii_iscntrl(s.ptr[i]) && s.ptr[i] != '\t')
			return ADDR_CONTROL;
	return utf8_valid(s) ? ADDR_OK : ADDR_BAD_UTF8;
}

/* --- the mailbox -------------------------------------------------------------------------------------------------- */

/* Offset of the last @ that is outside quotes, or -1. The quotes are known to be closed. */
static ptrdiff_t last_at(struct span s)
{
	ptrdiff_t at = -1;

	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '"')
			i += quoted_len(span_skip(s, i)) - 1;
		else if (s.ptr[i] == '\\')
			i++;
		else if (s.ptr[i] == '@')
			at = (ptrdiff_t)i;
	}
	return at;
}

/* Bytes that a lenient local part may hold outside quotes although the grammar says no. */
static bool is_tolerated(char c)
{
	return c == '@' || c == '.' || c == ' ' || c == ';';
}

static enum addr_err unquote_local(struct arena *a, struct span raw, unsigned flags, struct span *local_r)
{
	char *to = arena_alloc(a, raw.len + 1);
	size_t len = 0, i = 0;
	bool quoted = false;

	for (; i < raw.len; i++) {
		char c = raw.ptr[i];

		if (c == '"') {
			quoted = !quoted;
			continue;
		}
		if (c == '\\') {
			if (++i == raw.len)
				return ADDR_SYNTAX;
			c = raw.ptr[i];
		} else if (!quoted && !is_atext(c) && !is_tolerated(c)) {
			return ADDR_SYNTAX;
		}
		if (c == '\t')
			return ADDR_CONTROL;
		to[len++] = c;
	}
	if (quoted || len == 0)
		return ADDR_SYNTAX;
	if ((flags & ADDR_STRICT) && raw.ptr[0] == '"' && quoted_len(raw) != raw.len)
		return ADDR_SYNTAX;
	*local_r = span_of(to, len);
	return ADDR_OK;
}

static enum addr_err parse_local(struct arena *a, struct span raw, unsigned flags, struct span *local_r)
{
	if (raw.len == 0)
		return ADDR_SYNTAX;
	if (addr_local_is_dot_string(raw)) {
		*local_r = raw;
		return ADDR_OK;
	}
	if ((flags & ADDR_STRICT) && raw.ptr[0] != '"')
		return ADDR_SYNTAX;
	return unquote_local(a, raw, flags, local_r);
}

/* A name or a literal. Whether the name can exist is not asked here (proto/mailhost.h does). */
static bool domain_ok(struct span d, unsigned flags)
{
	struct addr_ip ip;

	if (d.len == 0)
		return false;
	if (d.ptr[0] == '[') {
		if (flags & ADDR_STRICT)
			return addr_literal_parse(d, &ip);
		for (size_t i = 1; i + 1 < d.len; i++)
			if (!is_atext(d.ptr[i]) && d.ptr[i] != '.' && d.ptr[i] != ':')
				return false;
		return d.len > 2 && d.ptr[d.len - 1] == ']';
	}
	for (size_t i = 0; i < d.len; i++)
		if (!is_atext(d.ptr[i]) && d.ptr[i] != '.')
			return false;
	return !(flags & ADDR_STRICT) || addr_local_is_dot_string(d);
}

/* What is taken can be said again: the external form, where quotes are added, has the same limit. */
static bool fits_quoted(struct addr addr)
{
	size_t len = addr.local.len + addr.domain.len + strlen("\"\"@");

	for (size_t i = 0; i < addr.local.len; i++)
		len += addr.local.ptr[i] == '"' || addr.local.ptr[i] == '\\';
	return len <= ADDR_BYTES_MAX || addr_local_is_dot_string(addr.local);
}

enum addr_err addr_mailbox_parse(struct arena *a, struct span s, unsigned flags, struct addr *addr_r)
{
	struct addr addr = { 0 };
	enum addr_err err = check_bytes(s);
	ptrdiff_t at;

	if (err != ADDR_OK)
		return err;
	if (!(flags & ADDR_STRICT))
		s = span_trim(s);
	if (unquoted_len(s, "") == SIZE_MAX)
		return ADDR_SYNTAX;
	at = last_at(s);
	if (at >= 0) {
		addr.domain = span_skip(s, (size_t)at + 1);
		s = span_head(s, (size_t)at);
		if (!domain_ok(addr.domain, flags))
			return ADDR_SYNTAX;
	}
	err = parse_local(a, s, flags, &addr.local);
	if (err == ADDR_OK && !fits_quoted(addr))
		err = ADDR_TOO_LONG;
	if (err == ADDR_OK)
		*addr_r = addr;
	return err;
}

static enum addr_err parse_inner(struct arena *a, struct span inner, unsigned flags, struct addr *addr_r)
{
	enum addr_err err = check_bytes(inner);

	if (err != ADDR_OK)
		return err;
	if (!(flags & ADDR_STRICT))
		inner = span_trim(inner);
	if (inner.len == 0) {
		*addr_r = (struct addr){ SPAN_NONE, SPAN_NONE };
		return flags & ADDR_NULL_OK ? ADDR_OK : ADDR_SYNTAX;
	}
	err = drop_route(&inner);
	return err == ADDR_OK ? addr_mailbox_parse(a, inner, flags, addr_r) : err;
}

enum addr_err addr_path_parse(struct arena *a, struct span *in, unsigned flags, struct addr *addr_r)
{
	struct span s = *in;
	bool bracket;
	size_t len;
	enum addr_err err;

	while (!(flags & ADDR_STRICT) && s.len && is_blank(s.ptr[0]))
		s = span_skip(s, 1);
	bracket = s.len && s.ptr[0] == '<';
	if (s.len == 0 || (!bracket && (flags & ADDR_STRICT)))
		return ADDR_SYNTAX;
	s = span_skip(s, bracket);
	len = unquoted_len(s, bracket ? ">" : " \t");
	if (len == SIZE_MAX || (bracket && len == s.len))
		return ADDR_SYNTAX;
	err = parse_inner(a, span_head(s, len), flags, addr_r);
	if (err != ADDR_OK)
		return err;
	s = span_skip(s, len + bracket);
	if (s.len && !is_blank(s.ptr[0]))
		return ADDR_SYNTAX;
	*in = s;
	return ADDR_OK;
}

/* --- text forms --------------------------------------------------------------------------------------------------- */

struct addr addr_split(struct span s)
{
	ptrdiff_t at = span_rchr(s, '@');

	if (at < 0)
		return (struct addr){ s, SPAN_NONE };
	return (struct addr){ span_head(s, (size_t)at), span_skip(s, (size_t)at + 1) };
}

static size_t put(char *to, size_t at, struct span s)
{
	if (s.len)
		memcpy(to + at, s.ptr, s.len);
	return at + s.len;
}

static size_t put_domain(char *to, size_t at, struct span domain)
{
	if (domain.len == 0)
		return at;
	to[at++] = '@';
	return put(to, at, domain);
}

struct span addr_internal(struct arena *a, struct addr addr)
{
	char *to = arena_alloc(a, addr.local.len + addr.domain.len + 2);
	size_t len = put(to, 0, addr.local);

	return span_of(to, put_domain(to, len, addr.domain));
}

struct span addr_external(struct arena *a, struct addr addr)
{
	char *to;
	size_t len = 0;

	if (addr_is_null(addr) || addr_local_is_dot_string(addr.local))
		return addr_internal(a, addr);
	to = arena_alloc(a, 2 * addr.local.len + addr.domain.len + 4);
	to[len++] = '"';
	for (size_t i = 0; i < addr.local.len; i++) {
		if (addr.local.ptr[i] == '"' || addr.local.ptr[i] == '\\')
			to[len++] = '\\';
		to[len++] = addr.local.ptr[i];
	}
	to[len++] = '"';
	return span_of(to, put_domain(to, len, addr.domain));
}

struct span addr_quote(struct arena *a, struct span internal)
{
	return addr_external(a, addr_split(internal));
}

bool addr_is_null(struct addr addr)
{
	return addr.local.len == 0 && addr.domain.len == 0;
}

bool addr_is_ascii(struct addr addr)
{
	for (size_t i = 0; i < addr.local.len; i++)
		if (is_high(addr.local.ptr[i]))
			return false;
	for (size_t i = 0; i < addr.domain.len; i++)
		if (is_high(addr.domain.ptr[i]))
			return false;
	return true;
}

bool addr_eq(struct addr x, struct addr y)
{
	return span_eq(x.local, y.local) && span_ieq(x.domain, y.domain);
}

/* --- parts -------------------------------------------------------------------------------------------------------- */

static bool never_split(struct span local, char delim)
{
	if (span_iis(local, "mailer-daemon") || span_iis(local, "double-bounce") || span_iis(local, "postmaster"))
		return true;
	return delim == '-' && (span_istarts(local, "owner-") || span_iends(local, "-request"));
}

bool addr_split_ext(struct span local, struct span delims, struct span *user_r, struct span *ext_r)
{
	size_t i = 0;

	*user_r = local;
	*ext_r = SPAN_NONE;
	while (i < local.len && span_chr(delims, local.ptr[i]) < 0)
		i++;
	if (i == 0 || i == local.len || never_split(local, local.ptr[i]))
		return false;
	*user_r = span_head(local, i);
	*ext_r = span_skip(local, i + 1);
	return true;
}

static bool ip_parse_as(int family, struct span text, struct addr_ip *ip_r)
{
	char copy[INET6_ADDRSTRLEN];

	if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, '\0', text.len))
		return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	*ip_r = (struct addr_ip){ .family = family };
	return inet_pton(family, copy, ip_r->bytes) == 1;
}

bool addr_ip_parse(struct span text, struct addr_ip *ip_r)
{
	return ip_parse_as(span_chr(text, ':') < 0 ? AF_INET : AF_INET6, text, ip_r);
}

bool addr_literal_parse(struct span domain, struct addr_ip *ip_r)
{
	if (domain.len < 3 || domain.ptr[0] != '[' || domain.ptr[domain.len - 1] != ']')
		return false;
	domain = span_of(domain.ptr + 1, domain.len - 2);
	if (span_istarts(domain, "IPv6:"))
		return ip_parse_as(AF_INET6, span_skip(domain, 5), ip_r);
	return ip_parse_as(AF_INET, domain, ip_r);
}
