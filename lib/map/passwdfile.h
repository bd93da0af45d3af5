/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A passwd-file as Dovecot reads it, a line for each user:
 *
 *	name:{SCHEME}hash:uid:gid:gecos:home:shell:extra fields
 *
 * Fields may be missing from the right; uid and gid are numbers or names. Extra fields are separated by blanks; those that
 * matter are userdb_mail=, userdb_home=, userdb_uid=, userdb_gid=, nologin and disabled (or disabled=yes). Lines that begin
 * with # are comments.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/htab.h"
#include "lib/base/span.h"

struct passwd_line {
	struct span name, hash, uid, gid, home, shell, mail; /* empty: not given */
	bool disabled; /* no login, no mail */
	bool no_login; /* mail is taken */
};

struct passwd_file {
	struct arena arena;
	struct htab users; /* name to struct passwd_line */
	char *text;        /* with the passwords; wiped when freed */
	size_t len;
};

/* One line. False: it is not one (no name, a control byte, a name with a blank or a slash). Points into line. Pure. */
bool passwd_line_parse(struct span line, struct passwd_line *out);
/*
 * All lines; text is copied, with the passwords only when with_hashes. warnings: "FILE:LINE: what\n" for lines that are
 * left out. Pure.
 */
struct passwd_file *passwd_file_parse(const char *file, struct span text, bool with_hashes, struct buf *warnings);
const struct passwd_line *passwd_file_find(const struct passwd_file *f, struct span name); /* NULL: no such user */
void passwd_file_free(struct passwd_file *f);
/* Could name be a user's name at all: not empty, at most 255 bytes, no control byte, blank, `:' or `/', no leading `-'?
 */
bool passwd_name_valid(struct span name);
