/* SPDX-License-Identifier: BSD-2-Clause */
/* Where messages of a file of their own lie, for lib/queue alone: mail/<x>/<id>, x the last microsecond digit of the id. */
#pragma once
#include "lib/queue/queue.h"

enum { PLACE_PATH_MAX = 64, PLACE_DIRS = 52 };

/* Descriptor of the directory mail/x of this id, opened once per process; -1 and errno. */
int place_dir(const char *id);
/* Descriptor of directory number n (0 .. PLACE_DIRS-1). */
int place_dir_number(int n);
char place_dir_letter(int n);

/*
 * The lock of work under way lies in mail/, which belongs to mail_owner: one that root's local made elsewhere could not be opened
 * by the others. 0, or -1 and errno.
 */
#define WORK_LOCK "mail/work.lock"
int work_prepare(void);
