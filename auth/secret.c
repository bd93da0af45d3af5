/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mechanisms that prove knowledge of a secret without showing it. They need a field that holds the password itself, or SCRAM's
 * keys; with any other field they fail as for a wrong password.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "auth/auth.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/base/pack.h"
#include "lib/proto/auth_scheme.h"
#include "lib/proto/sasl_scram.h"

enum { KEY_BYTES = 32, SALT_BYTES = 16, MD5_HEX = 32 };

static const char key_path[] = "pid/auth.key";
static char key[KEY_BYTES];

/* What a proof of an unknown user would cost, and the iterations it would name: as for the first user with SCRAM keys. */
static uint32_t usual_iterations = SCRAM_ITERATIONS;
static bool usually_keys;

/* --- the key of this instance -------------------------------------------------------------------------------------- */

/* Made once, whole, by whoever is first. */
static void make_key(void)
{
	char temp[64];
	int fd;

	snprintf(temp, sizeof temp, "pid/auth.key.%ld", (long)getpid());
	must(getrandom(key, sizeof key, 0) == (ssize_t)sizeof key);
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, key, sizeof key) != (ssize_t)sizeof key || fsync(fd) < 0 ||
	    (link(temp, key_path) < 0 && errno != EEXIST))
		log_warn("%s: %s: salts of unknown users change with each process", key_path, strerror(errno));
	if (fd >= 0)
		close(fd);
	unlink(temp);
}

static bool read_key(void)
{
	int fd = open(key_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool whole = fd >= 0 && read(fd, key, sizeof key) == (ssize_t)sizeof key;

	if (fd >= 0)
		close(fd);
	return whole;
}

void secret_setup(void)
{
	if (read_key())
		return;
	make_key();
	(void)read_key(); /* another's, if that one was first */
}

void secret_digest(struct span text, unsigned char digest_r[SECRET_DIGEST_BYTES])
{
	unsigned len = SECRET_DIGEST_BYTES;

	must(HMAC(EVP_sha256(), key, sizeof key, (const unsigned char *)text.ptr, text.len, digest_r, &len));
}

/* --- SCRAM --------------------------------------------------------------------------------------------------------- */

static enum scram_hash hash_of(enum sasl_mech mech)
{
	return mech == SASL_SCRAM_SHA_1 || mech == SASL_SCRAM_SHA_1_PLUS ? SCRAM_SHA_1 : SCRAM_SHA_256;
}

/* The same for a password that is kept in clear and for a user who does not exist: nobody can tell them apart. */
static struct span made_up_salt(struct attempt *at)
{
	const char *name = at->name ? at->name : arena_cstr(&at->arena, at->login.user);
	unsigned char digest[SECRET_DIGEST_BYTES];

	secret_digest(span_cstr(arena_printf(&at->arena, "salt %d %s", hash_of(at->mech), name)), digest);
	return arena_span(&at->arena, span_of((const char *)digest, SALT_BYTES));
}

static void give_parameters(struct attempt *at, struct span salt, uint32_t iterations)
{
	struct buf b;

	buf_init(&b, HANDOVER_DATA_MAX);
	pack_u32(&b, iterations);
	buf_add_span(&b, salt);
	at->data = arena_span(&at->arena, buf_span(&b));
	buf_free(&b);
}

bool secret_model(struct span field)
{
	struct scram_secret s;
	struct span rest;
	enum auth_scheme scheme = auth_scheme_parse(field, &rest);
	bool keys = scheme == AUTH_SCHEME_SCRAM_SHA_1 || scheme == AUTH_SCHEME_SCRAM_SHA_256;

	if (keys && scram_secret_parse(&s, scheme == AUTH_SCHEME_SCRAM_SHA_1 ? SCRAM_SHA_1 : SCRAM_SHA_256, rest)) {
		usual_iterations = s.iterations;
		usually_keys = true;
		mem_wipe(&s, sizeof s);
	}
	return keys || scheme == AUTH_SCHEME_PLAIN;
}

void secret_unknown_parameters(struct attempt *at)
{
	give_parameters(at, made_up_salt(at), usual_iterations);
}

void secret_waste(struct attempt *at)
{
	struct scram_secret s;

	if (!sasl_mech_is_scram(at->mech) || usually_keys || at->login.want == HANDOVER_WANT_PARAMETERS)
		return;
	scram_secret_make(&s, hash_of(at->mech), SPAN("nobody's"), made_up_salt(at), SCRAM_ITERATIONS);
	mem_wipe(&s, sizeof s);
}

static enum passdb_status scram(struct attempt *at, struct scram_secret *s)
{
	char signature[SCRAM_KEY_MAX];

	if (at->login.want == HANDOVER_WANT_PARAMETERS) {
		give_parameters(at, span_of(s->salt, s->salt_len), s->iterations);
		return PASSDB_OK;
	}
	if (!scram_verify(s, at->login.message, at->login.password, signature))
		return PASSDB_MISMATCH;
	at->data = arena_span(&at->arena, span_of(signature, scram_key_bytes(s->hash)));
	return PASSDB_OK;
}

static enum passdb_status scram_field(struct attempt *at, struct span field, const char **why_r)
{
	enum auth_scheme stored = hash_of(at->mech) == SCRAM_SHA_1 ? AUTH_SCHEME_SCRAM_SHA_1 : AUTH_SCHEME_SCRAM_SHA_256;
	enum passdb_status status = PASSDB_MISMATCH;
	struct scram_secret s = { .hash = hash_of(at->mech) };
	struct span rest;
	enum auth_scheme scheme = auth_scheme_parse(field, &rest);

	if (scheme == AUTH_SCHEME_PLAIN && at->login.want == HANDOVER_WANT_PARAMETERS) {
		give_parameters(at, made_up_salt(at), SCRAM_ITERATIONS);
		return PASSDB_OK;
	}
	if (scheme == AUTH_SCHEME_PLAIN) {
		scram_secret_make(&s, s.hash, rest, made_up_salt(at), SCRAM_ITERATIONS);
		status = scram(at, &s);
	} else if (scheme == stored && scram_secret_parse(&s, s.hash, rest)) {
		status = scram(at, &s);
	} else if (scheme == stored) {
		*why_r = "SCRAM field is not iterations,salt,StoredKey,ServerKey";
		status = PASSDB_TEMP;
	} else {
		secret_waste(at);
	}
	mem_wipe(&s, sizeof s);
	return status;
}

/* --- by MD5 -------------------------------------------------------------------------------------------------------- */

static bool apop_digest(struct span text, struct span password, unsigned char *digest, unsigned *len_r)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && EVP_DigestInit_ex(md, EVP_md5(), NULL) == 1 && EVP_DigestUpdate(md, text.ptr, text.len) == 1 &&
		  EVP_DigestUpdate(md, password.ptr, password.len) == 1 && EVP_DigestFinal_ex(md, digest, len_r) == 1;

	EVP_MD_CTX_free(md);
	return ok;
}

