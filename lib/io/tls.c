/* SPDX-License-Identifier: BSD-2-Clause */
/* Contexts: certificates and settings that sessions share. */
#include "lib/io/tls.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/must.h"
#include "lib/io/tls_int.h"

enum { LIFETIME_S = 3600 };

void tls_init(void)
{
	must(OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CONFIG, NULL) == 1);
}

bool tls_why(char why_r[TLS_WHY_MAX], const char *text)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	if (reason && text)
		snprintf(why_r, TLS_WHY_MAX, "%s: %s", text, reason);
	else
		snprintf(why_r, TLS_WHY_MAX, "%s", reason ? reason : text ? text : "unknown error");
	ERR_clear_error();
	return false;
}

/* --- server names ------------------------------------------------------------------------------------------------- */

static SSL_CTX *lookup(const struct tls_context *c, const char *name)
{
	for (size_t i = 0; i < c->nnames; i++)
		if (strcmp(c->names[i].name, name) == 0)
			return c->names[i].ctx;
	return NULL;
}

/* The name itself, then ever shorter domains above it, as Postfix looks them up. */
static SSL_CTX *find_name(const struct tls_context *c, const char *asked)
{
	char name[TLS_NAME_MAX];
	size_t len = strlen(asked);
	SSL_CTX *found;

	if (len == 0 || len >= sizeof name)
		return NULL;
	for (size_t i = 0; i <= len; i++)
		name[i] = ascii_lower(asked[i]);
	found = lookup(c, name);
	for (const char *dot = strchr(name, '.'); found == NULL && dot; dot = strchr(dot + 1, '.'))
		found = lookup(c, dot);
	return found;
}

static int choose_certificate(SSL *ssl, int *alert, void *arg)
{
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	SSL_CTX *found = asked ? find_name(arg, asked) : NULL;

	(void)alert;
	if (asked == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	if (found)
		SSL_set_SSL_CTX(ssl, found);
	return SSL_TLSEXT_ERR_OK; /* an unknown name gets the nameless certificate: the client decides */
}

/* --- making them -------------------------------------------------------------------------------------------------- */

/* Certificates of clients are recorded, not judged: whoever asks about one looks at what was found out. */
static int accept_any(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

static bool trust(SSL_CTX *ctx, const struct tls_settings *set, bool server, char *why_r)
{
	const char *file = set->ca_file && *set->ca_file ? set->ca_file : NULL;
	const char *dir = set->ca_dir && *set->ca_dir ? set->ca_dir : NULL;

	if (file && SSL_CTX_load_verify_file(ctx, file) != 1)
		return tls_why(why_r, file);
	if (dir && SSL_CTX_load_verify_dir(ctx, dir) != 1)
		return tls_why(why_r, dir);
	if (!server && !file && !dir)
		(void)SSL_CTX_set_default_verify_paths(ctx);
	if (server && file && set->ask_cert)
		SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(file));
	ERR_clear_error();
	return true;
}

/*
 * A session that is resumed keeps the client's certificate and what was found out about it: the ticket is good only where the same
 * would be found out again.
 */
static void bind_to_service(SSL_CTX *ctx, const struct tls_settings *set)
{
	const char *file = set->ca_file ? set->ca_file : "", *dir = set->ca_dir ? set->ca_dir : "";
	const char *service = set->session_context ? set->session_context : "";
	unsigned char id[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	struct buf name;

	buf_init(&name, 3 * 4096 + 64);
	buf_adds(&name, service);
	if (set->ask_cert)
		buf_addf(&name, "\n%s\n%s\n%d", file, dir, set->verify_depth);
	must(!name.overflow && EVP_Digest(name.ptr, name.len, id, &len, EVP_sha256(), NULL) == 1);
	buf_free(&name);
	must(SSL_CTX_set_session_id_context(ctx, id, SSL_MAX_SID_CTX_LENGTH < len ? SSL_MAX_SID_CTX_LENGTH : len) == 1);
}

static SSL_CTX *new_ctx(struct tls_context *c, const struct tls_settings *set, bool server, char *why_r)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());

	must(ctx != NULL);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (server) {
		SSL_CTX_set_options(ctx, SSL_OP_PRIORITIZE_CHACHA | (set->server_order ? SSL_OP_CIPHER_SERVER_PREFERENCE : 0));
		SSL_CTX_set_timeout(ctx, LIFETIME_S);
		bind_to_service(ctx, set);
		if (set->ask_cert) {
			SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, accept_any);
			SSL_CTX_set_verify_depth(ctx, set->verify_depth + 1);
		}
		if (set->tickets)
			tls_tickets_use(ctx);
		else
			SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ctx, set->tickets ? 1 : 0);
		SSL_CTX_set_tlsext_servername_callback(ctx, choose_certificate);
		SSL_CTX_set_tlsext_servername_arg(ctx, c);
	}
	if (tls_policy_apply(ctx, set, why_r) && trust(ctx, set, server, why_r))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

