/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside lib/store: folders in the file system. rel: path below the root, as names_to_path gives it; never INBOX. */
#pragma once
#include "lib/store/store-int.h"

enum store_status mbox_exists(struct store *s, const char *rel, bool *selectable_r);
enum store_status mbox_create(struct store *s, struct span name, const char *rel, bool directory);
enum store_status mbox_delete(struct store *s, struct span name, const char *rel);
enum store_status mbox_rename(struct store *s, struct span from, const char *from_rel, const char *to_rel);
enum store_status maildir_exists(struct store *s, const char *rel, bool *selectable_r);
enum store_status maildir_create(struct store *s, const char *rel);
enum store_status maildir_delete(struct store *s, struct span name, const char *rel);
enum store_status maildir_rename(struct store *s, const char *from_rel, const char *to_rel);

/* --- sbd.c --------------------------------------------------------------------------------------------------------- */
#define SBD ".sbd" /* the directory with the children of an mbox file, as Thunderbird has it */
char *sbd_of(struct arena *a, const char *rel);            /* rel.sbd */
bool sbd_is_directory(struct store *s, const char *rel);

enum store_status folders_errno(const char *path, int err); /* logs; as a status */
