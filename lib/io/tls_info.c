/* SPDX-License-Identifier: BSD-2-Clause */
/* What a session agreed on, in the words of Postfix's log lines. */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "lib/io/tls_int.h"

/* Names come from the other side. They go into header fields and log lines: printable ASCII, nothing that ends a comment. */
static void make_harmless(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~' || *text == '(' || *text == ')' || *text == '\\')
			*text = '?';
}

static const char *curve(int nid)
{
	const char *nist = EC_curve_nid2nist(nid);

	return nist ? nist : OBJ_nid2sn(nid);
}

static void take_key_exchange(SSL *ssl, struct tls_info *info)
{
	int nid = (int)SSL_get_negotiated_group(ssl);

	if (nid == NID_X25519 || nid == NID_X448)
		snprintf(info->key_exchange, sizeof info->key_exchange, "%s", OBJ_nid2sn(nid));
	else if (nid & TLSEXT_nid_unknown)
		snprintf(info->key_exchange, sizeof info->key_exchange, "group 0x%x", (unsigned)nid & 0xffff);
	else if (EC_curve_nid2nist(nid) || nid == NID_X9_62_prime256v1)
		snprintf(info->key_exchange, sizeof info->key_exchange, "ECDHE (%s)", curve(nid));
	else if (nid > 0)
		snprintf(info->key_exchange, sizeof info->key_exchange, "DHE (%s)", OBJ_nid2sn(nid));
}

static void put_signature(struct tls_info *info, const char *kind, EVP_PKEY *key)
{
	char group[64];
	size_t len = 0;

	if (EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1)
		snprintf(info->signature, sizeof info->signature, "%s (%s)", kind, curve(OBJ_txt2nid(group)));
	else if (strcmp(kind, "Ed25519") == 0 || strcmp(kind, "Ed448") == 0)
		snprintf(info->signature, sizeof info->signature, "%s", kind);
	else
		snprintf(info->signature, sizeof info->signature, "%s (%d bits)", kind, EVP_PKEY_get_bits(key));
}

static void take_signature(SSL *ssl, struct tls_info *info, X509 *own, bool server)
{
	int kind = 0, digest = 0;
	EVP_PKEY *key = own ? X509_get0_pubkey(own) : NULL;
	bool known = server ? SSL_get_signature_type_nid(ssl, &kind) == 1 : SSL_get_peer_signature_type_nid(ssl, &kind) == 1;

	if (!known || key == NULL || info->resumed)
		return;
	put_signature(info, kind == EVP_PKEY_RSA_PSS || kind == EVP_PKEY_RSA ? (kind == EVP_PKEY_RSA ? "RSA-PKCS1" : "RSA-PSS")
			    : kind == EVP_PKEY_EC				  ? "ECDSA"
			    : kind == EVP_PKEY_ED25519				  ? "Ed25519"
			    : kind == EVP_PKEY_ED448				  ? "Ed448"
										  : OBJ_nid2sn(kind),
		      key);
	known = server ? SSL_get_signature_nid(ssl, &digest) == 1 : SSL_get_peer_signature_nid(ssl, &digest) == 1;
	if (known && digest)
		snprintf(info->signature_digest, sizeof info->signature_digest, "%s", OBJ_nid2sn(digest));
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

static void take_peer(const struct tls *t, struct tls_info *info)
{
	X509 *peer = SSL_get0_peer_certificate(t->ssl);
	unsigned char digest[EVP_MAX_MD_SIZE], *der = NULL;
	unsigned len = 0;
	int size;

	if (peer == NULL)
		return;
	info->peer_cert = true;
	info->peer_trusted = SSL_get_verify_result(t->ssl) == X509_V_OK;
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
		take_signature(t->ssl, info_r, certificate, server);
	}
	take_peer(t, info_r);
	take_endpoint(certificate, info_r);
	take_bindings(t->ssl, info_r, server);
	ERR_clear_error();
}

void tls_describe(struct buf *b, const struct tls_info *info, const char *sep)
{
	buf_addf(b, "%s with cipher %s (%d/%d bits)", info->protocol, info->cipher, info->bits_used, info->bits_possible);
	if (info->key_exchange[0])
		buf_addf(b, "%skey-exchange %s", sep, info->key_exchange);
	if (info->signature[0])
		buf_addf(b, " server-signature %s", info->signature);
	if (info->signature_digest[0])
		buf_addf(b, " server-digest %s", info->signature_digest);
}
