/* SPDX-License-Identifier: BSD-2-Clause */
#include <crypt.h>
#include <openssl/evp.h>
#include <string.h>

#include "auth/auth.h"
#include "lib/base/mem.h"
#include "lib/proto/auth_scheme.h"
#include "lib/proto/sasl_scram.h"

/* What Debian gives to new passwords: yescrypt at its usual cost. Nobody's password. */
static const char usual_hash[] = "$y$j9T$dEZ7u3kq0rV1n2xYb8sPa.$ZL5QvnJ0k1s9yTg3WmBfXcR7oHdUeIaP2t4lNqM6C8D";

/* 32 KiB, which would be a lot for a stack; auth does one thing at a time. */
static struct crypt_data work;

static bool crypt_matches(const char *setting, const char *password)
{
	const char *made = crypt_rn(password, setting, &work, (int)sizeof work);
	bool same = made && auth_secret_eq(span_cstr(made), span_cstr(setting));

	mem_wipe(&work, sizeof work);
	return same;
}

static bool digest_matches(const struct auth_digest *d, const char *password)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char made[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	bool same;

	same = md && EVP_DigestInit_ex(md, EVP_get_digestbyname(d->name), NULL) == 1 &&
	       EVP_DigestUpdate(md, password, strlen(password)) == 1 &&
	       EVP_DigestUpdate(md, d->digest + d->bytes, d->salt_len) == 1 &&
	       EVP_DigestFinal_ex(md, made, &len) == 1 && len == d->bytes &&
	       auth_secret_eq(span_of((const char *)made, len), span_of(d->digest, d->bytes));
	EVP_MD_CTX_free(md);
	mem_wipe(made, sizeof made);
	return same;
}

static enum passdb_status verify_digest(struct span field, const char *password, const char **why_r)
{
	struct auth_digest d;
	bool same;

	if (!auth_digest_parse(field, &d)) {
		*why_r = "hash not of the scheme it names";
		return PASSDB_TEMP;
	}
	same = digest_matches(&d, password);
	mem_wipe(&d, sizeof d);
	return same ? PASSDB_OK : PASSDB_MISMATCH;
}

/* A password in clear against what is kept for SCRAM: made anew, compared. */
static enum passdb_status verify_scram(struct span rest, enum scram_hash hash, const char *password, const char **why_r)
{
	struct scram_secret kept, made;
	enum passdb_status status = PASSDB_TEMP;

	if (scram_secret_parse(&kept, hash, rest)) {
		struct span salt = span_of(kept.salt, kept.salt_len), key = span_of(kept.stored_key, scram_key_bytes(hash));

		scram_secret_make(&made, hash, span_cstr(password), salt, kept.iterations);
		status = auth_secret_eq(span_of(made.stored_key, key.len), key) ? PASSDB_OK : PASSDB_MISMATCH;
		mem_wipe(&made, sizeof made);
	} else {
		*why_r = "SCRAM field is not iterations,salt,StoredKey,ServerKey";
	}
	mem_wipe(&kept, sizeof kept);
	return status;
}

enum passdb_status hash_verify(struct span field, const char *password, const char **why_r)
{
	enum passdb_status status = PASSDB_MISMATCH;
	char setting[CRYPT_OUTPUT_SIZE];
	struct span rest;

	*why_r = NULL;
	if (password[0] == '\0')
		return PASSDB_MISMATCH;
	switch (auth_scheme_parse(field, &rest)) {
	case AUTH_SCHEME_CRYPT:
		if (rest.len >= sizeof setting || span_chr(rest, '\0') >= 0)
			break;
		memcpy(setting, rest.ptr, rest.len);
		setting[rest.len] = '\0';
		if (crypt_matches(setting, password))
			status = PASSDB_OK;
		mem_wipe(setting, sizeof setting);
		break;
	case AUTH_SCHEME_PLAIN:
		if (auth_secret_eq(span_cstr(password), rest))
			status = PASSDB_OK;
		break;
	case AUTH_SCHEME_DIGEST:
		status = verify_digest(field, password, why_r);
		break;
	case AUTH_SCHEME_SCRAM_SHA_1:
	case AUTH_SCHEME_SCRAM_SHA_256:
		status = verify_scram(
		    rest, auth_scheme_parse(field, &rest) == AUTH_SCHEME_SCRAM_SHA_1 ? SCRAM_SHA_1 : SCRAM_SHA_256,
		    password, why_r);
		break;
	case AUTH_SCHEME_NONE:
	case AUTH_SCHEME_LOCKED:
		break;
	case AUTH_SCHEME_UNKNOWN:
		*why_r = "password scheme not known, or hash not of that scheme";
		status = PASSDB_TEMP;
		break;
	}
	return status;
}

bool hash_is_model(struct span field)
{
	struct span rest;

	return auth_scheme_parse(field, &rest) == AUTH_SCHEME_CRYPT && rest.len < sizeof(struct hash_model) &&
	       span_chr(rest, '\0') < 0;
}

void hash_model_set(struct hash_model *m, struct span field)
{
	struct span rest;

	if (!hash_is_model(field))
		return;
	(void)auth_scheme_parse(field, &rest);
	memcpy(m->field, rest.ptr, rest.len);
	m->field[rest.len] = '\0';
}

/* Its answer does not matter: even the password of the user who was the model opens nothing here. */
void hash_waste(const struct hash_model *m, const char *password)
{
	(void)crypt_matches(m->field[0] ? m->field : usual_hash, password);
}
