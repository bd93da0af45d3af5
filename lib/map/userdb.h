/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who has a mailbox here: one answer for RCPT TO, for delivery, for login. The source is the parameter `userdb':
 * "passwd" (the system's users, getpwnam) or "passwd-file:PATH" (lines user:{SCHEME}hash:uid:gid:gecos:home:shell:extra
 * fields). In unprivileged mode uid and gid are those of the calling process, whatever the file says.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/arena.h"
#include "lib/base/span.h"
#include "lib/map/map.h"

struct user {
	struct span name; /* as the database writes it */
	uid_t uid;
	gid_t gid;
	const char *home;
	const char *shell;
	bool disabled;             /* extra field `disabled' of a passwd-file: no login, no mail */
	bool no_login;             /* extra field `nologin': mail is taken, but nobody logs in */
	const char *mail_location; /* extra field userdb_mail of a passwd-file, or NULL */
};

/* name: any bytes; what is not an acceptable user name is MAP_NOTFOUND without a lookup. Strings in a. */
enum map_status userdb_get(struct arena *a, struct span name, struct user *user_r) __attribute__((warn_unused_result));

/* The password field of a passwd-file for this user, for auth only; wipe it after use. no_login_r: it must not be
 * used even when it matches. MAP_NOTFOUND: no such user. */
enum map_status userdb_password(const char *path, struct arena *a, struct span name, struct span *hash_r,
				bool *no_login_r)
    __attribute__((warn_unused_result));
