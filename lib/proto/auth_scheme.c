/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/proto/auth_scheme.h"

#include <string.h>

#include "lib/base/base64.h"

static const struct scheme {
	const char *name;
	enum auth_scheme scheme;
	const char *prefix; /* of every hash of this scheme */
	const char *digest; /* AUTH_SCHEME_DIGEST: its name, bytes, and whether a salt follows */
	size_t bytes;
	bool salted;
} schemes[] = {
	{ "CRYPT", AUTH_SCHEME_CRYPT, "", NULL, 0, false },
	{ "SHA512-CRYPT", AUTH_SCHEME_CRYPT, "$6$", NULL, 0, false },
	{ "SHA256-CRYPT", AUTH_SCHEME_CRYPT, "$5$", NULL, 0, false },
	{ "MD5-CRYPT", AUTH_SCHEME_CRYPT, "$1$", NULL, 0, false },
	{ "BLF-CRYPT", AUTH_SCHEME_CRYPT, "$2", NULL, 0, false },
	{ "DES-CRYPT", AUTH_SCHEME_CRYPT, "", NULL, 0, false },
	{ "PLAIN", AUTH_SCHEME_PLAIN, "", NULL, 0, false },
	{ "CLEARTEXT", AUTH_SCHEME_PLAIN, "", NULL, 0, false },
	{ "SCRAM-SHA-1", AUTH_SCHEME_SCRAM_SHA_1, "", NULL, 0, false },
	{ "SCRAM-SHA-256", AUTH_SCHEME_SCRAM_SHA_256, "", NULL, 0, false },
	{ "SHA", AUTH_SCHEME_DIGEST, "", "SHA1", 20, false },
	{ "SHA1", AUTH_SCHEME_DIGEST, "", "SHA1", 20, false },
	{ "SHA256", AUTH_SCHEME_DIGEST, "", "SHA256", 32, false },
	{ "SHA512", AUTH_SCHEME_DIGEST, "", "SHA512", 64, false },
	{ "SSHA", AUTH_SCHEME_DIGEST, "", "SHA1", 20, true },
	{ "SSHA256", AUTH_SCHEME_DIGEST, "", "SHA256", 32, true },
	{ "SSHA512", AUTH_SCHEME_DIGEST, "", "SHA512", 64, true },
	{ "SMD5", AUTH_SCHEME_DIGEST, "", "MD5", 16, true },
	{ "LDAP-MD5", AUTH_SCHEME_DIGEST, "", "MD5", 16, false },
	{ "PLAIN-MD5", AUTH_SCHEME_DIGEST, "", "MD5", 16, false },
};

/* Take "{NAME}" or "{NAME.ENCODING}" off the field; NULL: no scheme of this name, or an encoding where none can be. */
static const struct scheme *named(struct span *field, struct span *encoding_r)
{
	ptrdiff_t end = span_chr(*field, '}');
	struct span name = span_of(field->ptr + 1, (size_t)end - 1);

	*field = span_skip(*field, (size_t)end + 1);
	*encoding_r = name;
	name = span_cut(encoding_r, '.');
	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
		if (span_iis(name, schemes[i].name))
			return encoding_r->len && schemes[i].scheme != AUTH_SCHEME_DIGEST ? NULL : &schemes[i];
	return NULL;
}

enum auth_scheme auth_scheme_parse(struct span field, struct span *rest_r)
{
	enum auth_scheme scheme = AUTH_SCHEME_CRYPT;
	struct span encoding;

	*rest_r = field;
	if (field.len > 0 && field.ptr[0] == '{' && span_chr(field, '}') > 0) {
		const struct scheme *s = named(rest_r, &encoding);

		scheme = s && span_starts(*rest_r, s->prefix) ? s->scheme : AUTH_SCHEME_UNKNOWN;
	}
	if (scheme == AUTH_SCHEME_UNKNOWN)
		return scheme;
	if (rest_r->len == 0)
		return AUTH_SCHEME_NONE;
	if (scheme == AUTH_SCHEME_CRYPT && (rest_r->ptr[0] == '!' || rest_r->ptr[0] == '*'))
		return AUTH_SCHEME_LOCKED;
	return scheme;
}

static int hex_digit(char c)
{
	c = ascii_lower(c);
	return ascii_isdigit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode_hex(struct buf *out, struct span text)
{
	for (size_t i = 0; i + 1 < text.len; i += 2) {
		int high = hex_digit(text.ptr[i]), low = hex_digit(text.ptr[i + 1]);

		if (high < 0 || low < 0 || !buf_addc(out, (char)(high << 4 | low)))
			return false;
	}
	return text.len % 2 == 0;
}

/* Without a name of the encoding, what has twice the length of the digest is hex: base64 never has. */
bool auth_digest_parse(struct span field, struct auth_digest *d)
{
	struct span encoding;
	const struct scheme *s = named(&field, &encoding);
	bool hex = s && (span_iis(encoding, "HEX") || (encoding.len == 0 && !s->salted && field.len == 2 * s->bytes));
	bool good = s && (hex || encoding.len == 0 || span_iis(encoding, "B64") || span_iis(encoding, "BASE64"));
	struct buf b;

	if (!good)
		return false;
	*d = (struct auth_digest){ .name = s->digest, .bytes = s->bytes };
	buf_init(&b, sizeof d->digest + 2);
	good = (hex ? decode_hex(&b, field) : base64_decode(&b, field)) && b.len >= s->bytes && b.len <= sizeof d->digest &&
	       (s->salted || b.len == s->bytes);
	if (good) {
		memcpy(d->digest, b.ptr, b.len);
		d->salt_len = b.len - s->bytes;
	}
	buf_wipe(&b);
	return good;
}

bool auth_secret_eq(struct span a, struct span b)
{
	unsigned char differ = a.len != b.len;

	for (size_t i = 0; i < a.len; i++)
		differ |= (unsigned char)(a.ptr[i] ^ (b.len ? b.ptr[i % b.len] : 0));
	return differ == 0;
}
