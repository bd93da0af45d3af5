/* SPDX-License-Identifier: BSD-2-Clause */
/* auth: one login attempt at a time, from login's frame to the user's process. */
#pragma once
#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"
#include "lib/io/netaddr.h"
#include "lib/proto/sasl_server.h"
#include "lib/service/handover.h"

struct attempt {
	struct handover_login login; /* as it came; points into the frame, which is wiped afterwards */
	struct arena arena;
	enum sasl_mech mech;
	const char *name;            /* acceptable user name, after auth_username_format */
	const char *password;        /* C string without a NUL inside, in the frame's copy */
	const char *shown;           /* the name for log lines: as given, made harmless */
	char ip[NETADDR_TEXT_MAX];
	struct span data;            /* found out on the way: for handover_reply.data */
};

/* Does the client show its password? Else it proves that it knows it. */
static inline bool attempt_by_password(const struct attempt *at)
{
	return at->mech == SASL_PLAIN || at->mech == SASL_LOGIN;
}

enum passdb_status {
	PASSDB_OK = 0,
	PASSDB_UNKNOWN,  /* no such user */
	PASSDB_MISMATCH, /* wrong password, or no password can be right */
	PASSDB_DISABLED, /* right password, but the account or the password has expired */
	PASSDB_TEMP,     /* cannot be asked now */
};

/* --- passdb.c: the list ------------------------------------------------------------------------------------------ */
/* Read the parameter passdb; dies when it makes no sense. Before the first attempt. */
void passdb_setup(const char *list);
/* Ask the list's members in turn; the first that says yes or DISABLED decides. Logs each refusal in Dovecot's words. */
enum passdb_status passdb_verify(struct attempt *at);
/* Spend the time of a verification on a name that is not even looked up. */
void passdb_waste_time(struct attempt *at);

/* --- the members: arg is what follows the colon ------------------------------------------------------------------- */
enum passdb_status passdb_shadow(struct attempt *at, const char *arg);
void passdb_shadow_waste(const struct attempt *at, const char *arg);
enum passdb_status passdb_file(struct attempt *at, const char *arg);
void passdb_file_waste(const struct attempt *at, const char *arg);
enum passdb_status passdb_pam(struct attempt *at, const char *arg);
/* "pam(alice,192.0.2.1): what" under Dovecot's name, with auth_verbose. */
void passdb_log(const struct attempt *at, const char *db, const char *what);

/* --- secret.c: a field against what the client has sent, whatever the mechanism ----------------------------------- */
enum { SECRET_DIGEST_BYTES = 32 };
void secret_setup(void);
/* As hash_verify. Fills in at->data: SCRAM's parameters or signature. */
enum passdb_status secret_verify(struct attempt *at, struct span field, const char **why_r);
/* field of some user: true when it is one that SCRAM can use, and so the model of what an unknown user is told. */
bool secret_model(struct span field);
/* SCRAM's parameters for somebody who has none. */
void secret_unknown_parameters(struct attempt *at);
/* Spend the time of a proof on a user without a secret. */
void secret_waste(struct attempt *at);
/* A digest with the key of this instance. */
void secret_digest(struct span text, unsigned char digest_r[SECRET_DIGEST_BYTES]);

/* --- cache.c: file is where the password was found ---------------------------------------------------------------- */
void cache_setup(void);
struct cache_key {
	unsigned char digest[SECRET_DIGEST_BYTES];
	bool usable;
};
/* key_r: the attempt and the state of the file at this moment, before the file is read. */
bool cache_knows(const struct attempt *at, const char *file, struct cache_key *key_r);
void cache_keep(const struct cache_key *key); /* the password was right */

/* --- oauth.c ----------------------------------------------------------------------------------------------------- */
enum passdb_status oauth_verify(struct attempt *at);

/* --- hash.c ------------------------------------------------------------------------------------------------------ */
/* Does password match the stored field? PASSDB_OK, PASSDB_MISMATCH; TEMP: a scheme that cannot be used, with *why_r. */
enum passdb_status hash_verify(struct span field, const char *password, const char **why_r);
/* The field of some user, as a model of what a verification costs. One is kept per slot. */
struct hash_model {
	char field[256];
};
bool hash_is_model(struct span field); /* costs what most verifications cost: a hash for crypt(3) */
void hash_model_set(struct hash_model *m, struct span field);
void hash_waste(const struct hash_model *m, const char *password);

/* --- handoff.c --------------------------------------------------------------------------------------------------- */
/* Give the client to the user's process. HANDOVER_OK: it is theirs, *pid_r serves it. */
enum handover_code handoff(struct attempt *at, const struct user *u, int client, uint32_t *pid_r);