static bool add_name(struct tls_context *c, struct span name, SSL_CTX *ctx)
{
	struct arena a = ARENA_INIT;

	c->names = mem_realloc_array(c->names, c->nnames + 1, sizeof *c->names);
	c->names[c->nnames].name = mem_strdup(arena_lower(&a, name).ptr);
	c->names[c->nnames++].ctx = ctx;
	arena_free(&a);
	return true;
}

static bool add_part(struct tls_context *c, struct span name, struct span pem, const struct tls_settings *set, char *why_r)
{
	SSL_CTX *ctx;

	if (name.len == 0)
		return tls_bundle_use(c->ctx, pem, why_r);
	ctx = new_ctx(c, set, true, why_r);
	if (ctx && tls_bundle_use(ctx, pem, why_r))
		return add_name(c, name, ctx);
	SSL_CTX_free(ctx);
	return false;
}

static struct tls_context *make(struct span bundle, const struct tls_settings *set, bool server, char *why_r)
{
	struct tls_context *c = mem_zalloc(sizeof *c);
	const char *digest = set->fingerprint_digest && *set->fingerprint_digest ? set->fingerprint_digest : "sha256";
	struct span rest = bundle, name, pem;
	bool ok;

	atomic_init(&c->users, 1);
	c->ask_cert = set->ask_cert;
	c->tickets = set->tickets;
	c->digest = EVP_get_digestbyname(digest);
	ok = c->digest != NULL || tls_why(why_r, "no digest is called like the one for fingerprints");
	ok = ok && (c->ctx = new_ctx(c, set, server, why_r)) != NULL;
	while (ok && tls_bundle_part(&rest, &name, &pem))
		ok = add_part(c, name, pem, set, why_r);
	if (ok && server && SSL_CTX_get0_certificate(c->ctx) == NULL)
		ok = tls_why(why_r, "there is no certificate");
	if (ok)
		return c;
	tls_context_free(c);
	return NULL;
}

struct tls_context *tls_server(struct span bundle, const struct tls_settings *set, char why_r[TLS_WHY_MAX])
{
	return make(bundle, set, true, why_r);
}

struct tls_context *tls_client(struct span bundle, const struct tls_settings *set, char why_r[TLS_WHY_MAX])
{
	return make(bundle, set, false, why_r);
}

struct tls_context *tls_context_use(struct tls_context *c)
{
	atomic_fetch_add(&c->users, 1);
	return c;
}

void tls_context_free(struct tls_context *c)
{
	if (c == NULL || atomic_fetch_sub(&c->users, 1) > 1)
		return;
	for (size_t i = 0; i < c->nnames; i++) {
		free(c->names[i].name);
		SSL_CTX_free(c->names[i].ctx);
	}
	free(c->names);
	SSL_CTX_free(c->ctx);
	free(c);
}
