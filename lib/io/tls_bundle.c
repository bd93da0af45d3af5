/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates and keys as one text, and which of them belong together. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/io/tls_int.h"

enum { ITEMS_MAX = 200, SOON_DAYS = 14, STEP_BYTES = 16384 };

#define NAME_LINE "# name "

/* What stands in a part, in its order. */
struct items {
	struct {
		X509 *cert;
		EVP_PKEY *key;
		bool leaf; /* a key is for it */
	} list[ITEMS_MAX];
	size_t count;
};

static void free_items(struct items *items)
{
	for (size_t i = 0; i < items->count; i++) {
		X509_free(items->list[i].cert);
		EVP_PKEY_free(items->list[i].key);
	}
	free(items);
}

/* One PEM block. False: what it is called, it is not. */
static bool take_block(struct items *items, const char *name, const char *header, const unsigned char *der, long len, char *why_r)
{
	struct span kind = span_cstr(name);
	X509 *cert = NULL;
	EVP_PKEY *key = NULL;

	if (span_ends(kind, "CERTIFICATE")) {
		cert = d2i_X509(NULL, &der, len);
		if (cert == NULL)
			return tls_why(why_r, "malformed certificate");
	} else if (span_ends(kind, "PRIVATE KEY")) {
		if (header[0] || strcmp(name, "ENCRYPTED PRIVATE KEY") == 0)
			return tls_why(why_r, "the private key is protected by a passphrase");
		key = d2i_AutoPrivateKey(NULL, &der, len);
		if (key == NULL)
			return tls_why(why_r, "malformed private key");
	} else {
		return true; /* parameters of an old kind */
	}
	if (items->count == ITEMS_MAX) {
		X509_free(cert);
		EVP_PKEY_free(key);
		return tls_why(why_r, "too many certificates");
	}
	items->list[items->count].cert = cert;
	items->list[items->count++].key = key;
	return true;
}

static struct items *read_items(struct span pem, char *why_r)
{
	struct items *items = mem_zalloc(sizeof *items);
	BIO *bio = BIO_new_mem_buf(pem.len ? pem.ptr : "", (int)pem.len);
	bool ok = bio != NULL;
	unsigned char *der;
	char *name, *header;
	long len;

	while (ok && PEM_read_bio(bio, &name, &header, &der, &len) == 1) {
		ok = take_block(items, name, header, der, len, why_r);
		OPENSSL_clear_free(der, (size_t)len);
		OPENSSL_free(name);
		OPENSSL_free(header);
	}
	BIO_free(bio);
	if (ok && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		ok = tls_why(why_r, "not in PEM format");
	ERR_clear_error();
	if (ok)
		return items;
	free_items(items);
	return NULL;
}

/* The certificate that a key is for, or -1. */
static int certificate_of(const struct items *items, EVP_PKEY *key)
{
	for (size_t i = 0; i < items->count; i++)
		if (items->list[i].cert && EVP_PKEY_eq(X509_get0_pubkey(items->list[i].cert), key) == 1)
			return (int)i;
	ERR_clear_error();
	return -1;
}

/* Every key has its certificate, and there is at least one. */
static bool match(struct items *items, char *why_r)
{
	unsigned pairs = 0;

	for (size_t i = 0; i < items->count; i++) {
		int at;

		if (items->list[i].key == NULL)
			continue;
		at = certificate_of(items, items->list[i].key);
		if (at < 0)
			return tls_why(why_r, "the private key does not belong to the certificate");
		items->list[at].leaf = true;
		pairs++;
	}
	return pairs > 0 || tls_why(why_r, items->count ? "there is no private key" : "there is no certificate and no private key");
}

static STACK_OF(X509) *chain_of(const struct items *items, size_t leaf)
{
	STACK_OF(X509) *chain = sk_X509_new_null();

	for (size_t i = leaf + 1; i < items->count && !items->list[i].leaf; i++)
		if (items->list[i].cert)
			sk_X509_push(chain, items->list[i].cert);
	return chain;
}

bool tls_bundle_use(SSL_CTX *ctx, struct span pem, char why_r[TLS_WHY_MAX])
{
	struct items *items = read_items(pem, why_r);
	bool ok = items != NULL && match(items, why_r);

	for (size_t i = 0; ok && i < items->count; i++) {
		EVP_PKEY *key = items->list[i].key;
		int leaf = key ? certificate_of(items, key) : -1;
		STACK_OF(X509) *chain;

		if (leaf < 0)
			continue;
		chain = chain_of(items, (size_t)leaf);
		if (SSL_CTX_use_cert_and_key(ctx, items->list[leaf].cert, key, chain, 1) != 1)
			ok = tls_why(why_r, "certificate and key cannot be used");
		sk_X509_free(chain);
	}
	if (items)
		free_items(items);
	return ok;
}

/* --- the text ----------------------------------------------------------------------------------------------------- */

/* The offset of the next name line at or behind from; the length when there is none. */
static size_t next_name(struct span text, size_t from)
{
	while (from < text.len) {
		ptrdiff_t at = span_find(span_skip(text, from), SPAN(NAME_LINE));

		if (at < 0)
			break;
		from += (size_t)at;
		if (from == 0 || text.ptr[from - 1] == '\n')
			return from;
		from++;
	}
	return text.len;
}

bool tls_bundle_part(struct span *rest, struct span *name_r, struct span *pem_r)
{
	size_t end;

	if (rest->len == 0)
		return false;
	*name_r = SPAN_NONE;
	if (span_starts(*rest, NAME_LINE)) {
		*rest = span_skip(*rest, sizeof NAME_LINE - 1);
		*name_r = span_trim(span_cut(rest, '\n'));
	}
	end = next_name(*rest, 0);
	*pem_r = span_head(*rest, end);
	*rest = span_skip(*rest, end);
	return true;
}

static int read_file(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), saved;
	ssize_t n = -1;

