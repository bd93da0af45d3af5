/* SPDX-License-Identifier: BSD-2-Clause */
/* Delivery with the rights of somebody: programs that start as root (local, pipe) become that user and root again.
 * Single-threaded. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/arena.h"
#include "lib/map/userdb.h"

/* Whose rights a delivery has. In unprivileged mode they are always those of the process. */
struct rights {
	uid_t uid;
	gid_t gid;
	const char *name, *home, *shell; /* for a command's environment */
};

bool rights_privileged(void); /* the process may change identity */
struct rights rights_of_user(struct arena *a, const struct user *u);
/* The owner of a file that names commands and files: default_privs when that is root. False: no such account, logged.
 */
bool rights_of_owner(struct arena *a, uid_t owner, struct rights *r);
bool rights_of_name(struct arena *a, const char *name, struct rights *r); /* the same for an account */
bool rights_default(struct arena *a, struct rights *r);
/* Take on effective identity (group: instead of r's own, (gid_t)-1 for that). False: could not, errno; nothing has
 * changed. */
bool rights_become(const struct rights *r, gid_t group) __attribute__((warn_unused_result));
bool rights_become_mail_owner(void) __attribute__((warn_unused_result)); /* to write into the queue */
void rights_restore(void);                                               /* root again, as before; dies if it cannot */
/* In a child, before exec: for good, saved ids too. */
bool rights_become_for_good(const struct rights *r) __attribute__((warn_unused_result));
