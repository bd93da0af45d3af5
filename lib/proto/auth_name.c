/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/auth_name.h"

#include <string.h>

enum { LOG_NAME_MAX = 128 };

static bool name_char(char c)
{
	return ascii_isalnum(c) || (c && strchr(".-_@+", c));
}

bool auth_name_valid(struct span name)
{
	unsigned ats = 0;

	if (name.len == 0 || name.len > AUTH_NAME_MAX || name.ptr[0] == '-' || name.ptr[0] == '.')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		if (!name_char(name.ptr[i]) || (i > 0 && name.ptr[i] == '.' && name.ptr[i - 1] == '.'))
			return false;
		ats += name.ptr[i] == '@';
	}
	return ats <= 1;
}

static bool put(struct span *out, char *room, size_t max, struct span s, char how)
{
	if (s.len > max - out->len)
		return false;
	for (size_t i = 0; i < s.len; i++)
		room[out->len + i] = how == 'L' ? ascii_lower(s.ptr[i]) : how == 'U' ? ascii_upper(s.ptr[i]) : s.ptr[i];
	out->len += s.len;
	return true;
}

struct span auth_name_format(struct arena *a, const char *format, struct span name)
{
	char *room = arena_alloc(a, AUTH_NAME_MAX);
	struct span out = span_of(room, 0), domain = name, local = span_cut(&domain, '@');

	for (const char *p = format; *p; p++) {
		char how = 0;
		struct span s = span_of(p, 1);

		if (*p == '%') {
			for (p++; *p == 'L' || *p == 'U'; p++)
				how = *p;
			s = *p == 'u' ? name : *p == 'n' ? local : *p == 'd' ? domain : *p == '%' ? SPAN("%") : SPAN_NONE;
			if (*p == '\0' || !strchr("und%", *p))
				return SPAN_NONE;
		}
		if (!put(&out, room, AUTH_NAME_MAX, s, how))
			return SPAN_NONE;
	}
	return auth_name_valid(out) ? out : SPAN_NONE;
}

const char *auth_name_for_log(struct arena *a, struct span name)
{
	char *text = arena_cstr(a, span_head(name, LOG_NAME_MAX));

	for (size_t i = 0; i < name.len && i < LOG_NAME_MAX; i++)
		if (text[i] <= ' ' || text[i] > '~' || strchr("<>(),", text[i]))
			text[i] = '?';
	return text;
}
