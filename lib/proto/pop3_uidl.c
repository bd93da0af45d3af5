/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/pop3_uidl.h"

#include <stdio.h>
#include <string.h>

struct spec {
	bool hex, upper, zero;
	unsigned width;
	char letter;
};

/* The directive behind a percent sign; the place after it. */
static const char *read_spec(const char *p, struct spec *s)
{
	*s = (struct spec){ 0 };
	for (;; p++) {
		if (*p == 'X')
			s->hex = true;
		else if (*p == 'L' || *p == 'U')
			s->upper = *p == 'U';
		else if (*p == '0' && s->width == 0)
			s->zero = true;
		else if (ascii_isdigit(*p) && s->width < 10)
			s->width = s->width * 10 + (unsigned)(*p - '0');
		else
			break;
	}
	s->letter = *p;
	return *p ? p + 1 : p;
}

static bool put_number(struct buf *out, const struct spec *s, uint32_t value)
{
	char digits[16];
	int n = snprintf(digits, sizeof digits, !s->hex ? "%u" : s->upper ? "%X" : "%x", value);

	for (unsigned i = (unsigned)n; i < s->width && s->zero; i++)
		buf_addc(out, '0');
	return buf_add(out, digits, (size_t)n);
}

static bool put_file(struct buf *out, struct span file)
{
	for (size_t i = 0; i < file.len; i++)
		if (file.ptr[i] <= ' ' || file.ptr[i] > '~')
			return false;
	buf_add_span(out, file);
	return file.len > 0;
}

bool pop3_uidl_format(struct buf *out, const char *format, const struct pop3_uidl_values *v)
{
	size_t start = out->len;

	for (const char *p = format; *p;) {
		struct spec s;

		if (*p <= ' ' || *p > '~')
			return false;
		if (*p != '%') {
			buf_addc(out, *p++);
			continue;
		}
		p = read_spec(p + 1, &s);
		if (s.width > POP3_UIDL_MAX)
			return false;
		if (s.letter == 'u')
			put_number(out, &s, v->uid);
		else if (s.letter == 'v')
			put_number(out, &s, v->uidvalidity);
		else if ((s.letter == 'f' || s.letter == 'g') && put_file(out, v->file))
			continue;
		else if (s.letter == '%')
			buf_addc(out, '%');
		else
			return false;
	}
	return !out->overflow && out->len > start && out->len - start <= POP3_UIDL_MAX;
}

static bool names_any(const char *format, const char *letters)
{
	for (const char *p = format; *p;) {
		struct spec s;

		if (*p++ != '%')
			continue;
		p = read_spec(p, &s);
		if (s.letter != '\0' && strchr(letters, s.letter))
			return true;
	}
	return false;
}

bool pop3_uidl_format_needs_file(const char *format)
{
	return names_any(format, "fg");
}

bool pop3_uidl_format_valid(const char *format)
{
	static const struct pop3_uidl_values most = { UINT32_MAX, UINT32_MAX, { "f", 1 } };
	struct buf b;
	bool ok;

	buf_init(&b, 4096);
	ok = names_any(format, "ufg") && pop3_uidl_format(&b, format, &most);
	buf_free(&b);
	return ok;
}
