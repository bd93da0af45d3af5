/* SPDX-License-Identifier: BSD-2-Clause */
/* Protocols and ciphers, from the words of Postfix's parameters. */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <string.h>

#include "lib/io/tls_int.h"

#define AEAD "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"
#define NEVER ":!aNULL:!eNULL:!LOW:!3DES:!MD5:!RC4:!PSK:!SRP:!DSS:!kRSA:!ARIA:!CAMELLIA:!AESCCM"

/* Curves first: finite-field groups are for those who have nothing else. */
#define GROUPS "X25519:P-256:X448:P-384:P-521:ffdhe2048:ffdhe3072:ffdhe4096"

const char *tls_grade(const char *grade)
{
	static const char *const as_medium[] = { "medium", "low", "export", "null" };

	if (strcmp(grade, "high") == 0)
		return AEAD NEVER;
	for (size_t i = 0; i < sizeof as_medium / sizeof *as_medium; i++)
		if (strcmp(grade, as_medium[i]) == 0)
			return AEAD ":ECDHE+AES" NEVER;
	return NULL;
}

/* --- protocols ---------------------------------------------------------------------------------------------------- */

static const struct version {
	const char *name;
	int number;
	uint64_t off;
} versions[] = {
	{ "SSLv2", 0, 0 }, /* OpenSSL does not know it any more */
	{ "SSLv3", SSL3_VERSION, SSL_OP_NO_SSLv3 },
	{ "TLSv1", TLS1_VERSION, SSL_OP_NO_TLSv1 },
	{ "TLSv1.1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1 },
	{ "TLSv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2 },
	{ "TLSv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3 },
};

static const struct version *version(struct span name)
{
	for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
		if (span_iis(name, versions[i].name))
			return &versions[i];
	return NULL;
}

struct protocols {
	int least, most;
	uint64_t off, named;
};

static bool take_word(struct span word, struct protocols *p)
{
	const struct version *v;

	if (span_starts(word, ">=") && (v = version(span_skip(word, 2))) != NULL) {
		p->least = v->number;
		return true;
	}
	if (span_starts(word, "<=") && (v = version(span_skip(word, 2))) != NULL) {
		p->most = v->number;
		return true;
	}
	v = version(span_starts(word, "!") ? span_skip(word, 1) : word);
	if (v == NULL)
		return false;
	if (span_starts(word, "!"))
		p->off |= v->off;
	else
		p->named |= v->off;
	return true;
}

static bool use_protocols(SSL_CTX *ctx, const char *list, char *why_r)
{
	struct span rest = span_cstr(list), word;
	struct protocols p = { .least = 0 };

	while (span_word(&rest, ", \t:", &word))
		if (!take_word(word, &p)) {
			snprintf(why_r, TLS_WHY_MAX, "no TLS protocol is called " SPAN_FMT, SPAN_ARG(word));
			return false;
		}
	for (size_t i = 0; p.named && i < sizeof versions / sizeof *versions; i++)
		if (!(p.named & versions[i].off))
			p.off |= versions[i].off;
	SSL_CTX_set_options(ctx, p.off);
	if (SSL_CTX_set_min_proto_version(ctx, p.least) != 1 || SSL_CTX_set_max_proto_version(ctx, p.most) != 1)
		return tls_why(why_r, "the range of TLS protocols");
	return true;
}

/* --- ciphers ------------------------------------------------------------------------------------------------------ */

static bool use_ciphers(SSL_CTX *ctx, const struct tls_settings *set, char *why_r)
{
	struct span rest = span_cstr(set->exclude_ciphers), word;
	struct buf list;
	bool ok;

	buf_init(&list, 8192);
	buf_adds(&list, set->ciphers && *set->ciphers ? set->ciphers : tls_grade("medium"));
	while (span_word(&rest, ", \t:", &word))
		buf_addf(&list, ":!" SPAN_FMT, SPAN_ARG(word));
	ok = !list.overflow && SSL_CTX_set_cipher_list(ctx, buf_cstr(&list)) == 1;
	buf_free(&list);
	return ok || tls_why(why_r, "list of ciphers");
}

static bool use_groups(SSL_CTX *ctx, const char *groups, char *why_r)
{
	struct span rest = span_cstr(groups), word;
	struct buf list;
	bool ok;

	buf_init(&list, 4096);
	while (span_word(&rest, ", \t:", &word))
		buf_addf(&list, "%s" SPAN_FMT, list.len ? ":" : "", SPAN_ARG(word));
	ok = !list.overflow && SSL_CTX_set1_groups_list(ctx, list.len ? buf_cstr(&list) : GROUPS) == 1;
	buf_free(&list);
	return ok || tls_why(why_r, "list of groups");
}

/* For DHE before TLS 1.3: a group of RFC 7919, never one made here. */
static bool use_finite_field(SSL_CTX *ctx, char *why_r)
{
	EVP_PKEY *params = NULL;
	EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
	char name[] = "ffdhe2048";
	OSSL_PARAM param[] = { OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0), OSSL_PARAM_construct_end() };
	bool ok = maker && EVP_PKEY_paramgen_init(maker) > 0 && EVP_PKEY_CTX_set_params(maker, param) > 0 &&
		  EVP_PKEY_paramgen(maker, &params) > 0 && SSL_CTX_set0_tmp_dh_pkey(ctx, params) == 1;

	EVP_PKEY_CTX_free(maker);
	if (!ok)
		EVP_PKEY_free(params);
	return ok || tls_why(why_r, "ffdhe2048");
}

bool tls_policy_apply(SSL_CTX *ctx, const struct tls_settings *set, char why_r[TLS_WHY_MAX])
{
	return use_protocols(ctx, set->protocols ? set->protocols : ">=TLSv1.2", why_r) && use_ciphers(ctx, set, why_r) &&
	       use_groups(ctx, set->groups, why_r) && use_finite_field(ctx, why_r);
}