static bool cram_digest(struct span text, struct span password, unsigned char *digest, unsigned *len_r)
{
	return HMAC(EVP_md5(), password.ptr, (int)password.len, (const unsigned char *)text.ptr, text.len, digest, len_r);
}

/* CRAM-MD5 and APOP: MD5 over the challenge and the password, in hex. */
static enum passdb_status by_md5(const struct attempt *at, struct span field)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[MD5_HEX + 1];
	struct span password, text = at->login.message, proof = at->login.password;
	unsigned len = 0;
	bool same;

	if (auth_scheme_parse(field, &password) != AUTH_SCHEME_PLAIN)
		return PASSDB_MISMATCH;
	if (!(at->mech == SASL_APOP ? apop_digest : cram_digest)(text, password, digest, &len))
		return PASSDB_MISMATCH;
	for (unsigned i = 0; i < len && i < MD5_HEX / 2; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	same = auth_secret_eq(span_of(hex, MD5_HEX), proof);
	mem_wipe(hex, sizeof hex);
	return same ? PASSDB_OK : PASSDB_MISMATCH;
}

/* ------------------------------------------------------------------------------------------------------------------- */

enum passdb_status secret_verify(struct attempt *at, struct span field, const char **why_r)
{
	*why_r = NULL;
	if (attempt_by_password(at))
		return hash_verify(field, at->password, why_r);
	if (sasl_mech_is_scram(at->mech))
		return scram_field(at, field, why_r);
	return at->mech == SASL_CRAM_MD5 || at->mech == SASL_APOP ? by_md5(at, field) : PASSDB_MISMATCH;
}
