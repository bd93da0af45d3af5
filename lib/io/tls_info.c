/* SPDX-License-Identifier: BSD-2-Clause */
/* What a session agreed on, in the words of Postfix's log lines. */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "lib/io/tls_int.h"

static bool is_balanced(const char *text)
{
	int depth = 0;

	for (; *text && depth >= 0; text++)
		depth += *text == '(' ? 1 : *text == ')' ? -1 : 0;
	return depth == 0;
}

/* Names come from the other side. They go into header fields and log lines: printable ASCII, nothing that ends a comment. */
static void make_harmless(char *text)
{
	bool balanced = is_balanced(text);

	for (; *text; text++)
		if (*text < ' ' || *text > '~' || *text == '\\' || (!balanced && (*text == '(' || *text == ')')))
			*text = '?';
}

static void take_key_exchange(SSL *ssl, struct tls_info *info)
{
	int nid = (int)SSL_get_negotiated_group(ssl);
	EVP_PKEY *key = NULL;

	if (nid == NID_X25519 || nid == NID_X448)
		snprintf(info->key_exchange, sizeof info->key_exchange, "%s", OBJ_nid2sn(nid));
	else if (nid & TLSEXT_nid_unknown)
		snprintf(info->key_exchange, sizeof info->key_exchange, "group 0x%x", (unsigned)nid & 0xffff);
	else if (EC_curve_nid2nist(nid))
		snprintf(info->key_exchange, sizeof info->key_exchange, "ECDHE (%s)", OBJ_nid2sn(nid));
	else if (SSL_get_peer_tmp_key(ssl, &key) == 1)
		snprintf(info->key_exchange, sizeof info->key_exchange, "DHE (%d bits)", EVP_PKEY_get_bits(key));
	EVP_PKEY_free(key);
}

static const char *key_kind(int nid)
{
	switch (nid) {
	case EVP_PKEY_RSA:
		return "RSA-PKCS1";
	case EVP_PKEY_RSA_PSS:
		return "RSA-PSS";
	case EVP_PKEY_EC:
		return "ECDSA";
	default:
		return OBJ_nid2sn(nid);
	}
}

static void put_signature(struct tls_signature *to, int kind, EVP_PKEY *key)
{
	char group[64];
	size_t len = 0;

	if (EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1)
		snprintf(to->key, sizeof to->key, "%s (%s)", key_kind(kind), group);
	else if (kind == EVP_PKEY_ED25519 || kind == EVP_PKEY_ED448)
		snprintf(to->key, sizeof to->key, "%s", key_kind(kind));
	else
		snprintf(to->key, sizeof to->key, "%s (%d bits)", key_kind(kind), EVP_PKEY_get_bits(key));
}

/* Who has shown no certificate, or none anew because the session was resumed, has not signed. */
static void take_signature(SSL *ssl, bool own, struct tls_signature *to)
{
	X509 *certificate = own ? SSL_get_certificate(ssl) : SSL_get0_peer_certificate(ssl);
	EVP_PKEY *key = certificate ? X509_get0_pubkey(certificate) : NULL;
	int kind = NID_undef, digest = NID_undef;

	if (key == NULL || SSL_session_reused(ssl) == 1)
		return;
	if ((own ? SSL_get_signature_type_nid(ssl, &kind) : SSL_get_peer_signature_type_nid(ssl, &kind)) != 1 || kind == NID_undef)
		return;
	put_signature(to, kind, key);
	if ((own ? SSL_get_signature_nid(ssl, &digest) : SSL_get_peer_signature_nid(ssl, &digest)) == 1 && digest != NID_undef)
		snprintf(to->digest, sizeof to->digest, "%s", OBJ_nid2sn(digest));
}

/* --- the other side's certificate --------------------------------------------------------------------------------- */

static void hex(char to[TLS_FINGERPRINT_MAX], const unsigned char *bytes, size_t len)
{
	to[0] = '\0';
	for (size_t i = 0; i < len && 3 * i + 3 <= TLS_FINGERPRINT_MAX; i++)
		snprintf(to + 3 * i, 4, i + 1 < len ? "%02X:" : "%02X", bytes[i]);
}

static void common_name(X509_NAME *name, char to[TLS_NAME_MAX])
{
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	unsigned char *text = NULL;
	int len;

	if (at < 0)
		return;
	len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	if (len > 0 && len < TLS_NAME_MAX && memchr(text, '\0', (size_t)len) == NULL)
		snprintf(to, TLS_NAME_MAX, "%.*s", len, (char *)text);
	make_harmless(to);
	OPENSSL_free(text);
}

static void take_verdict(SSL *ssl, X509 *peer, struct tls_info *info)
{
	long verdict = SSL_get_verify_result(ssl);
	char issuer[TLS_NAME_MAX / 2];

	info->peer_trusted = verdict == X509_V_OK;
	if (verdict == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY || verdict == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
	    verdict == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE)
		snprintf(info->peer_why, sizeof info->peer_why, "untrusted issuer %s",
			 X509_NAME_oneline(X509_get_issuer_name(peer), issuer, sizeof issuer));
	else if (verdict != X509_V_OK)
		snprintf(info->peer_why, sizeof info->peer_why, "%s", X509_verify_cert_error_string(verdict));
	make_harmless(info->peer_why);
}

