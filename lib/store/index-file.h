/* SPDX-License-Identifier: BSD-2-Clause */
/* Files of the index: opened with suspicion, replaced by a rename, never synced. */
#pragma once
#include "lib/store/store-int.h"

#define INDEX_FILE "posthouse-index"
#define CACHE_FILE "posthouse-cache"

/* A descriptor, or -1: there is none, or it is not a plain file of ours. */
int index_file_open(const struct folder *f, const char *name, int flags);
/* A file to take the place of another. */
struct index_new {
	int fd;
	char *path;
};
bool index_new_begin(const struct folder *f, const char *name, struct index_new *n_r); /* directories are made */
/* True: it is there, and fd is the caller's. Else everything is cleaned up, errno. */
bool index_new_commit(const struct folder *f, const char *name, struct index_new *n);
void index_new_abort(struct index_new *n);
/* Log it, the first time. */
void index_file_failed(struct folder *f, const char *name, int err);
