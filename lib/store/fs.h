/* SPDX-License-Identifier: BSD-2-Clause */
/* Small things done to files, each the whole of it or -1 and errno. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/buf.h"
#include "lib/base/span.h"

int fs_write_all(int fd, struct span s);
int fs_pwrite_all(int fd, struct span s, uint64_t at);
/* Bytes read: fewer than n only at the end of the file. */
ssize_t fs_pread_all(int fd, void *p, size_t n, uint64_t at);
/* The whole file, at most b->max bytes (EFBIG past that). */
int fs_read_file(int dirfd, const char *path, struct buf *b);
/* Replace a file: write a temporary one beside it, fsync, rename. durable: the directory is synced, too. */
int fs_replace_file(int dirfd, const char *path, struct span content, mode_t mode, bool durable);
int fs_sync_parent(const char *path); /* fsync the directory that holds path */
int fs_sync_dir(int dirfd, const char *path);
char *fs_join(const char *dir, const char *name); /* dir/name; free it */
int fs_make_dirs(const char *path, mode_t mode); /* path and its parents */
