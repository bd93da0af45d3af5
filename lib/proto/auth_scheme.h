/* SPDX-License-Identifier: BSD-2-Clause */
/* The password field of shadow(5) and of a passwd-file: "{SCHEME}rest", or what crypt(3) made. */
#pragma once
#include <stdbool.h>

#include "lib/base/span.h"

enum auth_scheme {
	AUTH_SCHEME_CRYPT,   /* for crypt(3): yescrypt, SHA-512, SHA-256, bcrypt, MD5, ... */
	AUTH_SCHEME_PLAIN,   /* the password itself */
	AUTH_SCHEME_DIGEST,  /* a digest of it, with or without salt: auth_digest_parse takes the whole field */
	AUTH_SCHEME_SCRAM_SHA_1, /* "iterations,salt,StoredKey,ServerKey": scram_secret_parse */
	AUTH_SCHEME_SCRAM_SHA_256,
	AUTH_SCHEME_NONE,    /* an empty field: no password matches it */
	AUTH_SCHEME_LOCKED,  /* "!" or "*" in front: the account is locked, or has no password */
	AUTH_SCHEME_UNKNOWN, /* a scheme that is not known here, or a hash that is not one of the scheme it names */
};

/*
 * field: as stored. Known schemes: CRYPT, SHA512-CRYPT, SHA256-CRYPT, MD5-CRYPT, BLF-CRYPT, DES-CRYPT, PLAIN, CLEARTEXT,
 * SCRAM-SHA-1, SCRAM-SHA-256, and the digests SHA (SHA1), SHA256, SHA512, SSHA, SSHA256, SSHA512, SMD5, LDAP-MD5, PLAIN-MD5, which
 * may be followed by an encoding, ".HEX" or ".B64". Any other is unknown. *rest_r: what to compare with, points into field.
 */
enum auth_scheme auth_scheme_parse(struct span field, struct span *rest_r);

enum { AUTH_DIGEST_MAX = 64, AUTH_DIGEST_SALT_MAX = 64 };

struct auth_digest {
	const char *name; /* as OpenSSL has it: "SHA256" */
	size_t bytes;     /* of the digest */
	char digest[AUTH_DIGEST_MAX + AUTH_DIGEST_SALT_MAX]; /* the salt behind it */
	size_t salt_len;
};

/* field of AUTH_SCHEME_DIGEST. False: it does not decode, or has not the right length. */
bool auth_digest_parse(struct span field, struct auth_digest *d) __attribute__((warn_unused_result));

/* Compare without telling by the time taken where they differ. */
bool auth_secret_eq(struct span a, struct span b);
