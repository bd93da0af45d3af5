/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS as a transport of struct stream, by OpenSSL. A context holds certificates and settings and is shared by any number of
 * sessions in any thread; it is counted, so a newer one can take its place while sessions go on with the old one.
 *
 *	tls.c          contexts, life
 *	tls_session.c  handshake, reading and writing
 *	tls_info.c     what was agreed, in words
 *	tls_bundle.c   certificates and keys as one text
 *	tls_ticket.c   session tickets
 *	tls_policy.c   protocols and ciphers from their parameters
 *	tls_relay.c    carrying bytes between a TLS session and a plain descriptor
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"
#include "lib/io/stream.h"

enum {
	TLS_WHY_MAX = 256,
	TLS_NAME_MAX = 256,          /* a host name, a subject */
	TLS_FINGERPRINT_MAX = 200,   /* "AB:CD:..." of the longest digest, and its NUL */
	TLS_BINDING_MAX = 64,
	TLS_BUNDLE_MAX = 16 << 20,
};

struct tls_context;
struct tls_tickets;

struct tls_signature {
	char key[96];    /* "RSA-PSS (2048 bits)", "ECDSA (prime256v1)" */
	char digest[16]; /* "SHA256"; "" when the key's kind says it */
};

/* What a session agreed on. Strings are made harmless for header fields and log lines. */
struct tls_info {
	char protocol[16];                    /* "TLSv1.3" */
	char cipher[64];                      /* "TLS_AES_256_GCM_SHA384" */
	int bits_used, bits_possible;
	char key_exchange[48];                /* "X25519", "ECDHE (prime256v1)"; TLS 1.3 only, else "" */
	struct tls_signature server_signature, client_signature; /* TLS 1.3 only; empty when resumed, or without a certificate */
	bool resumed;
	char sni[TLS_NAME_MAX];               /* name the client asked for; "" none */
	bool peer_cert, peer_trusted;         /* the other side showed a certificate; it chains to a known CA */
	bool peer_name_ok;                    /* client side: it is for the name that was asked for */
	char peer_why[TLS_WHY_MAX];           /* why it is not trusted: "untrusted issuer /CN=x", "self-signed certificate" */
	bool asked_cert;                      /* we asked the client for one */
	char peer_subject[TLS_NAME_MAX], peer_issuer[TLS_NAME_MAX]; /* common names */
	char peer_fingerprint[TLS_FINGERPRINT_MAX];     /* of its certificate */
	char peer_key_fingerprint[TLS_FINGERPRINT_MAX]; /* of its public key */
	/* Channel bindings (RFC 5929, 9266): lengths 0 where there is none. */
	unsigned char exporter[32], endpoint[TLS_BINDING_MAX], unique[TLS_BINDING_MAX];
	size_t exporter_len, endpoint_len, unique_len; /* tls-exporter; tls-server-end-point; tls-unique, before TLS 1.3 */
};

/* --- contexts ---------------------------------------------------------------------------------------------------- */

/* Names and defaults of the fields as in Postfix's parameters; NULL is "". */
struct tls_settings {
	const char *session_context; /* tickets and sessions are good for servers of this name only (at most 32 bytes count) */
	const char *protocols;       /* ">=TLSv1.2", "!SSLv2, !SSLv3" */
	const char *ciphers;         /* an OpenSSL cipher list for TLS 1.2 and below; see tls_grade */
	const char *exclude_ciphers; /* names or "aNULL, MD5" */
	const char *groups;          /* "X25519 prime256v1" */
	bool ask_cert;               /* of clients; whoever needs one looks at what came */
	const char *ca_file, *ca_dir; /* whom to trust; both empty: the client side takes the system's */
	int verify_depth;            /* server: so many certificates may be between a client's and one that is trusted */
	const char *fingerprint_digest; /* "sha256" */
	bool server_order;           /* the server's order of ciphers counts */
	struct tls_tickets *tickets; /* server: NULL, no tickets; lives as long as the context */
};

