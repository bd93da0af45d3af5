/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/auth_scheme.h"

static const struct {
	const char *name;
	enum auth_scheme scheme;
	const char *prefix; /* of every hash of this scheme */
} schemes[] = {
	{ "CRYPT", AUTH_SCHEME_CRYPT, "" },
	{ "SHA512-CRYPT", AUTH_SCHEME_CRYPT, "$6$" },
	{ "SHA256-CRYPT", AUTH_SCHEME_CRYPT, "$5$" },
	{ "MD5-CRYPT", AUTH_SCHEME_CRYPT, "$1$" },
	{ "BLF-CRYPT", AUTH_SCHEME_CRYPT, "$2" },
	{ "DES-CRYPT", AUTH_SCHEME_CRYPT, "" },
	{ "PLAIN", AUTH_SCHEME_PLAIN, "" },
	{ "CLEARTEXT", AUTH_SCHEME_PLAIN, "" },
};

static enum auth_scheme named(struct span name, struct span rest)
{
	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
		if (span_iis(name, schemes[i].name))
			return span_starts(rest, schemes[i].prefix) ? schemes[i].scheme : AUTH_SCHEME_UNKNOWN;
	return AUTH_SCHEME_UNKNOWN;
}

enum auth_scheme auth_scheme_parse(struct span field, struct span *rest_r)
{
	enum auth_scheme scheme = AUTH_SCHEME_CRYPT;
	ptrdiff_t end = span_chr(field, '}');

	*rest_r = field;
	if (field.len > 0 && field.ptr[0] == '{' && end > 0) {
		*rest_r = span_skip(field, (size_t)end + 1);
		scheme = named(span_of(field.ptr + 1, (size_t)end - 1), *rest_r);
	}
	if (scheme == AUTH_SCHEME_UNKNOWN)
		return scheme;
	if (rest_r->len == 0)
		return AUTH_SCHEME_NONE;
	if (scheme == AUTH_SCHEME_CRYPT && (rest_r->ptr[0] == '!' || rest_r->ptr[0] == '*'))
		return AUTH_SCHEME_LOCKED;
	return scheme;
}

bool auth_secret_eq(struct span a, struct span b)
{
	unsigned char differ = a.len != b.len;

	for (size_t i = 0; i < a.len; i++)
		differ |= (unsigned char)(a.ptr[i] ^ (b.len ? b.ptr[i % b.len] : 0));
	return differ == 0;
}
