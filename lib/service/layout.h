/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The directories of an instance and who owns them. One table for master (which makes what is missing), for `posthouse
 * check' (which names what is wrong) and for `posthouse set-permissions' (which mends it).
 *
 *	queue_directory            0755 root
 *	queue_directory/private    0750 root, group of mail_owner: sockets; nobody else can put one in the way
 *	queue_directory/public     0755 root: sockets of local commands
 *	queue_directory/login      0755 root: the jail of login, with the socket of auth
 *	queue_directory/tls        0750 root, group of mail_owner: certificates and keys for smtpd
 *	queue_directory/login/tls  0750 root, group of default_login_user: the same for login
 *	queue_directory/pid        0755 root: pid file, locks
 *	queue_directory/run        0700 root: main.cf as it is in use
 *	queue_directory/mail, log  0700 mail_owner: the queue
 *	queue_directory/corrupt    0700 mail_owner
 *	data_directory             0700 mail_owner
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/buf.h"
#include "lib/conf/conf.h"

enum layout_mode { LAYOUT_CHECK, LAYOUT_CREATE, LAYOUT_REPAIR };

/* Ids of mail_owner (default_login_user); the calling user's in unprivileged mode. False: there is no such user. */
bool layout_mail_ids(const struct conf *c, uid_t *uid_r, gid_t *gid_r);
bool layout_login_ids(const struct conf *c, uid_t *uid_r, gid_t *gid_r);

/* As root, before there are threads. False and errno: cannot become mail_owner. Dies when there is no way back to root. */
bool layout_as_mail_owner(const struct conf *c, void (*run)(void));

/*
 * Look over all of them. CHECK reports what is wrong (what is missing the next start makes), CREATE makes what is
 * missing (parents too) and reports what is wrong, REPAIR makes and mends. One "error: " or "warning: " line each.
 * False: there was an error.
 */
bool layout_walk(const struct conf *c, enum layout_mode mode, struct buf *messages);