/* The cipher list of a grade: "high" (AEAD with forward secrecy), "medium" (also CBC); "low", "export" and "null" are taken for
 * medium. NULL: no such grade. */
const char *tls_grade(const char *grade);
/* Start-up, before the jail: what the library reads from the file system and loads. */
void tls_init(void);

/*
 * A context for servers. bundle: see tls_bundle_add; its nameless part is served to clients that ask for no name or an unknown
 * one. NULL, with why_r, when a certificate does not parse, does not fit its key, or a setting is not understood.
 */
struct tls_context *tls_server(struct span bundle, const struct tls_settings *set, char why_r[TLS_WHY_MAX])
	__attribute__((warn_unused_result));
/* For clients; bundle: a certificate of one's own, or empty. */
struct tls_context *tls_client(struct span bundle, const struct tls_settings *set, char why_r[TLS_WHY_MAX])
	__attribute__((warn_unused_result));
struct tls_context *tls_context_use(struct tls_context *c); /* one more user */
void tls_context_free(struct tls_context *c);                /* one less; NULL is fine */

/* --- sessions ---------------------------------------------------------------------------------------------------- */

/*
 * The server's handshake on a stream whose transport is still plain; after it the stream reads and writes TLS. The stream's own
 * deadline and timeout count, and deadline_ms. IO_TOO_LONG: plaintext was buffered, nothing was done (an injected command).
 * Anything but IO_OK: close the stream; why_r has the reason.
 */
enum io_status tls_accept(struct stream *s, struct tls_context *c, int64_t deadline_ms, struct tls_info *info_r,
			  char why_r[TLS_WHY_MAX]) __attribute__((warn_unused_result));
/* The client's. name: host name to ask for and to compare with (NULL: none); verify: fail unless the certificate is trusted and,
 * with a name, for that name. */
enum io_status tls_connect(struct stream *s, struct tls_context *c, const char *name, bool verify, int64_t deadline_ms,
			   struct tls_info *info_r, char why_r[TLS_WHY_MAX]) __attribute__((warn_unused_result));
/* "TLSv1.3 with cipher X (256/256 bits) key-exchange ..." as Postfix's log lines and Received: fields have it; sep: what goes
 * before "key-exchange" and "client-signature". */
void tls_describe(struct buf *b, const struct tls_info *info, const char *sep);

/*
 * Carry bytes between the TLS session of s and the non-blocking socket plain_fd until the plain side has ended and all it sent is
 * out, or the client is gone. The client's end is passed on (half close). An order to stop does not end it by itself: the plain
 * side says goodbye and closes; after grace_ms it is over nevertheless. Neither s nor plain_fd is closed. In bounded memory, which
 * is given back while nothing moves.
 */
void tls_relay(struct stream *s, int plain_fd, int64_t grace_ms);

/* --- bundles: certificates and keys as one text ------------------------------------------------------------------ */

/*
 * A bundle is PEM blocks: a key and its certificate chain, again and again. A line `# name HOST' says for which name
 * the blocks behind it are (HOST ".example.com": every name below). files: of one name ("" for the nameless part), each
 * with certificates, keys or both, in Postfix's order (key before its chain) or a chain file followed by its key's
 * file. False: why_r.
 */
bool tls_bundle_add(struct buf *b, const char *name, const char *const *files, size_t nfiles, char why_r[TLS_WHY_MAX]);

/* What `posthouse check' wants to know of a bundle's certificates; problems are lines of text, "warning: " or "error: " first. */
void tls_bundle_check(struct span bundle, const char *label, struct buf *messages);

/* --- session tickets --------------------------------------------------------------------------------------------- */

/*
 * Keys come from a file that is written by tickets_rotate (0440, previous, current and next key) and read whenever it has changed.
 * Safe from any thread. Without a readable file, tickets are made with keys of this process.
 */
struct tls_tickets *tls_tickets_open(const char *path, int64_t life_s);
/* Write path anew when it is older than life_s or not there. gid -1: as it is. 1 written, 0 nothing to do, -1 and errno. */
int tls_tickets_rotate(const char *path, int64_t life_s, gid_t gid);
