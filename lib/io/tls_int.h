/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside lib/io/tls*.c. */
#pragma once
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdatomic.h>

#include "lib/io/tls.h"

struct tls_named {
	char *name; /* lower case; ".example.com": every name below */
	SSL_CTX *ctx;
};

struct tls_context {
	atomic_uint users;
	SSL_CTX *ctx;            /* of the nameless part; its settings hold for all names */
	struct tls_named *names;
	size_t nnames;
	const EVP_MD *digest;    /* of fingerprints */
	bool ask_cert;
	struct tls_tickets *tickets;
};

/* One session: the transport of a stream. */
struct tls {
	SSL *ssl;
	struct tls_context *context;
	bool broken; /* an error was seen: the library must not be asked to say goodbye */
};

extern const struct stream_ops tls_ops;

/* What the library's queue of errors says, else text; the queue is empty afterwards. False, for `return tls_why(...)'. */
bool tls_why(char why_r[TLS_WHY_MAX], const char *text);

/* Settings that do not depend on certificates. */
bool tls_policy_apply(SSL_CTX *ctx, const struct tls_settings *set, char why_r[TLS_WHY_MAX]);

/* Certificates and keys of one name of a bundle, ready to be used. */
bool tls_bundle_use(SSL_CTX *ctx, struct span pem, char why_r[TLS_WHY_MAX]);
/* The next part of *rest: its name ("" for the nameless one) and PEM text. False at the end. */
bool tls_bundle_part(struct span *rest, struct span *name_r, struct span *pem_r);

void tls_tickets_use(SSL_CTX *ctx);

void tls_info_take(struct tls *t, struct tls_info *info_r, bool server);
