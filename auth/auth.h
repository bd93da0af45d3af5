/* SPDX-License-Identifier: BSD-2-Clause */
/* auth: one login attempt at a time, from login's frame to the user's process. */
#pragma once
#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"
#include "lib/io/netaddr.h"
#include "lib/service/handover.h"

struct attempt {
	struct handover_login login; /* as it came; points into the frame, which is wiped afterwards */
	struct arena arena;
	const char *name;            /* acceptable user name, after auth_username_format */
	const char *password;        /* C string without a NUL inside, in the frame's copy */
	const char *shown;           /* the name for log lines: as given, made harmless */
	char ip[NETADDR_TEXT_MAX];
};

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
void passdb_waste_time(const struct attempt *at);

/* --- the members: arg is what follows the colon ------------------------------------------------------------------- */
enum passdb_status passdb_shadow(struct attempt *at, const char *arg);
void passdb_shadow_waste(const struct attempt *at, const char *arg);
enum passdb_status passdb_file(struct attempt *at, const char *arg);
void passdb_file_waste(const struct attempt *at, const char *arg);
enum passdb_status passdb_pam(struct attempt *at, const char *arg);
/* "pam(alice,192.0.2.1): what" under Dovecot's name. */
void passdb_log(const struct attempt *at, const char *db, const char *what);

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
