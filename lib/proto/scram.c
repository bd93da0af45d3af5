/* SPDX-License-Identifier: BSD-2-Clause */
/* The arithmetic of SCRAM, RFC 5802 section 3; declared in sasl_scram.h. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/proto/auth_scheme.h"
#include "lib/proto/sasl_scram.h"
#include "lib/proto/saslprep.h"

enum { PREPARED_MAX = (1 << 16) - 1 };

static const EVP_MD *digest(enum scram_hash h)
{
	return h == SCRAM_SHA_1 ? EVP_sha1() : EVP_sha256();
}

size_t scram_key_bytes(enum scram_hash h)
{
	return h == SCRAM_SHA_1 ? 20 : 32;
}

static void hmac(enum scram_hash h, const char *key, struct span text, char out[SCRAM_KEY_MAX])
{
	unsigned len = 0;

	must(HMAC(digest(h), key, (int)scram_key_bytes(h), (const unsigned char *)text.ptr, text.len, (unsigned char *)out, &len));
	must(len == scram_key_bytes(h));
}

static void hash(enum scram_hash h, const char *key, char out[SCRAM_KEY_MAX])
{
	must(EVP_Digest(key, scram_key_bytes(h), (unsigned char *)out, NULL, digest(h), NULL) == 1);
}

void scram_secret_make(struct scram_secret *s, enum scram_hash h, struct span password, struct span salt, uint32_t iterations)
{
	char salted[SCRAM_KEY_MAX], client_key[SCRAM_KEY_MAX];
	struct buf prepared;

	buf_init(&prepared, PREPARED_MAX);
	if (saslprep(&prepared, password)) /* what cannot be prepared may still be somebody's password */
		password = buf_span(&prepared);
	must(salt.len <= SCRAM_SALT_MAX && iterations > 0 && password.len < 1 << 16);
	*s = (struct scram_secret){ .hash = h, .iterations = iterations, .salt_len = salt.len };
	memcpy(s->salt, salt.ptr, salt.len);
	must(PKCS5_PBKDF2_HMAC(password.ptr, (int)password.len, (const unsigned char *)salt.ptr, (int)salt.len, (int)iterations,
			       digest(h), (int)scram_key_bytes(h), (unsigned char *)salted) == 1);
	hmac(h, salted, SPAN("Client Key"), client_key);
	hash(h, client_key, s->stored_key);
	hmac(h, salted, SPAN("Server Key"), s->server_key);
	mem_wipe(salted, sizeof salted);
	mem_wipe(client_key, sizeof client_key);
	buf_wipe(&prepared);
}

/* Base64 of at most max bytes into to; the number of bytes, or 0. */
static size_t decode(struct span text, char *to, size_t max)
{
	struct buf b;
	size_t n = 0;

	buf_init(&b, max + 2); /* decoding reserves whole groups of three */
	if (base64_decode(&b, text) && b.len <= max) {
		memcpy(to, b.ptr, b.len);
		n = b.len;
	}
	buf_wipe(&b);
	return n;
}

bool scram_secret_parse(struct scram_secret *s, enum scram_hash h, struct span text)
{
	struct span iterations = span_cut(&text, ','), salt = span_cut(&text, ','), stored = span_cut(&text, ',');
	uint64_t n;

	*s = (struct scram_secret){ .hash = h };
	if (!span_u64(iterations, SASL_ITERATIONS_MAX, &n) || n == 0)
		return false;
	s->iterations = (uint32_t)n;
	s->salt_len = decode(salt, s->salt, sizeof s->salt);
	return s->salt_len > 0 && decode(stored, s->stored_key, sizeof s->stored_key) == scram_key_bytes(h) &&
	       decode(text, s->server_key, sizeof s->server_key) == scram_key_bytes(h);
}

void scram_secret_print(struct buf *out, const struct scram_secret *s)
{
	buf_addf(out, "%u,", s->iterations);
	(void)!base64_encode(out, span_of(s->salt, s->salt_len));
	buf_addc(out, ',');
	(void)!base64_encode(out, span_of(s->stored_key, scram_key_bytes(s->hash)));
	buf_addc(out, ',');
	(void)!base64_encode(out, span_of(s->server_key, scram_key_bytes(s->hash)));
}

bool scram_verify(const struct scram_secret *s, struct span message, struct span proof, char signature_r[SCRAM_KEY_MAX])
{
	size_t bytes = scram_key_bytes(s->hash);
	char client_key[SCRAM_KEY_MAX] = { 0 }, made[SCRAM_KEY_MAX];
	bool same;

	hmac(s->hash, s->stored_key, message, client_key); /* ClientSignature; with the proof it gives the key */
	for (size_t i = 0; i < bytes; i++)
		client_key[i] = (char)(client_key[i] ^ (i < proof.len ? proof.ptr[i] : 0));
	hash(s->hash, client_key, made);
	same = proof.len == bytes && auth_secret_eq(span_of(made, bytes), span_of(s->stored_key, bytes));
	hmac(s->hash, s->server_key, message, signature_r);
	mem_wipe(client_key, sizeof client_key);
	return same;
}
