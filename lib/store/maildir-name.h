/* SPDX-License-Identifier: BSD-2-Clause */
/* File names in a Maildir: BASE[,S=octets][,W=octets with CRLF][:2,FLAGS]. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/span.h"

enum { MAILDIR_BASE_MAX = 176, MAILDIR_NAME_MAX = 256 };

/* A unique name: from key (the same key, the same name), or from time, process and counter when key is empty. */
void maildir_make_base(char base_r[MAILDIR_BASE_MAX], struct span key);
/* Move a file without replacing another one (EEXIST). Paths relative to the directories. 0, or -1 and errno. */
int maildir_move(int from_dir, const char *from, int to_dir, const char *to);

struct maildir_name {
	struct span base;     /* up to the colon: what stays the same when flags change */
	uint32_t flags;       /* STORE_SEEN ... */
	uint32_t letters;     /* bit i: keyword letter 'a' + i */
	struct span other;    /* flags that are not ours to know ("P") are kept */
	uint64_t size, vsize; /* S= and W=, 0 when not given */
};
void maildir_name_parse(struct span file, struct maildir_name *n_r);
/* The file name for these flags: "BASE:2,FLAGS". False when it does not fit into MAILDIR_NAME_MAX. */
bool maildir_name_make(char name_r[MAILDIR_NAME_MAX], struct span base, uint32_t flags, uint32_t letters, bool passed);