	if (fd < 0)
		return -1;
	do {
		char *to = buf_reserve(out, STEP_BYTES);

		errno = EFBIG;
		n = to ? read(fd, to, STEP_BYTES) : -1;
		if (n > 0)
			buf_commit(out, (size_t)n);
	} while (n > 0);
	saved = errno;
	close(fd);
	errno = saved;
	return (int)n;
}

static bool add_file(struct buf *b, const char *path, char *why_r)
{
	struct buf text;
	bool ok;

	buf_init(&text, TLS_BUNDLE_MAX);
	ok = read_file(path, &text) == 0;
	if (!ok) {
		snprintf(why_r, TLS_WHY_MAX, "%s: %m", path);
	} else {
		ok = next_name(buf_span(&text), 0) == text.len && buf_add_span(b, buf_span(&text)) && buf_addc(b, '\n');
		if (!ok)
			snprintf(why_r, TLS_WHY_MAX, "%s: not usable as a certificate", path);
	}
	buf_wipe(&text);
	return ok;
}

bool tls_bundle_add(struct buf *b, const char *name, const char *const *files, size_t nfiles, char why_r[TLS_WHY_MAX])
{
	size_t began;
	bool ok = true;
	struct items *items;
	char why[TLS_WHY_MAX];

	if (*name)
		buf_addf(b, NAME_LINE "%s\n", name);
	began = b->len;
	for (size_t i = 0; ok && i < nfiles; i++)
		ok = add_file(b, files[i], why_r);
	if (!ok)
		return false;
	items = read_items(span_skip(buf_span(b), began), why);
	ok = items && match(items, why);
	if (items)
		free_items(items);
	if (!ok)
		snprintf(why_r, TLS_WHY_MAX, "%.120s%s%.60s: %.60s", nfiles ? files[0] : "", nfiles > 1 ? ", " : "",
			 nfiles > 1 ? files[nfiles - 1] : "", why);
	return ok;
}

/* --- for an administrator ----------------------------------------------------------------------------------------- */

static void check_dates(X509 *cert, const char *label, const char *name, struct buf *messages)
{
	int days = 0, seconds = 0;

	if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
		buf_addf(messages, "error: %s: certificate of %s is not valid yet\n", label, name);
	if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) != 1)
		return;
	if (days < 0 || seconds < 0)
		buf_addf(messages, "error: %s: certificate of %s has expired\n", label, name);
	else if (days < SOON_DAYS)
		buf_addf(messages, "warning: %s: certificate of %s expires in %d days\n", label, name, days);
}

static void subject(X509 *cert, char to[TLS_NAME_MAX])
{
	if (X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, to, TLS_NAME_MAX) < 0)
		snprintf(to, TLS_NAME_MAX, "?");
}

/* Each certificate of the chain has issued the one before it. */
static void check_chain(X509 *leaf, STACK_OF(X509) *chain, const char *label, struct buf *messages)
{
	X509 *below = leaf;
	char name[TLS_NAME_MAX], issuer[TLS_NAME_MAX];

	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *above = sk_X509_value(chain, i);

		subject(below, name);
		subject(above, issuer);
		if (X509_check_issued(above, below) != X509_V_OK || X509_verify(below, X509_get0_pubkey(above)) != 1)
			buf_addf(messages,
				 "warning: %s: the chain does not fit: %s was not issued by %s, which follows it\n",
				 label, name, issuer);
		check_dates(above, label, issuer, messages);
		below = above;
	}
	ERR_clear_error();
}

static void check_part(struct items *items, const char *label, struct buf *messages)
{
	char name[TLS_NAME_MAX];

	for (size_t i = 0; i < items->count; i++) {
		X509 *cert = items->list[i].cert;
		STACK_OF(X509) *chain;
		EVP_PKEY *key;

		if (!items->list[i].leaf)
			continue;
		subject(cert, name);
		key = X509_get0_pubkey(cert);
		chain = chain_of(items, i);
		check_dates(cert, label, name, messages);
		check_chain(cert, chain, label, messages);
		sk_X509_free(chain);
		if (EVP_PKEY_get_security_bits(key) < 112)
			buf_addf(messages, "warning: %s: the key of %s is weak: %d bits\n", label, name, EVP_PKEY_get_bits(key));
	}
}

void tls_bundle_check(struct span bundle, const char *label, struct buf *messages)
{
	struct span rest = bundle, name, pem;
	char why[TLS_WHY_MAX];

	while (tls_bundle_part(&rest, &name, &pem)) {
		struct items *items = read_items(pem, why);

		if (items && match(items, why))
			check_part(items, label, messages);
		else
			buf_addf(messages, "error: %s: %s\n", label, why);
		if (items)
			free_items(items);
	}
}
