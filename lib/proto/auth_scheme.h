/* SPDX-License-Identifier: BSD-2-Clause */
/* The password field of shadow(5) and of a passwd-file: "{SCHEME}rest", or what crypt(3) made. */
#pragma once
#include <stdbool.h>

#include "lib/base/span.h"

enum auth_scheme {
	AUTH_SCHEME_CRYPT,   /* for crypt(3): yescrypt, SHA-512, SHA-256, bcrypt, MD5, ... */
	AUTH_SCHEME_PLAIN,   /* the password itself */
	AUTH_SCHEME_NONE,    /* an empty field: no password matches it */
	AUTH_SCHEME_LOCKED,  /* "!" or "*" in front: the account is locked, or has no password */
	AUTH_SCHEME_UNKNOWN, /* a scheme that is not known here, or a hash that is not one of the scheme it names */
};

/*
 * field: as stored. Known schemes: CRYPT, SHA512-CRYPT, SHA256-CRYPT, MD5-CRYPT, BLF-CRYPT, DES-CRYPT, PLAIN, CLEARTEXT;
 * any other, also one with an encoding such as ".HEX", is unknown. *rest_r: what to compare with, points into field.
 */
enum auth_scheme auth_scheme_parse(struct span field, struct span *rest_r);

/* Compare without telling by the time taken where they differ. */
bool auth_secret_eq(struct span a, struct span b);
