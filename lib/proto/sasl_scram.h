/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SCRAM, RFC 5802 (SHA-1) and 7677 (SHA-256): the messages, for sasl_server.c, and the arithmetic, for who has the secrets.
 * Pure.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/proto/sasl_server.h"

/* Messages of the client; called by sasl_server_step. message lives in s->arena. */
enum sasl_step sasl_scram_step(struct sasl_server *s, struct span message);
/* A saslname: "=2C" is a comma, "=3D" an equals sign, any other "=" is wrong. In a. */
bool sasl_scram_name(struct arena *a, struct span text, struct span *name_r);

enum scram_hash { SCRAM_SHA_1, SCRAM_SHA_256 };
enum { SCRAM_KEY_MAX = 32, SCRAM_SALT_MAX = 64, SCRAM_ITERATIONS = 4096 };

size_t scram_key_bytes(enum scram_hash h);

/* What a server keeps of a password. Wipe it after use. */
struct scram_secret {
	enum scram_hash hash;
	uint32_t iterations;
	char salt[SCRAM_SALT_MAX];
	size_t salt_len;
	char stored_key[SCRAM_KEY_MAX], server_key[SCRAM_KEY_MAX];
};

/* Make it from a password; salt at most SCRAM_SALT_MAX bytes. */
void scram_secret_make(struct scram_secret *s, enum scram_hash h, struct span password, struct span salt, uint32_t iterations);
/* "iterations,salt,StoredKey,ServerKey", the last three in base64: the form of Dovecot's {SCRAM-SHA-256}. */
bool scram_secret_parse(struct scram_secret *s, enum scram_hash h, struct span text) __attribute__((warn_unused_result));
void scram_secret_print(struct buf *out, const struct scram_secret *s);

/* Is proof the client's for message (AuthMessage)? signature_r: ServerSignature, scram_key_bytes long; made either way. */
bool scram_verify(const struct scram_secret *s, struct span message, struct span proof, char signature_r[SCRAM_KEY_MAX]);