static void take_peer(const struct tls *t, struct tls_info *info)
{
	X509 *peer = SSL_get0_peer_certificate(t->ssl);
	unsigned char digest[EVP_MAX_MD_SIZE], *der = NULL;
	unsigned len = 0;
	int size;

	if (peer == NULL)
		return;
	info->peer_cert = true;
	take_verdict(t->ssl, peer, info);
	info->peer_name_ok = info->peer_trusted && SSL_get0_peername(t->ssl) != NULL;
	common_name(X509_get_subject_name(peer), info->peer_subject);
	common_name(X509_get_issuer_name(peer), info->peer_issuer);
	if (X509_digest(peer, t->context->digest, digest, &len) == 1)
		hex(info->peer_fingerprint, digest, len);
	size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(peer), &der);
	if (size > 0 && EVP_Digest(der, (size_t)size, digest, &len, t->context->digest, NULL) == 1)
		hex(info->peer_key_fingerprint, digest, len);
	OPENSSL_free(der);
}

/* --- channel bindings --------------------------------------------------------------------------------------------- */

/* RFC 5929 4.1: the digest of the certificate's own signature, SHA-256 in place of weaker ones. */
static void take_endpoint(X509 *server, struct tls_info *info)
{
	const EVP_MD *md = NULL;
	unsigned len = 0;
	int digest;

	if (server == NULL)
		return;
	if (OBJ_find_sigid_algs(X509_get_signature_nid(server), &digest, NULL) == 1)
		md = digest == NID_md5 || digest == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(digest);
	if (md && X509_digest(server, md, info->endpoint, &len) == 1)
		info->endpoint_len = len;
}

/* RFC 9266 3: not without the extended master secret. RFC 5929 3.1: the first Finished message. */
static void take_bindings(SSL *ssl, struct tls_info *info, bool server)
{
	bool modern = SSL_version(ssl) >= TLS1_3_VERSION;
	static const char label[] = "EXPORTER-Channel-Binding";
	bool client_first = !info->resumed;

	if ((modern || SSL_get_extms_support(ssl) == 1) &&
	    SSL_export_keying_material(ssl, info->exporter, sizeof info->exporter, label, sizeof label - 1, NULL, 0, 0) == 1)
		info->exporter_len = sizeof info->exporter;
	if (modern || (SSL_get_extms_support(ssl) != 1 && info->resumed))
		return;
	if (client_first == server)
		info->unique_len = SSL_get_peer_finished(ssl, info->unique, sizeof info->unique);
	else
		info->unique_len = SSL_get_finished(ssl, info->unique, sizeof info->unique);
	if (info->unique_len > sizeof info->unique)
		info->unique_len = 0;
}

void tls_info_take(struct tls *t, struct tls_info *info_r, bool server)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
	const char *sni = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
	X509 *certificate = server ? SSL_get_certificate(t->ssl) : SSL_get0_peer_certificate(t->ssl);

	snprintf(info_r->protocol, sizeof info_r->protocol, "%s", SSL_get_version(t->ssl));
	snprintf(info_r->cipher, sizeof info_r->cipher, "%s", SSL_CIPHER_get_name(cipher));
	info_r->bits_used = SSL_CIPHER_get_bits(cipher, &info_r->bits_possible);
	info_r->resumed = SSL_session_reused(t->ssl) == 1;
	info_r->asked_cert = t->context->ask_cert;
	snprintf(info_r->sni, sizeof info_r->sni, "%s", sni ? sni : "");
	make_harmless(info_r->sni);
	if (SSL_version(t->ssl) >= TLS1_3_VERSION) {
		take_key_exchange(t->ssl, info_r);
		take_signature(t->ssl, server, &info_r->server_signature);
		take_signature(t->ssl, !server, &info_r->client_signature);
	}
	take_peer(t, info_r);
	take_endpoint(certificate, info_r);
	take_bindings(t->ssl, info_r, server);
	ERR_clear_error();
}

static void describe_signature(struct buf *b, const struct tls_signature *s, const char *sep, const char *whose)
{
	if (s->key[0])
		buf_addf(b, "%s%s-signature %s", sep, whose, s->key);
	if (s->digest[0])
		buf_addf(b, " %s-digest %s", whose, s->digest);
}

void tls_describe(struct buf *b, const struct tls_info *info, const char *sep)
{
	buf_addf(b, "%s with cipher %s (%d/%d bits)", info->protocol, info->cipher, info->bits_used, info->bits_possible);
	if (info->key_exchange[0])
		buf_addf(b, "%skey-exchange %s", sep, info->key_exchange);
	describe_signature(b, &info->server_signature, info->key_exchange[0] ? " " : sep, "server");
	describe_signature(b, &info->client_signature, sep, "client");
}
